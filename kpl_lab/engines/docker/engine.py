"""The Docker engine as the platform sees it: an unprivileged client of the Docker runner."""

from __future__ import annotations

from kpl_lab.engines.running.client import RunnerEngine
from kpl_lab.settings import Home, Settings


class DockerEngine(RunnerEngine):
    """Runs workloads as containers of this machine's Docker daemon.

    The platform never holds Docker's socket: the runner does. Its :meth:`facts` are ``version``,
    ``cgroups``, ``live_restore``, ``init``, ``gpus``, ``mounts`` (live mounts are possible) and
    ``network`` and ``unguarded`` (why metadata services can be reached; empty: they cannot).

    Parameters
    ----------
    home
        The installation, whose ``run/runner.sock`` is called.
    patience_seconds
        How long a call waits for a runner that does not answer.
    """

    name = "docker"

    def __init__(self, home: Home, *, patience_seconds: float = 15.0) -> None:
        super().__init__(home, home.docker, patience_seconds=patience_seconds)

    @classmethod
    def from_settings(cls, settings: Settings) -> DockerEngine:
        """Return the engine of an installation; the entry point."""
        return cls(settings.home)
