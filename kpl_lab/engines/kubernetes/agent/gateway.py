"""The agent's side of the gate."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol, cast

from kpl_lab.engines.kubernetes.wire import (
    CHUNK_BYTES,
    MAX_LINE_BYTES,
    SILENCE_SECONDS,
    WAIT,
    Broken,
    ChunkReader,
    ChunkWriter,
    to_line,
)
from kpl_lab.engines.running.collect import MAX_DEPTH
from kpl_lab.retry import backoff
from kpl_lab.trees import remove_tree

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
# What ends a call that may go well at the next try.
AGAIN = (ConnectionError, TimeoutError, Broken, socket.gaierror, tarfile.ReadError)


class Refused(Exception):
    """The gate has answered, and will not."""


class Pass(Protocol):
    """What an agent shows at the gate; ``AgentConfig`` is one."""

    @property
    def gate(self) -> tuple[str, int]:
        """Host and port of the gate."""

    @property
    def token(self) -> str:
        """What opens it."""

    @property
    def workload(self) -> str:
        """Whose token it is."""


class Gateway:
    """Calls of one agent.

    Parameters
    ----------
    pod
        Name of the pod.
    """

    def __init__(self, config: Pass, pod: str) -> None:
        self._config = config
        self._pod = pod

    def request(self, call: str, args: dict[str, Any]) -> bytes:
        """Return the first line of a call."""
        config = self._config
        return to_line(
            {
                "call": call,
                "token": config.token,
                "workload": config.workload,
                "pod": self._pod,
                "args": args,
            }
        )

    async def open(
        self, call: str, args: dict[str, Any]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Begin a call; what follows on the connection is the caller's.

        Raises
        ------
        OSError, Refused
            The gate is away, or does not let us.
        """
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(*self._config.gate, limit=MAX_LINE_BYTES)
        try:
            writer.write(self.request(call, args))
            async with asyncio.timeout(SILENCE_SECONDS):
                _answer(await reader.readline())
        except BaseException:
            writer.close()
            raise
        return reader, writer

    def fetch(self, args: dict[str, Any], target: Path) -> None:
        """Bring a folder of the store here; again after a broken connection, until it is there.

        Blocks; ``target`` is replaced when all of it has come.

        Raises
        ------
        Refused
            There is no such folder.
        OSError
            No room here.
        """
        part = target.with_name(f".{target.name}.part")

        def take(stream: IO[bytes]) -> None:
            remove_tree(part)
            part.mkdir(parents=True)
            _unpack(stream, part)

        self._until_through("fetch", args, take)
        remove_tree(target)
        part.replace(target)

    def give(self, output: str, folder: Path, until: float) -> None:
        """Send an output; again after a broken connection, until a time of the monotonic clock.

        Raises
        ------
        Refused
            It is not wanted.
        TimeoutError
            The gate was away for too long.
        """

        def send(stream: IO[bytes]) -> None:
            target = ChunkWriter(stream)
            _pack(folder, target)
            target.close()
            stream.flush()
            _answer(stream.readline())

        self._until_through("give", {"output": output}, send, until=until)

    def _until_through(
        self,
        call: str,
        args: dict[str, Any],
        work: Callable[[IO[bytes]], None],
        until: float | None = None,
    ) -> None:
        for wait in backoff():
            try:
                self.once(call, args, lambda _, stream: work(stream))
            except AGAIN as error:
                if until is not None and time.monotonic() + wait > until:
                    raise TimeoutError(f"the platform could not be reached ({error})") from error
                log.warning("%s %s: %s; trying again", call, args, error)
                time.sleep(wait)
            else:
                return

    def once(self, call: str, args: dict[str, Any], work: Callable[[Any, IO[bytes]], None]) -> None:
        """Make a call, and give what the gate answers, and the connection, to ``work``. Blocks.

        Raises
        ------
        Refused
            The gate will not.
        ConnectionError, TimeoutError, Broken, socket.gaierror, tarfile.ReadError
            As in ``AGAIN``: it may go well another time.
        """
        with self._connection() as stream:
            stream.write(self.request(call, args))
            stream.flush()
            while (line := stream.readline()) == WAIT:
                continue
            work(_answer(line), stream)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[IO[bytes]]:
        with socket.create_connection(self._config.gate, timeout=_CONNECT_SECONDS) as connection:
            connection.settimeout(SILENCE_SECONDS)
            with connection.makefile("rwb", buffering=CHUNK_BYTES) as stream:
                yield cast(IO[bytes], stream)


def _answer(line: bytes) -> Any:  # noqa: ANN401 (JSON)
    if not line.endswith(b"\n"):
        raise Broken("the gate has hung up")
    found = json.loads(line)
    if "error" in found:
        raise Refused(str(found["error"]["message"]))
    return found["done"]


def _unpack(stream: IO[bytes], target: Path) -> None:
    """Unpack what the platform has sent; its owner and times do not matter here."""
    chunks = ChunkReader(stream)
    with tarfile.open(fileobj=cast(IO[bytes], chunks), mode="r|", bufsize=CHUNK_BYTES) as archive:
        # Made by the platform; newer Pythons ask how much an archive is trusted.
        archive.extraction_filter = lambda member, _path: member
        for member in archive:
            member.uid = member.gid = -1
            # The store's folders are closed to writers, and files are still to come into them.
            member.mode = 0o755 if member.isdir() else member.mode | 0o600
            archive.extract(member, target, set_attrs=True, numeric_owner=True)
    chunks.finish()


def _pack(folder: Path, target: ChunkWriter) -> None:
    with tarfile.open(fileobj=cast(IO[bytes], target), mode="w|", bufsize=CHUNK_BYTES) as archive:
        for path in _plain(folder, MAX_DEPTH):
            _add(archive, path, str(path.relative_to(folder)))


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    info = archive.gettarinfo(path, name)
    if info.isdir():
        archive.addfile(info)
        return
    if info.islnk():
        # A second name of a file is a file of its own where it goes.
        info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
    with path.open("rb") as file:
        archive.addfile(info, file)


def _plain(folder: Path, depth: int) -> Iterable[Path]:
    """Yield files and folders; links and devices are left out, and closed folders are opened."""
    if depth < 0:
        raise Refused(f"what it holds lies more than {MAX_DEPTH} folders deep")
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            continue
        if path.is_dir():
            yield path
            yield from _plain(path, depth - 1)
        elif path.is_file():
            with contextlib.suppress(OSError):
                path.chmod(path.stat().st_mode | 0o400)
            yield path


class Link:
    """The connection that stays: reports there, orders back; opened again whenever it breaks.

    Parameters
    ----------
    report
        Gives the present, as plain values.
    obey
        Takes an order.
    """

    def __init__(
        self,
        gateway: Gateway,
        report: Callable[[], dict[str, Any]],
        obey: Callable[[dict[str, Any]], None],
    ) -> None:
        self._gateway = gateway
        self._report = report
        self._obey = obey
        self._changed = asyncio.Event()
        self._told: dict[str, Any] | None = None
        self._was_told = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the gate has taken the caller, and the connection stands."""
        return self._told is not None

    def tell(self) -> None:
        """Report soon."""
        self._changed.set()

    async def settle(self, seconds: float) -> bool:
        """Wait until the present is told; False where nobody heard it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._told != self._report():
                    self._was_told.clear()
                    self.tell()
                    await self._was_told.wait()
                return True
        return False

    async def run(self, beat_seconds: float) -> None:
        """Keep it up until cancelled."""
        waits = backoff()
        while True:
            try:
                reader, writer = await self._gateway.open("stay", {})
                waits = backoff()
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._listen(reader))
                        group.create_task(self._talk(writer, beat_seconds))
                finally:
                    self._told = None
                    writer.close()
            except* (OSError, TimeoutError, Broken, Refused, ValueError) as found:
                log.warning("the gate: %s", found.exceptions[0])
            await asyncio.sleep(next(waits))

    async def _talk(self, writer: asyncio.StreamWriter, beat_seconds: float) -> None:
        while True:
            self._changed.clear()
            report = self._report()
            writer.write(to_line({"report": report}))
            await writer.drain()
            self._told = report
            self._was_told.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(beat_seconds):
                    await self._changed.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                line = await reader.readline()
            if not line:
                raise Broken("the gate has hung up")
            order = json.loads(line).get("order")
            if order:
                self._obey(order)
