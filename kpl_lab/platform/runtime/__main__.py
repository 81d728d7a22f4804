"""``python -m kpl_lab.platform.runtime``: the controller."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from kpl_lab import settings as installation
from kpl_lab.engines.registry import create_engine
from kpl_lab.errors import KplError
from kpl_lab.platform.context import create_context
from kpl_lab.platform.domain.shutdown import note_open
from kpl_lab.platform.runtime.controller import Controller, only_controller
from kpl_lab.platform.runtime.frontdoor import TraefikApi
from kpl_lab.platform.storage import upgrade

log = logging.getLogger(__name__)


async def _run() -> None:
    settings = installation.load()
    context = create_context(settings, create_engine(settings))
    door = TraefikApi(settings)
    try:
        upgrade.check(context.database.engine)
        async with only_controller(context):
            note_open(settings.home)
            work = asyncio.create_task(Controller(context, front_door=door).run())
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, work.cancel)
            try:
                await work
            except asyncio.CancelledError:
                log.info("told to stop")
                # Work in threads goes on until it is done: the next controller waits for it.
                await loop.shutdown_default_executor()
    finally:
        await door.close()
        await context.engine.close()
        context.close()


def main() -> int:
    """Reconcile until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_run())
    except KplError as error:
        log.critical("%s", error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
