"""Folders as tar streams, made while they are sent."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from kpl_lab.platform.storage.archives import plain_files
from kpl_lab.platform.storage.files import FileStore

COPY_BYTES = 1024 * 1024


def _tar_parts(files: FileStore, folder: Path) -> Iterator[bytes]:
    for path in plain_files(folder):
        files.is_at_hand(folder)  # so that it stays while somebody reads slowly
        info = tarfile.TarInfo(str(path.relative_to(folder)))
        facts = path.stat()
        info.size, info.mtime, info.mode = facts.st_size, int(facts.st_mtime), 0o644
        yield info.tobuf(tarfile.PAX_FORMAT)
        with path.open("rb") as file:
            left = info.size
            while left > 0 and (part := file.read(min(COPY_BYTES, left))):
                files.is_at_hand(folder)
                left -= len(part)
                yield part
        yield bytes(left + -info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def attachment(name: str) -> dict[str, str]:
    """Return headers under which a browser saves instead of showing."""
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }


def tar_answer(files: FileStore, folder: Path, name: str) -> StreamingResponse:
    """Return the files of ``folder`` as ``<name>.tar``."""
    files.at_hand(folder)
    return StreamingResponse(
        _tar_parts(files, folder), media_type="application/x-tar", headers=attachment(f"{name}.tar")
    )
