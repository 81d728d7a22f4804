"""Keeps a bucket as the database says it should be: at the start, and now and then."""

from __future__ import annotations

import asyncio
import logging

from kpl_lab.errors import KplError
from kpl_lab.platform.domain import kept_files
from kpl_lab.platform.domain.kept_files import Known
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage import claims
from kpl_lab.platform.storage.cached import CachedFiles
from kpl_lab.retry import backoff

log = logging.getLogger(__name__)
TIDY_SECONDS = 600.0
# How soon what was put off is done.
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 15.0


async def tidy_bucket(world: World) -> None:
    """Send, remove and make room for as long as the controller runs; nothing where there is no bucket."""
    files = world.context.files
    if not isinstance(files, CachedFiles):
        return
    now = world.context.clock.monotonic
    waits, whole_at = backoff(AGAIN_SECONDS, max_seconds=TIDY_SECONDS), now()
    while True:
        pause = LOOK_SECONDS
        try:
            if now() >= whole_at:
                await world.in_bucket_thread(_tidy, world, files)
                whole_at = now() + TIDY_SECONDS
            elif files.pending:
                await world.in_bucket_thread(files.catch_up, world.fence.check)
            waits = backoff(AGAIN_SECONDS, max_seconds=TIDY_SECONDS)
        # Whatever it is, and be it a bug: the controller has other things to do.
        except Exception as error:
            log.warning(
                "the object storage could not be tidied: %s", error, exc_info=_is_bug(error)
            )
            pause = next(waits)
        await asyncio.sleep(pause)


def _is_bug(error: Exception) -> bool:
    return not isinstance(error, KplError | OSError)


def _tidy(world: World, files: CachedFiles) -> None:
    context = world.context

    def ask() -> Known:
        with context.database.store(reads_only=True) as store:
            return kept_files.known(store, files)

    # Another database would take everything for orphans.
    claims.claim(context.database, files.remote, context.settings.instance)
    limit = context.options.storage_cache_mb
    kept_files.tidy(files, ask, context.clock.now(), limit, world.fence.check)
