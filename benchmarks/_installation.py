"""A running installation of its own for the benchmarks that need one."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import psutil

from benchmarks._common import until
from kpl_lab.client import Client, Credentials
from tests.installation import Installation, processes_of, running_installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def installation(
    running: AbstractContextManager[Installation] | None = None,
) -> Iterator[tuple[Client, Installation]]:
    """Start an installation; give a client and the installation; take it down.

    Parameters
    ----------
    running
        Starts it; None: it is one on the local engine.

    Raises
    ------
    RuntimeError
        It left a process or a mount behind.
    """
    with running or running_installation("kpl-bench-") as found:
        credentials = Credentials(found.url, found.credentials["token"])
        with Client(credentials) as client:
            yield client, found
    nothing_left(found.home)


def nothing_left(home: Path) -> None:
    """Make sure that an installation that was taken down is gone.

    Raises
    ------
    RuntimeError
        It left a process or a mount behind.
    """
    try:
        until(lambda: not processes_of(home), "the last processes", seconds=10)
    except TimeoutError:
        raise RuntimeError(f"left behind: {processes_of(home)}") from None
    mounts = [one.mountpoint for one in psutil.disk_partitions(all=True)]
    if left := [place for place in mounts if place.startswith(str(home.parent))]:
        raise RuntimeError(f"left mounted: {', '.join(left)}")
