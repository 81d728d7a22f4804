"""What this machine has to give."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from kpl_lab.engines.local.cgroups import machine_memory_limit_mb
from kpl_lab.engines.spec import Capacity

_NVIDIA_TIMEOUT_SECONDS = 10


def count_gpus() -> int:
    """Return how many NVIDIA GPUs there are; 0 where there is no ``nvidia-smi``."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        found = subprocess.run(
            [program, "--list-gpus"],
            capture_output=True,
            text=True,
            timeout=_NVIDIA_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len(re.findall(r"^GPU \d+:", found.stdout, re.MULTILINE))


def total_memory_mb() -> int:
    """Return the machine's memory in MiB, or what the group that we are in may use of it."""
    text = Path("/proc/meminfo").read_text()
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    total = int(found.group(1)) // 1024 if found else 0
    limit = machine_memory_limit_mb()
    return total if limit is None else min(total, limit)


def _cpu_quota() -> float | None:
    """Return the cores that our group may use (version 2 at the root of a container)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def capacity(gpus: int) -> Capacity:
    """Return cores, MiB and GPUs in all.

    Parameters
    ----------
    gpus
        How many are handed out; counted anew, one slip of ``nvidia-smi`` would end what waits.
    """
    cores = float(len(os.sched_getaffinity(0)))
    quota = _cpu_quota()
    return Capacity(
        cpu=cores if quota is None else min(cores, quota),
        memory_mb=total_memory_mb(),
        gpu=gpus,
    )
