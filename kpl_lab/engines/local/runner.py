"""The local engine's privileged half: ``python -m kpl_lab.engines.local.runner``.

A daemon on a Unix socket that starts and follows supervisors. It keeps nothing in memory that is
not in the folders of workloads, so killing and restarting it loses nothing. It takes calls from the
platform's account, root and its own account only, and trusts none of their paths.
"""

from __future__ import annotations

import logging
from dataclasses import astuple

from kpl_lab import settings as settings_module
from kpl_lab.engines.local import cgroups, connect_filter, machine, namespace
from kpl_lab.engines.local.accounts import accounts_of
from kpl_lab.engines.local.calls import Calls
from kpl_lab.engines.local.options import load_options
from kpl_lab.engines.local.planner import Machine, Planner
from kpl_lab.engines.running.server import CallServer, run_until_asked
from kpl_lab.settings import Settings

log = logging.getLogger(__name__)


class Runner:
    """Serves the calls of one installation."""

    def __init__(self, settings: Settings) -> None:
        options = load_options(settings.home)
        found = Machine(
            hierarchy=cgroups.detect(settings.instance, options.cgroup_mode),
            is_namespaced=namespace.can_enter(),
            gpu_count=machine.count_gpus(),
            filter_obstacle=connect_filter.obstacle(options.service_ports, astuple(settings.ports)),
        )
        log.info(
            "limits by %s, namespaces %s, calls past the front door %s",
            found.hierarchy.mode,
            found.is_namespaced,
            "are refused" if found.filter_obstacle is None else f"work: {found.filter_obstacle}",
        )
        planner = Planner(settings, options, accounts_of(settings, options), found)
        self._calls = Calls(settings, planner)
        self._server = CallServer(settings.home.runner_socket, planner.platform, self._calls)

    async def serve(self) -> None:
        """Take calls until cancelled."""
        self._calls.begin()
        try:
            await self._server.serve()
        finally:
            self._calls.close()


async def _serve() -> None:
    await Runner(settings_module.load()).serve()


def main() -> None:
    """Serve the installation that the environment names until SIGTERM."""
    run_until_asked(_serve())


if __name__ == "__main__":
    main()
