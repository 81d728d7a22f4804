"""An engine as the platform sees it: an unprivileged client of a runner beside it.

The runner may be away for a moment (its supervisor restarts it within two seconds): every call
waits for it and is repeated, which all of them allow. Logs are files and read without it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path

from kpl_lab.engines.base import Engine
from kpl_lab.engines.running.protocol import (
    MAX_LINE_BYTES,
    TELEMETRY,
    Json,
    SocketPath,
    decode,
    encode,
    raise_error,
    to_line,
)
from kpl_lab.engines.running.status import Status
from kpl_lab.engines.spec import (
    Capacity,
    Handle,
    ImageFacts,
    LogChunk,
    MountResult,
    Observation,
    Recipe,
    RegistryLogin,
    Usage,
    Workload,
)
from kpl_lab.errors import Unavailable
from kpl_lab.retry import backoff
from kpl_lab.settings import Home
from kpl_lab.telemetry.instruments import engine_call

_READ_BYTES = 256 * 1024
# A log that grows is looked at often, one that rests seldom.
_FOLLOW_FIRST_SECONDS = 0.01
_FOLLOW_LAST_SECONDS = 0.2


class _RunnerGone(Exception):
    """The connection broke before the answer was whole."""


class RunnerEngine(Engine):
    """Passes every call on to a runner.

    Parameters
    ----------
    home
        The installation, whose ``run/runner.sock`` is called.
    folder
        Where the runner keeps ``workloads/<name>/replicas/<i>/`` with logs and statuses.
    patience_seconds
        How long a call waits for a runner that does not answer.
    """

    def __init__(self, home: Home, folder: Path, *, patience_seconds: float = 15.0) -> None:
        self._home = home
        self._folder = folder
        self._patience_seconds = patience_seconds
        self._is_apart = False

    def stand_apart(self) -> None:
        """Be the engine of a process on another machine than the runner's.

        It believes what was noted of the capacity and reads logs; all other calls fail.
        """
        self._is_apart = True

    async def run(self, workload: Workload) -> AsyncIterator[Handle]:
        """Start the workload, or bring it to its replicas.

        Replicas of a service that were stopped, killed or lost are started again; those that
        failed by themselves, and anything else that has ended, are not.
        """
        async for item in self._stream("run", {"workload": encode(workload)}):
            yield decode(Handle, item)

    async def stop(self, handle: Handle, *, grace_seconds: float | None = None) -> None:
        """Ask for the end."""
        await self._call("stop", {"name": handle.name, "grace_seconds": grace_seconds})

    async def delete(self, handle: Handle) -> None:
        """Remove every trace."""
        await self._call("delete", {"name": handle.name})

    async def watch(self) -> AsyncIterator[Observation]:
        """Yield observations for ever; after a restart of the runner, everything once more."""
        waits = backoff()
        while True:
            try:
                async for item in self._exchange("watch", {}):
                    yield decode(Observation, item)
                    waits = backoff()
            except (OSError, _RunnerGone):
                pass
            await asyncio.sleep(next(waits))

    async def logs(
        self, handle: Handle, *, replica: int = 0, offset: int = 0, follow: bool = False
    ) -> AsyncIterator[LogChunk]:
        """Yield the log file from ``offset`` on."""
        folder = self._folder / "workloads" / handle.name / "replicas" / str(replica)
        waits = backoff(_FOLLOW_FIRST_SECONDS, factor=1.5, max_seconds=_FOLLOW_LAST_SECONDS)
        while True:
            # The state first: what is written after a look at it cannot be missed.
            status = await asyncio.to_thread(Status.read, folder) if follow else None
            data = await asyncio.to_thread(_read_at, folder / "log", offset)
            if data:
                yield LogChunk(data=data, offset=offset)
                offset += len(data)
                waits = backoff(_FOLLOW_FIRST_SECONDS, factor=1.5, max_seconds=_FOLLOW_LAST_SECONDS)
            elif status is None or status.is_final:
                return
            else:
                await asyncio.sleep(next(waits))

    async def usage(self, handle: Handle, *, replica: int = 0) -> Usage | None:
        """Return present use."""
        found = await self._call("usage", {"name": handle.name, "replica": replica})
        return None if found is None else decode(Usage, found)

    async def capacity(self) -> Capacity:
        """Return what the machine has, or what we may use of it."""
        if self._is_apart:
            return await asyncio.to_thread(read_capacity, self._home)
        return decode(Capacity, await self._call("capacity", {}))

    async def collect(self, handle: Handle, output: str, target: Path) -> int:
        """Put an output's files into ``target``, which must lie in the store."""
        args = {"name": handle.name, "output": output, "target": str(target)}
        return int(await self._call("collect", args))

    async def mount(self, handle: Handle, source: Path, name: str) -> MountResult:
        """Show a folder of the store in a server."""
        args = {"name": handle.name, "source": str(source), "mount": name}
        return decode(MountResult, await self._call("mount", args))

    async def unmount(self, handle: Handle, name: str) -> None:
        """Take a live mount away."""
        await self._call("unmount", {"name": handle.name, "mount": name})

    async def build(self, name: str, recipe: Recipe) -> AsyncIterator[Handle]:
        """Make an environment as workload ``name``."""
        async for item in self._stream("build", {"name": name, "recipe": encode(recipe)}):
            yield decode(Handle, item)

    async def find_image(self, digest: str) -> str | None:
        """Return the reference of a finished environment."""
        found = await self._call("find_image", {"digest": digest})
        return None if found is None else str(found)

    async def remove_image(self, reference: str) -> bool:
        """Remove a finished environment that nothing here needs."""
        return bool(await self._call("remove_image", {"reference": reference}))

    async def inspect_image(
        self, reference: str, *, login: RegistryLogin | None = None
    ) -> ImageFacts:
        """Return what is in an image, having it brought where it is to run."""
        args = {"reference": reference, "login": None if login is None else encode(login)}
        return decode(ImageFacts, await self._call("inspect_image", args))

    async def facts(self) -> Mapping[str, Json]:
        """Return what limits and views rest on here, for ``kpl-lab doctor``."""
        return dict(await self._call("facts", {}))

    async def telemetry(self) -> str:
        """Return what the runner counts; one that is away is not waited for."""
        try:
            async for item in self._exchange(TELEMETRY, {}, want_done=True):
                return str(item)
        except (OSError, _RunnerGone) as error:
            raise Unavailable("The runner does not answer.", code="runner_unreachable") from error
        return ""

    async def _call(self, call: str, args: Mapping[str, Json]) -> Json:
        with engine_call(call):
            async for item in self._repeated(call, args, want_done=True):
                return item
            return None

    async def _stream(self, call: str, args: Mapping[str, Json]) -> AsyncIterator[Json]:
        """Yield a call's items."""
        with engine_call(call):
            async for item in self._repeated(call, args):
                yield item

    async def _repeated(
        self, call: str, args: Mapping[str, Json], *, want_done: bool = False
    ) -> AsyncIterator[Json]:
        """Yield a call's items, repeating it while the runner is away."""
        deadline = time.monotonic() + self._patience_seconds
        for wait in backoff():
            try:
                async for item in self._exchange(call, args, want_done=want_done):
                    yield item
            except (OSError, _RunnerGone) as error:
                if time.monotonic() + wait > deadline:
                    raise Unavailable(
                        f"The runner of the {self.name} engine does not answer; `kpl-lab status` "
                        "shows whether it runs, `kpl-lab up` starts it.",
                        code="runner_unreachable",
                        detail={"error": str(error)},
                    ) from error
                await asyncio.sleep(wait)
            else:
                return

    async def _exchange(
        self, call: str, args: Mapping[str, Json], *, want_done: bool = False
    ) -> AsyncGenerator[Json, None]:
        """Yield a call's items, or with ``want_done`` its one answer."""
        address = SocketPath.of(self._home.runner_socket)
        try:
            reader, writer = await asyncio.open_unix_connection(
                address.address, limit=MAX_LINE_BYTES
            )
        finally:
            address.close()
        try:
            writer.write(to_line({"call": call, "args": dict(args)}))
            while line := await reader.readline():
                message = json.loads(line)
                if "error" in message:
                    raise_error(message["error"])
                if "done" in message:
                    if want_done:
                        yield message["done"]
                    return
                yield message["item"]
            raise _RunnerGone(call)
        finally:
            writer.close()


def capacity_file(home: Home) -> Path:
    """Return where a capacity is kept for those who have no runner to ask."""
    return home.platform / "capacity.json"


def note_capacity(home: Home, found: Capacity) -> None:
    """Keep a capacity for those who have no runner to ask."""
    file, text = capacity_file(home), json.dumps(encode(found))
    if not file.exists() or file.read_text() != text:
        fresh = file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(file)


def read_capacity(home: Home) -> Capacity:
    """Return the capacity that was kept last.

    Raises
    ------
    Unavailable
        None was kept yet.
    """
    try:
        return decode(Capacity, json.loads(capacity_file(home).read_text()))
    except FileNotFoundError as error:
        raise Unavailable(
            "The controller has not asked the engine yet what there is; try again in a few seconds."
        ) from error


def _read_at(path: Path, offset: int) -> bytes:
    """Return a part of a file that grows; nothing where there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(_READ_BYTES)
    except FileNotFoundError:
        return b""
