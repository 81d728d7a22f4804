"""``python -m kpl_lab.supervisor``: keeps the platform's processes running.

SIGTERM ends it and leaves them running (``kpl-lab up`` adopts them); with ``--attached`` it takes
them along. SIGHUP starts at once what waits for its next start; after SIGUSR1 nothing is started any
more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from kpl_lab import log_lines
from kpl_lab import settings as installation
from kpl_lab.engines.local import syscalls
from kpl_lab.supervisor import frontdoor, launch, records
from kpl_lab.supervisor.ending import end_processes
from kpl_lab.supervisor.home import prepare
from kpl_lab.supervisor.keeper import Keeper
from kpl_lab.supervisor.plan import FRONTDOOR, plans, supervisor_digest

PR_SET_CHILD_SUBREAPER = 36


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="kpl_lab.supervisor")
    parser.add_argument("--without", action="append", default=[], help="a process not to start")
    parser.add_argument("--attached", action="store_true", help="end the processes at SIGTERM")
    options = parser.parse_args(arguments)
    log_lines.begin()
    settings = installation.load()
    account = prepare(settings)
    if FRONTDOOR not in options.without:
        frontdoor.write_config(settings, account)
    kept = [p for p in plans(settings, account, os.environ) if p.name not in options.without]
    namespaces = {p.name: launch.needs_namespace(settings.home, p.account) for p in kept}
    # Orphans come to us and are taken leave of, also where process 1 does not do it.
    with contextlib.suppress(OSError):
        syscalls.prctl(PR_SET_CHILD_SUBREAPER, 1)
    keeper = Keeper(settings.home, kept, namespaces)
    # Before the record says that we keep it all: from then on anything may be killed.
    keeper.take_doors()
    digest = supervisor_digest(kept)
    records.write(settings.home, records.record_of(records.SUPERVISOR, os.getpid(), plan=digest))
    asyncio.run(_run(keeper))
    if options.attached:
        end_processes(settings.home, kept)


async def _run(keeper: Keeper) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(keeper.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    loop.add_signal_handler(signal.SIGHUP, keeper.retry_now)
    loop.add_signal_handler(signal.SIGUSR1, keeper.rest)
    with contextlib.suppress(asyncio.CancelledError):
        await work


if __name__ == "__main__":
    main()
