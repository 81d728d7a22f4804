"""The one engine interface. Every method may be called again after a crash."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from kpl_lab.engines.routing import Route, RouteState
from kpl_lab.engines.spec import (
    Capacity,
    Handle,
    ImageFacts,
    LogChunk,
    MountResult,
    Observation,
    Recipe,
    RegistryLogin,
    Usage,
    Workload,
)


class Engine(ABC):
    """Runs workloads somewhere.

    An engine knows nothing of users, quotas, HTTP or SQL. It keeps workloads running while the
    platform is away, and finds them again by name and labels. Failures are ``EngineError`` with a
    sentence for the user.
    """

    name: str

    @abstractmethod
    def run(self, workload: Workload) -> AsyncIterator[Handle]:
        """Start ``workload``, or bring what runs under its name to its ``replicas``.

        Yields a handle after every durable step, so that a crash in between leaves enough to
        clean up; the last one is complete. Running the same name again adopts it.
        """

    @abstractmethod
    async def stop(self, handle: Handle, *, grace_seconds: float | None = None) -> None:
        """Ask it to end (SIGTERM), and after the grace make it (SIGKILL); returns at once.

        The end arrives through :meth:`watch`. No-op when it is gone already.
        """

    @abstractmethod
    async def delete(self, handle: Handle) -> None:
        """Remove every trace, running or not: processes, mounts, folders, log. Repeatable."""

    @abstractmethod
    def watch(self) -> AsyncIterator[Observation]:
        """Push observations: first everything that exists now, then each change, for ever.

        The first round ends with an observation whose ``name`` is empty ("synced"), so that the
        reader knows which workloads it remembers are gone.
        """

    @abstractmethod
    def logs(
        self, handle: Handle, *, replica: int = 0, offset: int = 0, follow: bool = False
    ) -> AsyncIterator[LogChunk]:
        """Yield the log from ``offset`` on; with ``follow`` until the replica has ended."""

    @abstractmethod
    async def usage(self, handle: Handle, *, replica: int = 0) -> Usage | None:
        """Return present use; None when nothing runs."""

    @abstractmethod
    async def capacity(self) -> Capacity:
        """Return what there is in all, before anything is promised."""

    @abstractmethod
    async def collect(self, handle: Handle, output: str, target: Path) -> int:
        """Put the files of an output key into the new folder ``target``; return their bytes.

        Plain files and folders only: links and devices are left out. Repeatable: an unfinished
        ``target`` of an earlier try is replaced.
        """

    @abstractmethod
    async def mount(self, handle: Handle, source: Path, name: str) -> MountResult:
        """Show the folder ``source`` read-only as ``datasets/<name>`` in a running server."""

    async def mounting(self, handle: Handle, name: str) -> tuple[int, int] | None:
        """Return how many bytes of a mount that is under way have come, and all; None: unknown."""
        return None

    @abstractmethod
    async def unmount(self, handle: Handle, name: str) -> None:
        """Take a live mount away; no-op when it is not there."""

    @abstractmethod
    def build(self, name: str, recipe: Recipe) -> AsyncIterator[Handle]:
        """Make an environment; runs, is watched, logged and stopped as a workload ``name``."""

    @abstractmethod
    async def find_image(self, digest: str) -> str | None:
        """Return the reference of a finished environment, or None."""

    @abstractmethod
    async def inspect_image(
        self, reference: str, *, login: RegistryLogin | None = None
    ) -> ImageFacts:
        """Look for an image, bringing it here where it is not, and say what is in it.

        ``EngineError`` where it cannot be had, with a code of what is wrong: ``image_missing``,
        ``registry_unreachable``, ``registry_denied``, ``wrong_architecture``, ``image_unusable``.
        """

    async def remove_image(self, reference: str) -> bool:
        """Remove what :meth:`build` has made; return whether it is gone. Repeatable.

        What runs, or is stood on by something else that was made, stays. An engine whose machines
        clear images away by themselves has nothing to do.
        """
        return True

    async def route(self, wanted: Sequence[Route]) -> Sequence[RouteState]:
        """Bring the ways past the front door to exactly these; say what has become of each.

        Repeatable. An engine that has none leaves all calls to the front door, and says nothing.
        """
        return ()

    async def telemetry(self) -> str:
        """Return what the engine's own process counts, in Prometheus' format; empty: it has none."""
        return ""

    async def close(self) -> None:  # noqa: B027 (most engines hold nothing)
        """Let go of connections; workloads go on."""
