"""As much of tasks and servers as a look at all of them needs: there may be thousands."""

from __future__ import annotations

from typing import NamedTuple


class TaskStep(NamedTuple):
    """How far a task is, and what is wanted of it."""

    id: int
    attempt: int
    state: str
    desired: str


class ServerStep(NamedTuple):
    """How far a server is."""

    id: int
    state: str


class Held(NamedTuple):
    """What workloads of one owner in one resource pool hold: cores, MiB, GPUs."""

    pool: str
    owner: str
    cpu: float
    memory: float
    gpu: float
