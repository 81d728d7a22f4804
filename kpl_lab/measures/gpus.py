"""What ``nvidia-smi`` says of the GPUs that a process was given."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_FIELDS = "index,name,utilization.gpu,memory.used,memory.total"
_TIMEOUT_SECONDS = 10.0
# A look takes tens of milliseconds of a processor, and without the persistence daemon seconds.
_KEEP_SECONDS = 15.0


@dataclass(frozen=True)
class Gpu:
    """One GPU: share of time in use in per cent, memory in MiB; None: it does not tell."""

    index: int
    name: str
    busy: int | None
    memory: int | None
    memory_limit: int | None


def parse(text: str) -> list[Gpu]:
    """Return the GPUs of ``--query-gpu=index,name,… --format=csv,noheader,nounits``.

    A driver that does not tell a value writes ``[N/A]``, ``[Not Supported]`` or the like: so it
    does for the use of a GPU that is cut into parts.
    """
    found = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) == _FIELDS.count(",") + 1 and row[0].isdecimal():
            busy, used, total = (_number(word) for word in row[2:])
            found.append(Gpu(int(row[0]), row[1], busy, used, total))
    return found


def _number(word: str) -> int | None:
    return int(word) if word.isdecimal() else None


def chosen(environment: Mapping[str, str]) -> str | None:
    """Return what to ask for with ``-i``; empty: all that are seen; None: nothing was given."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        # A container sees no others than its own.
        return "" if environment.get("NVIDIA_VISIBLE_DEVICES", "void") not in ("", "void") else None
    words = [word.strip() for word in given.split(",")]
    numbers = [word for word in words if word.isdecimal() or word.startswith("GPU-")]
    return ",".join(numbers) or None


Ask = Callable[[list[str]], str]


def _ask(command: list[str]) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True
        ).stdout
    return ""


class Gpus:
    """The GPUs of this process; looked at no more than every fifteen seconds."""

    def __init__(self, environment: Mapping[str, str] = os.environ, ask: Ask = _ask) -> None:
        program = shutil.which("nvidia-smi", path=environment.get("PATH"))
        which = chosen(environment)
        self._command: list[str] = []
        if program is not None and which is not None:
            self._command = [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
            if which:
                self._command += ["-i", which]
        self._ask = ask
        self._next = 0.0
        self._last: list[Gpu] = []

    def look(self) -> list[Gpu]:
        """Return them as they are now, or were a moment ago; none where there are none."""
        if self._command and time.monotonic() >= self._next:
            self._last = parse(self._ask(self._command))
            self._next = time.monotonic() + _KEEP_SECONDS
        return self._last
