"""As much of tasks and servers as tells what is to be done about them: there may be thousands."""

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
