"""What tests of several parts share.

``daemon``  a Docker daemon with a base image, one for the whole run; skipped where there can be none
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from tests.engines.docker_harness import TestDaemon, docker_daemon, lacking


@pytest.fixture(scope="session")
def daemon() -> Iterator[TestDaemon]:
    """Give a Docker daemon."""
    reason = lacking()
    if reason is not None:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(docker_daemon())
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no Docker daemon with a base image can be had here: {error}")
        yield found
