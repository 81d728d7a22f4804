"""Sending bytes in parts, so that a lost connection or a restarted platform costs one part."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.client.packing import DATA_IGNORES, READ_BYTES, Folder, scan, scan_code, tar_stream
from kpl_lab.client.transport import Request, Transport
from kpl_lab.errors import Conflict, Invalid, TooLarge, Unavailable
from kpl_lab.retry import backoff
from kpl_lab.schemas.datasets import UploadCreate, UploadView

PART_BYTES = 8 * 1024 * 1024
PATIENCE_SECONDS = 60.0
"""For how long a part is tried again while the platform does not answer."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes sent so far and the bytes in all."""


@dataclass(frozen=True)
class Source:
    """Bytes to send: their name, their number and how to read them from the start."""

    filename: str
    size: int
    chunks: Callable[[], Iterable[bytes]]
    code: Folder | None = None
    """The folder that it is made of, where that is code."""
    notices: Sequence[str] = ()
    """What somebody should know of it, in sentences: what of the folder is left out."""


def source_of(path: Path, *, keep_top: bool = False) -> Source:
    """Return a file as it is, or a folder as a tar.

    Parameters
    ----------
    keep_top
        Whether the folder's own name is part of the paths in the archive.

    Raises
    ------
    Invalid
        There is no such file or folder, or it cannot be packed.
    """
    if path.is_dir():
        top = path.resolve().name if keep_top else ""
        return source_of_folder(scan(path, ignores=DATA_IGNORES, top=top))
    if not path.is_file():
        raise Invalid(f"There is no file or folder {path}; check the path.", code="no_file")
    return Source(path.name, path.stat().st_size, lambda: _file_chunks(path))


def source_of_folder(folder: Folder) -> Source:
    """Return a scanned folder as a tar named after it."""
    name = f"{folder.root.resolve().name}.tar"
    return Source(name, folder.bytes, lambda: tar_stream(folder), notices=folder.notices)


def source_of_code(root: Path) -> Source:
    """Return a code folder as a tar named after it.

    Raises
    ------
    Invalid
        It is none, or cannot be packed.
    """
    folder = scan_code(root)
    return dataclasses.replace(source_of_folder(folder), code=folder)


def _file_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            yield chunk


class Uploads:
    """``/uploads``: parts of bytes that become datasets, models and code.

    Attributes
    ----------
    on_notice
        Told what of a folder is left out, in a sentence, before anything is sent.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.on_notice: Callable[[str], None] = lambda _notice: None

    def get(self, upload: int) -> UploadView:
        """Return how far an upload is."""
        return self._transport.get(f"/uploads/{upload}", UploadView)

    def delete(self, upload: int) -> None:
        """Give up an upload and its bytes."""
        self._transport.send(Request("DELETE", f"/uploads/{upload}"))

    def send(self, source: Source, on_progress: Progress | None = None) -> UploadView:
        """Send all of ``source`` and return the finished upload.

        Raises
        ------
        Unavailable
            The platform did not answer for ``PATIENCE_SECONDS``.
        StorageFull, TooLarge
            The platform has no room for it.
        """
        for notice in source.notices:
            self.on_notice(notice)
        upload = self._announce(source)
        sent = upload.received
        if on_progress:
            on_progress(sent, source.size)
        for part in _parts(source.chunks(), PART_BYTES):
            self._send_part(upload.id, sent, part)
            sent += len(part)
            if on_progress:
                on_progress(sent, source.size)
        done = Request("POST", f"/uploads/{upload.id}/complete", repeatable=True)
        return self._transport.call(done, UploadView)

    def _announce(self, source: Source) -> UploadView:
        """Have the platform refuse what it will not take, before it is sent."""
        is_code = source.code is not None
        announced = UploadCreate(filename=source.filename, size=source.size, is_code=is_code)
        try:
            return self._transport.create("/uploads", announced, UploadView)
        except TooLarge as error:
            if source.code is None:
                raise
            message = f"{error.message} The largest files are {source.code.largest}."
            raise TooLarge(message, code=error.code, detail=error.detail) from error

    def _send_part(self, upload: int, offset: int, part: bytes) -> None:
        """Send one part; after a failure, ask what of it arrived and go on from there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        end = offset + len(part)
        at = offset
        for wait in backoff(0.2, max_seconds=2.0):
            try:
                at = self._put(upload, at, part[at - offset :])
            except (Unavailable, Conflict) as error:
                if time.monotonic() > deadline:
                    raise
                self._transport.sleep(wait)
                arrived = self._received(upload, at)
                # Busy: what was sent before the connection broke is still being written there.
                is_busy = error.code == "upload_busy"
                if isinstance(error, Conflict) and arrived == at and not is_busy:
                    raise
                at = arrived
            if at == end:
                return
            if not offset <= at < end:
                raise Invalid(
                    f"The platform holds {at} bytes of this upload where {offset} were sent; "
                    "something else writes to it. Start again.",
                    code="upload_out_of_step",
                )

    def _put(self, upload: int, offset: int, content: bytes) -> int:
        request = Request(
            "PUT",
            f"/uploads/{upload}",
            params={"offset": offset},
            content=content,
            headers={"Content-Type": "application/octet-stream"},
            repeatable=False,
        )
        return self._transport.call(request, UploadView).received

    def _received(self, upload: int, otherwise: int) -> int:
        try:
            return self.get(upload).received
        except Unavailable:
            return otherwise


def _parts(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut a stream into parts of ``size`` bytes; the last may be smaller."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)
