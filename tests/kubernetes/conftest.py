"""Fixtures of the tests on a real cluster: left out by name where there is none.

``kubectl``     the cluster of ``KUBECONFIG``, in a namespace that goes with the session
``bench``       a runner of an installation of its own
``terminal``    a user of the ``installation`` of a module
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.kubernetes.harness import Kubectl, KubernetesBench, kubernetes_bench, why_not
from tests.walk.conftest import Terminal


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """Give the cluster."""
    if reason := why_not():
        pytest.skip(reason)
    namespace = f"kpl-test-{secrets.token_hex(3)}"
    found = Kubectl(namespace)
    yield found
    found("delete", "namespace", namespace, "--wait=false", "--ignore-not-found", check=False)


@pytest.fixture
async def bench(kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[KubernetesBench]:
    """Give a runner."""
    async with kubernetes_bench(tmp_path, kubectl) as found:
        yield found


@pytest.fixture
def terminal(installation: Installation, tmp_path: Path) -> Terminal:
    """Give a user's prompt."""
    return Terminal(installation, tmp_path)
