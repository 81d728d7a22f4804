"""Marks by which the kubelet sees that a node's agent goes on: it calls no port, and asks no program of ours."""

from __future__ import annotations

import contextlib
from pathlib import Path

# Set anew with each round, which comes every two seconds: an old one is that of an agent that hangs.
ROUND = "round"
# There while the gate knows the agent.
LINKED = "linked"


class Marks:
    """Files in a folder of the pod.

    Parameters
    ----------
    folder
        It outlives the container: what a former agent has left goes first.
    """

    def __init__(self, folder: Path) -> None:
        self._round, self._linked = folder / ROUND, folder / LINKED
        for one in (self._round, self._linked):
            one.unlink(missing_ok=True)

    def set(self, *, is_linked: bool) -> None:
        """Say that a round was made."""
        with contextlib.suppress(OSError):  # without room nobody is worse off than with a restart
            self._round.touch()
            if is_linked:
                self._linked.touch()
            else:
                self._linked.unlink(missing_ok=True)
