"""An installation on the cluster of ``KUBECONFIG``, in a namespace of its own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.installation import Installation, running_installation, wait_for
from tests.kubernetes.harness import Kubectl


@contextmanager
def kubernetes_installation(
    prefix: str, options: Mapping[str, object] | None = None, **variables: str
) -> Iterator[Installation]:
    """Start an installation; end it, and see that nothing of it runs or lies in the cluster."""
    namespace = f"kpl-test-{secrets.token_hex(3)}"
    kubectl = Kubectl(namespace)
    given = {"namespace": namespace, **(options or {})}
    lines = [f"c.KubernetesOptions.{name} = {value!r}\n" for name, value in given.items()]
    with running_installation(
        prefix,
        variables={"KPL_ENGINE": "kubernetes", **variables},
        files={"kubernetes_engine.py": "".join(lines)},
    ) as found:
        yield found
        instance = json.loads((found.home / "settings.json").read_text())["instance"]
    try:
        assert kubectl.left(instance) == ""
        # They go with their Deployments by the cluster's own hand, a moment later.
        wait_for(lambda: not kubectl.routes(instance), "the end of the services' routes", 30)
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false", check=False)


def kubectl_of(installation: Installation) -> Kubectl:
    """Return the cluster, asked in the namespace of such an installation."""
    text = (installation.home / "kubernetes_engine.py").read_text()
    return Kubectl(text.split("'")[1])
