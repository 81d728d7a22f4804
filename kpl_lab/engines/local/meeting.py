"""Where the replicas of a task find each other on a machine whose loopback they share."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from kpl_lab.errors import EngineError

# Outside the range that the kernel gives to outgoing connections.
_PORTS = range(10_000, 30_000)
_TRIES = 200


def pick(count: int, reserved: range, taken: Collection[range]) -> int:
    """Return the first of ``count`` successive ports that nobody listens at.

    Parameters
    ----------
    reserved
        Ports of services, to which tasks may not connect.
    taken
        What other tasks were given: they may not listen yet.

    Raises
    ------
    EngineError
        None were found.
    """
    for _ in range(_TRIES):
        first = random.randrange(_PORTS.start, _PORTS.stop - count)  # noqa: S311 (no secret)
        wanted = range(first, first + count)
        if any(_overlap(wanted, other) for other in (reserved, *taken)):
            continue
        if all(_is_free(port) for port in wanted):
            return first
    raise EngineError(
        f"No {count} successive ports are free on this machine, at which the processes of the task "
        "could find each other; ask for fewer processes, or wait until others have ended.",
        code="no_ports",
    )


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
