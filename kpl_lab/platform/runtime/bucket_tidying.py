"""Keeps a bucket as the database says it should be: at the start, and now and then."""

from __future__ import annotations

import asyncio
import logging

from kpl_lab.errors import KplError
from kpl_lab.platform.domain import kept_files
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage.cached import CachedFiles

log = logging.getLogger(__name__)
TIDY_SECONDS = 600.0
AGAIN_SECONDS = 15.0


async def tidy_bucket(world: World) -> None:
    """Send, remove and make room for as long as the controller runs; nothing where there is no bucket."""
    files = world.context.files
    if not isinstance(files, CachedFiles):
        return
    while True:
        files.is_behind = False
        try:
            await _tidy(world, files)
        except (KplError, OSError) as error:
            files.is_behind = True
            log.warning("the object storage could not be tidied: %s", error)
        left = TIDY_SECONDS
        while left > 0:
            await asyncio.sleep(AGAIN_SECONDS)
            left = 0 if files.is_behind else left - AGAIN_SECONDS


async def _tidy(world: World, files: CachedFiles) -> None:
    context = world.context
    found = await world.read(lambda store: kept_files.known(store, files))
    await asyncio.to_thread(
        kept_files.tidy,
        files,
        found,
        context.clock.now(),
        context.options.storage_cache_mb,
        world.fence.check,
    )
