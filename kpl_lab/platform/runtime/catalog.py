"""Follows the administrator's catalog file: read at the start and whenever it has changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from kpl_lab.errors import Invalid, KplError
from kpl_lab.platform.domain import catalog_file
from kpl_lab.platform.runtime.world import Key, World
from kpl_lab.retry import backoff

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0


class CatalogFollower:
    """Takes up the catalog file; while it is wrong, the last good one stays."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._taken_up: object = None
        self._told: str | None = None

    async def run(self) -> None:
        """Follow the file until cancelled."""
        await self._look()
        for wait in backoff(max_seconds=LOOK_SECONDS):
            with contextlib.suppress(KplError):
                for id in await self._world.read(lambda s: s.images.ids()):
                    # What is in it may have changed while nobody looked.
                    self._world.add(Key("images", id))
                break
            await asyncio.sleep(wait)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        context = self._world.context
        try:
            catalog = await asyncio.to_thread(catalog_file.load, context)
            if catalog != self._taken_up:
                await self._world.write(lambda s: catalog_file.take_up(s, context, catalog))
                self._taken_up = catalog
                log.info("the image catalog has %s entries", len(catalog.entries))
            self._told = None
        except Invalid as error:
            self._tell(
                f"the image catalog cannot be used, the last good one stays: {error.message}"
            )
        except KplError as error:
            self._tell(f"the image catalog could not be taken up: {error.message}")

    def _tell(self, text: str) -> None:
        if text != self._told:
            log.warning("%s", text)
        self._told = text
