"""Ends what runs for users when the installation goes down."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import httpx

from kpl_lab.engines.base import Engine
from kpl_lab.engines.local import mounts, syscalls
from kpl_lab.engines.registry import create_engine
from kpl_lab.engines.spec import Handle, Observation, ReplicaState
from kpl_lab.errors import KplError
from kpl_lab.settings import Secret, Settings
from kpl_lab.supervisor import records
from kpl_lab.supervisor.plan import CONTROLLER, PLATFORM, RUNNER

Say = Callable[[str], None]
SHUTDOWN_SECONDS = 40.0
SWEEP_SECONDS = 30.0
GRACE_SECONDS = 5.0


def end_with_reasons(settings: Settings, say: Say) -> None:
    """Have the platform end tasks and servers, each with its reason, and wait for it.

    No-op where platform or controller do not run: then :func:`sweep` ends everything.
    """
    home = settings.home
    if not all(records.read(home, name).identity for name in (PLATFORM, CONTROLLER)):
        return
    try:
        with httpx.Client(
            base_url=settings.platform_url,
            headers={"Authorization": f"token {home.read_secret(Secret.HUB_TO_PLATFORM)}"},
            timeout=10.0,
            trust_env=False,
        ) as client:
            _shut_down(client, say)
    except (httpx.HTTPError, KplError, ValueError) as error:
        say(f"the platform could not be asked to end what runs ({error})")


def _shut_down(client: httpx.Client, say: Say) -> None:
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    answer, told = client.post("/internal/shutdown"), None
    while time.monotonic() < deadline:
        answer.raise_for_status()
        left = {kind: count for kind, count in answer.json().items() if count}
        if not left:
            return
        if left != told:
            say("ending " + ", ".join(_counted(count, kind) for kind, count in left.items()))
            told = left
        time.sleep(0.1)
        answer = client.get("/internal/shutdown")
    say("some of them did not end in time; they are killed")


def _counted(count: int, kind: str) -> str:
    """Return ``1 task`` or ``2 tasks`` of a kind in the plural."""
    return f"{count} {kind.removesuffix('s') if count == 1 else kind}"


def sweep(settings: Settings, say: Say) -> None:
    """End everything that the engine still runs: replicas of services, and what was left over."""
    if records.read(settings.home, RUNNER).identity is None:
        return
    try:
        asyncio.run(_sweep(settings, say))
    except (KplError, OSError, TimeoutError) as error:
        say(f"the engine could not end everything that runs ({error}); `kpl-lab doctor` lists it")


async def _sweep(settings: Settings, say: Say) -> None:
    engine = create_engine(settings)
    try:
        async with asyncio.timeout(SWEEP_SECONDS):
            await _end_all(engine, say)
    finally:
        await engine.close()


async def _end_all(engine: Engine, say: Say) -> None:
    """Stop what lives; return when the engine has seen all of it end."""
    living: set[str] = set()
    is_synced = False
    async for seen in engine.watch():
        if not seen.name:
            is_synced = True
            if living:
                say(f"ending {_counted(len(living), 'workloads')} of the engine")
        elif _lives(seen):
            if seen.name not in living:
                living.add(seen.name)
                handle = Handle(engine=engine.name, name=seen.name)
                await engine.stop(handle, grace_seconds=GRACE_SECONDS)
        else:
            living.discard(seen.name)
        if is_synced and not living:
            return


def _lives(seen: Observation) -> bool:
    return not seen.gone and any(r.state is not ReplicaState.EXITED for r in seen.replicas)


def unmount_all(settings: Settings) -> None:
    """Take away what is still mounted below the engine's folder; repeatable.

    The runner does this for each server that ends; it may have been ended before it came to it.
    """
    place = settings.home.engine(settings.engine).resolve()
    found = [point for point in mounts.mount_points() if point.is_relative_to(place)]
    for point in sorted(found, reverse=True):
        with contextlib.suppress(OSError):
            syscalls.unmount(point)
