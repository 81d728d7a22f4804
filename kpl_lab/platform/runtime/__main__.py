"""``python -m kpl_lab.platform.runtime``: the controller."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from kpl_lab import log_lines
from kpl_lab import settings as installation
from kpl_lab.engines.registry import create_engine
from kpl_lab.errors import KplError
from kpl_lab.platform.context import Context, create_context
from kpl_lab.platform.domain.shutdown import note_open
from kpl_lab.platform.runtime.controller import Controller
from kpl_lab.platform.runtime.frontdoor import TraefikApi
from kpl_lab.platform.runtime.lease import LEASE_SECONDS, Lease, give_back
from kpl_lab.platform.storage import upgrade

log = logging.getLogger(__name__)


async def _run() -> None:
    settings = installation.load()
    context = create_context(settings, create_engine(settings))
    door = TraefikApi(settings)
    try:
        # One that is paused inside a transaction must not hold the next controller up.
        context.database.limit_idle(LEASE_SECONDS)
        upgrade.check(context.database.engine)
        lease = Lease(context.database, context.clock)
        work = asyncio.create_task(_act(context, lease, door))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            log.info("told to stop")
            # Hours of sending end here: the supervisor waits for seconds.
            context.files.close()
            await give_back(lease, context.transfers)
    finally:
        await door.close()
        await context.engine.close()
        context.close()


async def _act(context: Context, lease: Lease, door: TraefikApi) -> None:
    """Stand by until no other controller acts, then act until told to stop."""
    await lease.acquire()
    note_open(context.settings.home)
    await lease.while_held(Controller(context, front_door=door, fence=lease).run())


def main() -> int:
    """Reconcile until told to stop, or until another controller does."""
    log_lines.begin()
    try:
        asyncio.run(_run())
    except KplError as error:
        log.critical("%s", error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
