"""An engine that runs nothing: workloads live in memory and follow a script.

For demos and for tests of everything above the engines. It keeps the whole contract of
:class:`~kpl_lab.engines.base.Engine` (the shared suite runs against it), can be slow, and can
fail at a chosen stage.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.engines.base import Engine
from kpl_lab.engines.fake.lives import Life, Lives
from kpl_lab.engines.fake.script import Script, Stage
from kpl_lab.engines.spec import (
    Capacity,
    Cause,
    Handle,
    ImageFacts,
    Kind,
    LogChunk,
    MountResult,
    Observation,
    Recipe,
    RegistryLogin,
    Replica,
    Usage,
    Workload,
)
from kpl_lab.errors import EngineError

# Enough of a Python environment for a notebook server.
NOTEBOOK_IMAGE = ImageFacts(
    packages={"python": "3.11.9", "jupyterlab": "4.4.1", "kpl-lab": "0.1.0", "numpy": "2.2.0"}
)


class FakeEngine(Engine):
    """Plays workloads from scripts.

    Parameters
    ----------
    script
        What workloads do: one script for all, or a function from the workload.
    delay_seconds
        How long every call takes.
    fail_at
        Stages that raise; the set may be changed at any time.
    capacity
        What :meth:`capacity` answers.
    clock
        Source of ``started_at`` and ``ended_at``.

    Attributes
    ----------
    catalog
        What is in an image, or why it cannot be had; what it does not name has JupyterLab.
    logins
        With what each image was asked for.
    recipes
        What each build was to make.
    """

    name = "fake"

    def __init__(
        self,
        script: Script | Callable[[Workload], Script] | None = None,
        *,
        delay_seconds: float = 0.0,
        fail_at: set[Stage] | None = None,
        capacity: Capacity | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.script = script or Script()
        self.delay_seconds = delay_seconds
        self.fail_at = fail_at if fail_at is not None else set()
        self.catalog: dict[str, ImageFacts | EngineError] = {}
        self.logins: dict[str, RegistryLogin | None] = {}
        self.recipes: dict[str, Recipe] = {}
        self._capacity = capacity or Capacity(cpu=8.0, memory_mb=16384, gpu=2)
        self._lives = Lives(clock)

    @property
    def images(self) -> dict[str, str]:
        """What builds have made: reference by digest."""
        return self._lives.images

    @property
    def workloads(self) -> Mapping[str, Workload]:
        """Everything that exists now, by name."""
        return {name: life.workload for name, life in self._lives.by_name.items()}

    async def run(self, workload: Workload) -> AsyncIterator[Handle]:
        """Start ``workload`` or bring it to its number of replicas."""
        await self._enter(Stage.CREATE)
        life = self._lives.by_name.get(workload.name)
        if life is None:
            life = Life(workload, self._script_of(workload))
            self._lives.by_name[workload.name] = life
        life.workload = replace(life.workload, replicas=workload.replicas)
        yield self._handle(workload.name)
        await self._enter(Stage.START)
        await self._lives.scale(life)
        yield self._handle(workload.name, started=True)

    async def stop(self, handle: Handle, *, grace_seconds: float | None = None) -> None:
        """Let the workload end as stopped."""
        await self._enter(Stage.STOP)
        life = self._lives.by_name.get(handle.name)
        if life is None or life.is_stopping:
            return
        life.is_stopping = True
        grace = life.workload.grace_seconds if grace_seconds is None else grace_seconds
        self._lives.stop(life, grace if life.script.is_stubborn else 0.0)

    async def delete(self, handle: Handle) -> None:
        """Forget the workload."""
        await self._enter(Stage.DELETE)
        life = self._lives.by_name.pop(handle.name, None)
        if life is None:
            return
        life.cancel()
        await self._lives.publish(replace(life.observe(), replicas=(), gone=True))

    def watch(self) -> AsyncIterator[Observation]:
        """Yield all that exists, then every change."""
        return self._lives.watch()

    def logs(
        self, handle: Handle, *, replica: int = 0, offset: int = 0, follow: bool = False
    ) -> AsyncIterator[LogChunk]:
        """Yield what the replica has printed."""
        return self._lives.log(handle.name, replica, offset, follow=follow)

    async def usage(self, handle: Handle, *, replica: int = 0) -> Usage | None:
        """Return the same numbers for everything that runs."""
        life = self._lives.by_name.get(handle.name)
        if life is None or life.has_ended(replica):
            return None
        return Usage(cpu=0.5, cpu_seconds=1.0, memory_mb=64, memory_peak_mb=80, processes=1)

    async def capacity(self) -> Capacity:
        """Return what the constructor was given."""
        return self._capacity

    async def collect(self, handle: Handle, output: str, target: Path) -> int:
        """Write the script's files for ``output`` into ``target``."""
        await self._enter(Stage.COLLECT)
        life = self._lives.by_name.get(handle.name)
        if life is None:
            raise EngineError(f"{handle.name} is not there any more.", code="gone")
        return await asyncio.to_thread(_write, life.script.outputs.get(output, {}), target)

    async def mount(self, handle: Handle, source: Path, name: str) -> MountResult:
        """Note the mount."""
        await self._enter(Stage.MOUNT)
        life = self._lives.by_name.get(handle.name)
        if life is None or life.has_ended(0):
            raise EngineError(f"The server {handle.name} does not run.", code="not_running")
        life.mounts[name] = source
        return MountResult(path=f"~/datasets/{name}", enforced=True)

    async def unmount(self, handle: Handle, name: str) -> None:
        """Forget the mount."""
        await self._enter(Stage.MOUNT)
        life = self._lives.by_name.get(handle.name)
        if life is not None:
            life.mounts.pop(name, None)

    async def build(self, name: str, recipe: Recipe) -> AsyncIterator[Handle]:
        """Run the build as a workload; its image exists when it has ended well."""
        await self._enter(Stage.BUILD)
        self.recipes[name] = recipe
        workload = Workload(
            name=name,
            kind=Kind.BUILD,
            labels=recipe.labels,
            image=recipe.base,
            command=("/bin/sh", "-c", " && ".join(recipe.runs) or "true"),
            identity=f"build:{name}",
            limits=recipe.limits,
            environment={"KPL_DIGEST": recipe.digest},
        )
        async for handle in self.run(workload):
            yield handle

    async def find_image(self, digest: str) -> str | None:
        """Return the reference of what a build made."""
        return self.images.get(digest)

    async def remove_image(self, reference: str) -> bool:
        """Forget what a build made, unless something runs in it."""
        if any(one.image == reference for one in self.workloads.values()):
            return False
        for digest in [digest for digest, made in self.images.items() if made == reference]:
            del self.images[digest]
        return True

    async def inspect_image(
        self, reference: str, *, login: RegistryLogin | None = None
    ) -> ImageFacts:
        """Return what ``catalog`` holds of it; what it does not name is like the default."""
        self.logins[reference] = login
        found = self.catalog.get(reference, NOTEBOOK_IMAGE)
        if isinstance(found, EngineError):
            raise found
        return found

    async def close(self) -> None:
        """Cancel what is still being played."""
        for life in self._lives.by_name.values():
            life.cancel()

    async def say(self, name: str, text: bytes, *, replica: int = 0) -> None:
        """Let a replica print ``text``."""
        await self._lives.say(self._lives.by_name[name], text, replica)

    async def set_replica(self, name: str, replica: Replica) -> None:
        """Let the engine see ``replica``; for states that no script leads to."""
        life = self._lives.by_name[name]
        life.replicas[replica.index] = replica
        await self._lives.publish(life.observe())

    async def finish(
        self, name: str, *, replica: int = 0, exit_code: int = 0, cause: Cause = Cause.EXIT
    ) -> None:
        """End a replica now, or as soon as it has begun."""
        life = self._lives.by_name[name]
        await self._lives.has_begun(life, replica)
        await self._lives.end(life, replica, exit_code=exit_code, cause=cause)

    async def forget(self, name: str) -> None:
        """Lose a workload without a word, as a machine that is switched off."""
        life = self._lives.by_name.pop(name)
        life.cancel()

    async def _enter(self, stage: Stage) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if stage in self.fail_at:
            raise EngineError(
                f"The fake engine was told to fail at {stage.value}.", code=f"fake_{stage.value}"
            )

    def _script_of(self, workload: Workload) -> Script:
        return self.script(workload) if callable(self.script) else self.script

    def _handle(self, name: str, **data: bool) -> Handle:
        return Handle(engine=self.name, name=name, data=data)


def _write(files: Mapping[str, bytes], target: Path) -> int:
    """Write ``files`` below a fresh ``target``; return their bytes."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path, content in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return sum(len(content) for content in files.values())
