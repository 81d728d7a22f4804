"""What tests of several parts share.

``daemon``  a Docker daemon with a base image, one for the whole run; skipped where there can be none
``s3``      an S3 server with a bucket ``kpl``, one for the whole run; ``own_s3``: one for a test that kills it
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.docker_harness import TestDaemon, docker_daemon, lacking
from tests.object_storage import S3Server, s3_server


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


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server with a bucket ``kpl``; the variables that lead to it are the test's to set."""
    with s3_server(tmp_path_factory.mktemp("s3")) as made:
        made.make_bucket("kpl")
        yield made


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """The same for a test that kills it."""
    with s3_server(tmp_path / "s3") as made:
        made.make_bucket("kpl")
        yield made


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The same for a module."""
    with s3_server(tmp_path_factory.mktemp("s3")) as made:
        made.make_bucket("kpl")
        yield made
