"""The local engine as the platform sees it: an unprivileged client of the runner."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kpl_lab.engines.local.images import facts_of
from kpl_lab.engines.running.client import RunnerEngine
from kpl_lab.engines.spec import ImageFacts, RegistryLogin
from kpl_lab.settings import Home, Settings


class LocalEngine(RunnerEngine):
    """Runs workloads as processes of this machine.

    Its :meth:`facts` are ``cgroups`` (``v2``, ``v1`` or ``none``), ``controllers``,
    ``namespaces``, ``root``, ``gpus`` and ``warm`` (the next notebook server starts from a process
    that has imported it).

    Parameters
    ----------
    home
        The installation, whose ``run/runner.sock`` is called.
    patience_seconds
        How long a call waits for a runner that does not answer.
    """

    name = "local"

    def __init__(self, home: Home, *, patience_seconds: float = 15.0) -> None:
        super().__init__(home, home.local, patience_seconds=patience_seconds)

    @classmethod
    def from_settings(cls, settings: Settings) -> LocalEngine:
        """Return the engine of an installation; the entry point."""
        return cls(settings.home)

    async def inspect_image(
        self, reference: str, *, login: RegistryLogin | None = None
    ) -> ImageFacts:
        """Return what is installed in an environment; nobody signs in to a folder."""
        del login
        return await asyncio.to_thread(facts_of, Path(reference))
