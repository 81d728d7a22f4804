"""Nudges between processes: heard at once where somebody listens, harmless where nobody does."""

from __future__ import annotations

import asyncio

from kpl_lab.platform.events import CONTROLLER, PLATFORM, Nudge, listen
from kpl_lab.settings import Settings


async def test_a_nudge_is_heard(settings: Settings) -> None:
    heard = asyncio.Event()
    transport = await listen(settings.home.run / CONTROLLER, heard.set)
    nudge = Nudge(settings.home)
    nudge()
    async with asyncio.timeout(10):
        await heard.wait()
    nudge.close()
    transport.close()


async def test_who_comes_back_takes_over_the_place_of_the_dead(settings: Settings) -> None:
    path = settings.home.run / PLATFORM
    dead = await listen(path, asyncio.Event().set)
    heard = asyncio.Event()
    alive = await listen(path, heard.set)
    dead.close()
    nudge = Nudge(settings.home)
    nudge()
    async with asyncio.timeout(10):
        await heard.wait()
    nudge.close()
    alive.close()


def test_nobody_needs_to_listen(settings: Settings) -> None:
    nudge = Nudge(settings.home)
    for _ in range(10_000):
        nudge()
    nudge.close()


async def test_a_deaf_listener_blocks_nobody(settings: Settings) -> None:
    transport = await listen(settings.home.run / CONTROLLER, asyncio.Event().set)
    nudge = Nudge(settings.home)
    for _ in range(10_000):
        nudge()
    nudge.close()
    transport.close()
