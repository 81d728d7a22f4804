"""Folders as tars over a connection of the event loop: sent from the store, received from strangers."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from kpl_lab.engines.kubernetes.wire import CHUNK_BYTES, Broken, ChunkReader, ChunkWriter
from kpl_lab.engines.running.collect import MAX_DEPTH, MAX_PATH_BYTES
from kpl_lab.errors import EngineError
from kpl_lab.trees import below, remove_tree

_PERMISSIONS = 0o644
_EXECUTABLE = 0o111


class Chunks(Protocol):
    """Gives what has come, as ``ChunkReader`` does."""

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes, fewer at the end alone."""

    def finish(self) -> None:
        """Take what is left, to its end."""


class _LoopWriter:
    """What a thread writes goes out over a connection of the loop, at the speed of the connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        asyncio.run_coroutine_threadsafe(self._send(data), self._loop).result()

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class _LoopReader:
    """A thread reads what comes over a connection of the loop."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._loop = asyncio.get_running_loop()

    def read(self, size: int) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._take(size), self._loop).result()

    async def _take(self, size: int) -> bytes:
        try:
            return await self._reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            return error.partial


def size_of(folder: Path) -> int:
    """Return the bytes of the files of a folder."""
    return sum(one.facts.st_size for one in below(folder) if stat.S_ISREG(one.facts.st_mode))


async def send(folder: Path, writer: asyncio.StreamWriter) -> None:
    """Send a folder of the store; a file alone as a folder that holds it."""
    target = ChunkWriter(_LoopWriter(writer))
    await asyncio.to_thread(_pack, folder, target)


def _pack(folder: Path, target: ChunkWriter) -> None:
    with tarfile.open(fileobj=cast(IO[bytes], target), mode="w|", bufsize=CHUNK_BYTES) as archive:
        if folder.is_file():
            archive.add(folder, folder.name)
        else:
            for name in sorted(os.listdir(folder)):  # noqa: PTH208 (names as they are)
                archive.add(folder / name, name)
    target.close()


async def receive(reader: asyncio.StreamReader, target: Path) -> int:
    """Make the folder ``target`` of what comes; return the bytes of its files.

    Raises
    ------
    EngineError
        It holds what we do not take.
    Broken
        The connection ended early: nothing is there then.
    """
    chunks = ChunkReader(cast(IO[bytes], _LoopReader(reader)))
    return await asyncio.to_thread(unpack, chunks, target)


def unpack(chunks: Chunks, target: Path) -> int:
    """Make the folder ``target`` of the chunks of a tar; as :func:`receive`."""
    part = target.with_name(f".{target.name}.part")
    remove_tree(part)
    part.mkdir(parents=True)
    try:
        size = _unpack(chunks, part)
        chunks.finish()
    except tarfile.TarError as error:
        remove_tree(part)
        raise Broken(f"what came is no archive ({error})") from error
    except BaseException:
        remove_tree(part)
        raise
    remove_tree(target)
    part.replace(target)
    return size


def _unpack(chunks: Chunks, target: Path) -> int:
    """Unpack plain files and folders; whatever else a stranger has packed is left out."""
    size = 0
    with tarfile.open(fileobj=cast(IO[bytes], chunks), mode="r|", bufsize=CHUNK_BYTES) as archive:
        for member in archive:
            place = target / _inside(member.name)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                size += _keep(archive, member, place)
    return size


def _keep(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> int:
    source = archive.extractfile(member)
    if source is None:
        return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(place, flags, _PERMISSIONS), "wb") as file:
        shutil.copyfileobj(source, file, CHUNK_BYTES)
        os.fchmod(file.fileno(), _PERMISSIONS | member.mode & _EXECUTABLE)
    return member.size


def _inside(name: str) -> PurePosixPath:
    """Return where a member belongs.

    Raises
    ------
    EngineError
        Outside, or so deep that nobody could read it.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise EngineError(f"The output was not kept: {name[:100]!r} leads outside.", code="unsafe")
    if len(path.parts) > MAX_DEPTH or len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise EngineError(
            f"The output was not kept: what it holds in {path.parts[0][:100]!r} lies more than "
            f"{MAX_DEPTH} folders deep, or its path has more than {MAX_PATH_BYTES} bytes. Write "
            "fewer folders into each other, or pack them into one file.",
            code="output_too_deep",
        )
    return path
