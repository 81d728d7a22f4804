"""A running installation of its own for the benchmarks that need one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kpl_lab.client import Client, Credentials

BIN = Path(sys.executable).parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def installation() -> Iterator[tuple[Client, Path, dict[str, str]]]:
    """Start an installation; give a client, its home, and its credentials; take it down."""
    folder = Path(tempfile.mkdtemp(prefix="kpl-bench-"))
    folder.chmod(0o755)
    environment = {**os.environ, "KPL_HOME": str(folder / "home"), "KPL_PORT": str(_free_port())}
    try:
        subprocess.run(
            [BIN / "kpl-lab", "up"], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        credentials = json.loads((folder / "home" / "credentials.json").read_text())
        with Client(Credentials(credentials["url"], credentials["token"])) as client:
            yield client, folder / "home", credentials
    finally:
        subprocess.run(
            [BIN / "kpl-lab", "down"], env=environment, check=False, stdout=subprocess.DEVNULL
        )
        shutil.rmtree(folder, ignore_errors=True)
