"""Tasks of several processes: N nodes with M processes each (decision 0021).

Two ways to start them. ``process``: the platform starts the command once for each process, as
``torchrun`` would. ``node``: once on each node, for commands that start processes themselves.
"""

from __future__ import annotations

import re
from pathlib import Path

from kpl_lab.errors import Invalid
from kpl_lab.platform.domain import launcher
from kpl_lab.platform.storage.records.work import TaskRecord

MAX_PROCESSES = 4096
# Commands that start processes themselves, and read how many from their options or variables.
_LAUNCHERS = re.compile(
    r"(?:^|[\s;&|/(])(?:torchrun|torch\.distributed\.(?:run|launch)|accelerate\s+launch|deepspeed"
    r"|mpirun|mpiexec|horovodrun|colossalai\s+run)(?=[\s;&|)]|$)"
)
# Variables whose values only the engine knows.
TEMPLATES = ("MA_JOB_DIR", "MASTER_PORT", "NODE_RANK", "VC_TASK_INDEX", "VC_WORKER_HOSTS")


def way_of(command: str, launch: str | None) -> str:
    """Return who starts the processes: what was asked for, else what the command looks like."""
    if launch is not None:
        return launch
    return "node" if _LAUNCHERS.search(command) else "process"


def check(nodes: int, processes: int) -> None:
    """Refuse more processes than anybody means.

    Raises
    ------
    Invalid
        Says how many there may be.
    """
    total = nodes * processes
    if total > MAX_PROCESSES:
        raise Invalid(
            f"{nodes} nodes with {processes} processes each are {total} processes; a task may have "
            f"{MAX_PROCESSES}.",
            code="too_many_processes",
        )


def is_distributed(task: TaskRecord) -> bool:
    """Say whether a task has several processes."""
    return task.nodes > 1 or task.processes > 1


def variables(task: TaskRecord) -> dict[str, str]:
    """Return the facts of distributed work, under PyTorch's and ModelArts' names.

    The launcher adds those that differ between the processes of a node.
    """
    return {
        "VC_WORKER_HOSTS": "{{hosts}}",
        "VC_TASK_INDEX": "{{replica}}",
        "MA_NUM_HOSTS": str(task.nodes),
        "MA_NUM_GPUS": str(task.gpu),
        "MA_JOB_DIR": "{{work}}",
        "MASTER_PORT": "{{meeting}}",
        "WORLD_SIZE": str(task.nodes * task.processes),
        "NNODES": str(task.nodes),
        "NODE_RANK": "{{replica}}",
        "NPROC_PER_NODE": str(task.processes),
        "KPL_LAUNCH": task.launch,
    }


def command(line: str) -> tuple[str, ...]:
    """Return the argument vector of a node: the launcher before the user's line."""
    text = Path(launcher.__file__).read_text("utf-8")
    return ("python3", "-I", "-S", "-c", text, "/bin/sh", "-c", line)


def meeting_ports(task: TaskRecord) -> int:
    """Return how many ports its processes need to meet: PyTorch's one, and TensorFlow's one each."""
    return 1 + task.nodes * task.processes
