"""Environments and images: built, loaded and sent by the daemon, as workloads."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kpl_lab.engines.docker import archive, buildkit, names, recipes
from kpl_lab.engines.docker.daemon import DaemonGone, Event, Json
from kpl_lab.engines.docker.images import given_otherwise, not_here
from kpl_lab.engines.docker.ledger import Entry
from kpl_lab.engines.docker.names import Role
from kpl_lab.engines.running import status as statuses
from kpl_lab.engines.running.ends import exit_code_of, memory_numbers
from kpl_lab.engines.running.logfile import LogFile
from kpl_lab.engines.running.pushing import refusal_of_push
from kpl_lab.engines.running.rules import signal_name
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, Kind, Push, Recipe, ReplicaState, Workload
from kpl_lab.errors import EngineError, Invalid
from kpl_lab.formats.dockerfile import check_triggers
from kpl_lab.retry import backoff

if TYPE_CHECKING:
    from kpl_lab.engines.docker.life import Tools

_CODE = re.compile(r"(?:returned a non-zero code|exit code): (\d+)")
_RUNNING = re.compile(r"Running in ([0-9a-f]{12})")
_CLOCK_SECONDS = 1.0  # the daemon's events have its own time
_MIB = 1 << 20
_GIB = 1 << 30
_DISK_SECONDS = 2.0
_DEFAULT_NETWORK = "bridge"
# Of each layer once and more.
_NO_NEWS = ("Preparing", "Waiting", "Pulling fs layer", "Verifying Checksum")
_NO_SPACE = re.compile(r"no space left on device", re.I)


def workload_of(name: str, recipe: Recipe) -> Workload:
    """Return the workload as which a build is known."""
    return Workload(
        name=name,
        kind=Kind.BUILD,
        labels=recipe.labels,
        image=recipe.base,
        command=(),
        identity=f"build:{name}",
        limits=recipe.limits,
        time_limit_seconds=recipe.time_limit_seconds,
    )


def _free_bytes(folder: str) -> int | None:
    """Return the room that is left; None where the daemon's folder is not on this machine."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _news_of(item: Mapping[str, object]) -> bytes:
    """Return what a pull or push says of a layer or of itself; how far it is, is no news."""
    status, layer = str(item.get("status") or ""), item.get("id")
    if not status or "progress" in item or status in _NO_NEWS:
        return b""
    return f"{layer}: {status}\n".encode() if layer else f"{status}\n".encode()


@dataclass
class Said:
    """What a builder has said.

    Attributes
    ----------
    container
        Short id of the step that ran last.
    error
        Why it has failed.
    """

    container: str | None = None
    error: str | None = None
    _progress: buildkit.Progress = field(default_factory=buildkit.Progress)

    def note(self, item: Mapping[str, object]) -> bytes:
        """Take a message; returns its text for the log. Progress bars are left out."""
        if item.get("id") == buildkit.TRACE:
            return self._progress.read(str(item.get("aux", "")))
        if "stream" in item:
            text = str(item["stream"])
            found = _RUNNING.search(text)
            self.container = found.group(1) if found else self.container
            return text.encode()
        if "error" in item:
            self.error = str(item["error"])
            return f"[kpl] the build has failed: {self.error}\n".encode()
        return _news_of(item)

    @property
    def exit_code(self) -> int:
        """The exit code of the step that has failed; 1 where it was no step."""
        found = _CODE.search(self.error or "")
        return exit_code_of(int(found.group(1))) if found else 1


class _DiskFull(EngineError):
    """A build has left too little room."""


class BuildLife:
    """One build, from its recipe to its final status.

    The builder ends with its connection: a runner that is started again begins it once more, and
    the daemon's cache has the steps that were done.
    """

    def __init__(self, entry: Entry, recipe: Recipe, tools: Tools) -> None:
        self._entry, self._recipe, self._tools = entry, recipe, tools
        self._options = tools.planner.options
        self._installation = tools.planner.installation
        self._place = entry.place(0)
        self._status = entry.statuses[0]
        self._log = LogFile(
            self._place.log,
            max_bytes=self._options.log_max_bytes,
            gid=tools.planner.platform.gid,
        )
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Look at what was asked for."""
        if self._place.stop.exists():
            self._stopping.set()

    def look(self) -> None:
        """Do nothing: a build notices by itself that the daemon has gone."""

    def tell(self, event: Event) -> None:
        """Do nothing: a build has no container of ours."""

    def tell_beside(self, role: Role, event: Event) -> None:
        """Do nothing: nothing runs beside a build."""

    async def run(self) -> None:
        """Build, and tell how it went."""
        status = self._status
        if status.is_final:
            return
        try:
            status.started_at = status.started_at or statuses.now()
            status.state = ReplicaState.RUNNING
            self._save()
            self.wake()
            status.exit_code, end = await self._build_within_limits()
            status.cause = end.cause
            status.detail |= end.detail
            status.state, status.ended_at, status.is_final = (
                ReplicaState.EXITED,
                statuses.now(),
                True,
            )
            self._save()
        finally:
            self._log.close()

    async def _build_within_limits(self) -> tuple[int | None, Doom]:
        limit = self._recipe.time_limit_seconds
        building = asyncio.create_task(self._build_until_done())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            timeout = max(0.0, limit - self._seconds())
            await asyncio.wait(
                {building, stopping}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if building.done():
                return building.result()
            if stopping.done():
                return None, Doom(Cause.STOPPED)
            return None, Doom(Cause.TIME_LIMIT, {"limit_seconds": limit})
        finally:
            for one in (building, stopping):
                one.cancel()
            await asyncio.wait({building, stopping})

    def _seconds(self) -> float:
        started = dt.datetime.fromisoformat(self._status.started_at or statuses.now())
        return (dt.datetime.now(dt.UTC) - started).total_seconds()

    async def _build_until_done(self) -> tuple[int, Doom]:
        for wait in backoff(max_seconds=2.0):
            try:
                return await self._build()
            except DaemonGone:
                self._log.note("the Docker daemon has gone; the build goes on when it is back")
                await asyncio.sleep(wait)
            except _DiskFull as error:
                self._log.note(error.message)
                return 1, Doom(Cause.DISK_FULL, dict(error.detail))
            except (EngineError, OSError, tarfile.TarError) as error:
                text = error.message if isinstance(error, EngineError) else str(error)
                self._log.note(f"the build has failed: {text}")
                return 1, Doom(Cause.START_FAILED, {"error": text})
        raise AssertionError("unreachable")

    async def _build(self) -> tuple[int, Doom]:
        daemon, recipe = self._tools.daemon, self._recipe
        reference = names.image(self._installation, recipe.digest)
        if await daemon.has_image(reference):
            self._log.note("the environment is there already")
        else:
            said, began = Said(), time.time()
            reached = self._tools.ceiling.times_reached()
            if recipe.archive is not None:
                await self._load(said, Path(recipe.archive), reference)
            else:
                await self._make(said)
            if said.error is not None:
                return said.exit_code, await self._cause_of(said, began, reached)
            await self._check_result(reference)
        if recipe.push is not None:
            await self._push(reference, recipe.push)
        self._log.note("the environment is ready")
        return 0, Doom(Cause.EXIT)

    async def _make(self, said: Said) -> None:
        """Have the daemon build, with the builder that understands it."""
        recipe, options = self._recipe, self._options
        await self._tools.network.guard(options.build_network or _DEFAULT_NETWORK)
        await self._get_bases(said)
        if said.error is not None:
            return
        with tempfile.TemporaryFile() as packed:
            await asyncio.to_thread(recipes.write_context, recipe, options, packed)
            async with self._builder() as chosen:
                params = recipes.parameters(recipe, options, self._installation) | chosen
                await self._read(said, self._tools.daemon.build(packed, params))

    async def _get_bases(self, said: Said) -> None:
        """Pull what a user's Dockerfile stands on, and look at what waits in it to be done."""
        daemon, asked = self._tools.daemon, self._recipe.dockerfile
        for reference in asked.bases if asked is not None else (self._recipe.base,):
            await self._tools.sending.free(reference)
        for reference in asked.bases if asked is not None else ():
            found = await daemon.image(reference)
            if found is None and not self._options.pull:
                raise not_here(reference)
            if found is None:
                try:
                    await self._read(said, daemon.pull(reference))
                except (DaemonGone, _DiskFull):
                    raise
                except EngineError as error:
                    self._log.append(said.note({"error": error.message}))
                if said.error is not None:
                    return
                found = await daemon.image(reference)
            if found is None:
                raise given_otherwise(reference)
            try:
                check_triggers((found.get("Config") or {}).get("OnBuild") or ())
            except Invalid as error:
                raise EngineError(
                    f"Nothing can be built on the image {reference}: {error.message}.",
                    code="no_image",
                ) from error

    @contextlib.asynccontextmanager
    async def _builder(self) -> AsyncGenerator[dict[str, str], None]:
        """Give what chooses the builder: the older, which has limits, or the newer one."""
        asked = self._recipe.dockerfile
        if asked is None or not (asked.secrets or asked.needs_buildkit):
            yield {}
            return
        with self._tools.ceiling.held(self._recipe.limits.memory_mb * _MIB) as is_held:
            if not is_held:
                self._log.note("the memory of this build's steps cannot be limited here")
            async with buildkit.session(Path(self._options.socket), asked.secrets) as session:
                yield {"version": "2", "session": session}

    async def _load(self, said: Said, source: Path, reference: str) -> None:
        """Take in an image that was made elsewhere, under our name."""
        with tempfile.TemporaryFile() as packed:
            await asyncio.to_thread(archive.rename, source, packed, reference)
            await self._read(said, self._tools.daemon.load(packed))

    async def _read(self, said: Said, stream: AsyncGenerator[Json, None]) -> None:
        """Read what the daemon says to its end, or until too little room is left."""
        reading = asyncio.create_task(self._read_all(said, stream))
        watching = asyncio.create_task(self._watch_disk())
        try:
            done, _ = await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in (reading, watching):
                one.cancel()
            await asyncio.wait({reading, watching})

    async def _read_all(self, said: Said, stream: AsyncGenerator[Json, None]) -> None:
        async with contextlib.aclosing(stream):
            async for item in stream:
                self._log.append(said.note(item))

    async def _watch_disk(self) -> None:
        """Return never; raise when a build has left too little room where images are kept."""
        root = str((await self._tools.daemon.info()).get("DockerRootDir", ""))
        least = self._options.build_keep_free_mb * _MIB
        while least and (free := _free_bytes(root)) is not None:
            if free < least:
                raise _DiskFull(
                    f"The build was ended: only {free / _GIB:.1f} GiB were left where Docker keeps "
                    "images.",
                    code="disk_full",
                    detail={"free_mb": free // _MIB, "keep_free_mb": least // _MIB},
                )
            await asyncio.sleep(_DISK_SECONDS)
        await asyncio.Event().wait()

    async def _check_result(self, reference: str) -> None:
        found, most = await self._tools.daemon.image(reference), self._recipe.max_bytes
        if found is None:
            raise DaemonGone("The builder has ended without a word.", code="docker_unreachable")
        size = int(found.get("Size") or 0)
        if most is not None and size > most:
            await self._tools.daemon.remove_image(reference)
            raise EngineError(
                f"The image has {size / _GIB:.1f} GiB; at most {most / _GIB:.1f} GiB are allowed "
                "here. Leave out what it does not need, or ask an administrator for more "
                "(image_limit_gb).",
                code="image_too_large",
                detail={"bytes": size, "limit": most},
            )

    async def _push(self, reference: str, target: Push) -> None:
        daemon, said, name = self._tools.daemon, Said(), target.reference
        async with self._tools.sending.held(name):
            had = await self._is_there(name, await daemon.image(reference))
            self._log.note(f"sending the image to {name}")
            if not had:
                self._status.detail["tagged"] = name
                self._save()
            await daemon.tag(reference, name)
            try:
                await self._read(said, daemon.push(name, target.login))
            finally:
                if not had:
                    await daemon.remove_image(name)
        if said.error is not None:
            raise refusal_of_push(name, said.error)

    async def _is_there(self, name: str, made: Json | None) -> bool:
        """Return whether an image has its name in a registry here already, and not from us.

        Raises
        ------
        EngineError
            Another image has it, which others start from.
        """
        found = await self._tools.daemon.image(name)
        if found is None or self._status.detail.get("tagged") == name:
            return False
        if made is None or found["Id"] != made["Id"]:
            raise EngineError(
                f"The image was made, but could not be sent to {name}. This machine has another "
                "image of that name, which others may use; send it under another tag.",
                code="push_taken",
            )
        return True

    async def _cause_of(self, said: Said, began: float, reached: int) -> Doom:
        """Return why a build has failed; a daemon that ends cancels what it builds."""
        error = said.error or ""
        if "context canceled" in error:
            raise DaemonGone("The daemon has cancelled the build.", code="docker_unreachable")
        if said.exit_code >= 0:
            cause = Cause.DISK_FULL if _NO_SPACE.search(error) else Cause.EXIT
            return Doom(cause, {"error": said.error})
        is_short = self._tools.ceiling.times_reached() > reached or (
            said.container is not None
            and await self._tools.daemon.was_short_of_memory(said.container, began - _CLOCK_SECONDS)
        )
        if is_short:
            return Doom(Cause.OUT_OF_MEMORY, memory_numbers(self._recipe.limits.memory_mb))
        return Doom(Cause.KILLED, {"signal": signal_name(-said.exit_code)})

    def _save(self) -> None:
        self._status.write(self._place.root)
        self._tools.publish(self._entry)
