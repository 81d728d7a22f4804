"""The Docker engine's privileged half: ``python -m kpl_lab.engines.docker.runner``.

A daemon on a Unix socket that alone holds Docker's socket. It keeps nothing in memory that is not
in the folders of workloads or in Docker, so killing and restarting it loses nothing. It takes calls
from the platform's account, root and its own account only, and trusts none of their paths.
"""

from __future__ import annotations

import os
from pathlib import Path

from kpl_lab import settings as settings_module
from kpl_lab.engines.docker.calls import Calls
from kpl_lab.engines.docker.daemon import Daemon
from kpl_lab.engines.docker.options import load_options
from kpl_lab.engines.docker.planner import Machine, Planner
from kpl_lab.engines.local import machine, namespace
from kpl_lab.engines.local.accounts import accounts_of
from kpl_lab.engines.running.server import CallServer, run_until_asked
from kpl_lab.settings import Settings


async def serve(settings: Settings) -> None:
    """Take calls until cancelled; while the daemon is away those that need it are told so."""
    options = load_options(settings.home)
    daemon = Daemon(Path(options.socket))
    found = Machine(
        cores=float(os.cpu_count() or 1),
        gpu_count=machine.count_gpus(),
        can_mount=namespace.can_enter(),
    )
    planner = Planner(settings, options, accounts_of(settings), found)
    calls = Calls(settings, planner, daemon)
    calls.begin()
    try:
        await CallServer(settings.home.runner_socket, planner.platform, calls).serve()
    finally:
        await calls.close()
        await daemon.close()


async def _serve() -> None:
    await serve(settings_module.load())


def main() -> None:
    """Serve the installation that the environment names until SIGTERM."""
    run_until_asked(_serve())


if __name__ == "__main__":
    main()
