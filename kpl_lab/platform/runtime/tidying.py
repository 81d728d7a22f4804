"""Has the engine remove what was built and nothing uses any more."""

from __future__ import annotations

import datetime as dt
import logging
from functools import partial

from kpl_lab.errors import EngineError
from kpl_lab.platform.domain import unused_images
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage.store import Store

log = logging.getLogger(__name__)


async def remove_unused_images(world: World) -> None:
    """Remove images and environments of builds that nothing has used for long; repeatable.

    Raises
    ------
    KplError
        The engine does not answer; what is left is tried again the next time.
    """
    days = world.context.options.unused_image_days
    if not days:
        return

    def mark(store: Store) -> list[str]:
        return unused_images.mark(store, store.now() - dt.timedelta(days=days))

    async with world.image_lock:
        for reference in await world.write(mark):
            try:
                is_gone = await world.engine.remove_image(reference)
            except EngineError as error:
                log.warning("%s could not be removed: %s", reference, error.message)
                is_gone = False
            note = unused_images.removed if is_gone else unused_images.kept
            await world.write(partial(note, reference=reference))
