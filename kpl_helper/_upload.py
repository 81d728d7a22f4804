"""One upload: packed on the fly, streamed, repeated while the platform cannot be reached."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kpl_helper._http import GATEWAY_STATUSES, Connection, Form
from kpl_helper._ignore import IgnoreRules
from kpl_helper._numbers import number_from_env
from kpl_helper._pack import TarStream, file_blocks
from kpl_helper.base import Config, logger
from kpl_helper.errors import (
    NothingToSaveError,
    PlatformRefusedError,
    PlatformUnreachableError,
    TooLargeError,
)

MB = 1024 * 1024
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".zip")
#: Seconds for one read or write; and for the answer after the last byte, since the relay beside the task
#: waits up to a quarter of an hour for a platform that restarts.
BLOCK_TIMEOUT = 60.0
ANSWER_TIMEOUT = 1800.0
#: First and longest pause before a repetition, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


def is_archive(path: Path) -> bool:
    """Say whether a file goes as it is: by its suffix, as the original client does."""
    return path.is_file() and path.name.endswith(ARCHIVE_SUFFIXES)


class Parcel:
    """What one upload carries; its blocks can be read any number of times.

    Parameters
    ----------
    path
        File or folder.
    pack
        Whether it becomes a tar archive on the way.
    is_code
        Whether the ignore rules and the limit for code folders apply.

    Raises
    ------
    NothingToSaveError
        When the path does not exist.
    TooLargeError
        When code is above the limit (``KPL_ENV_CODE_LIMIT_MB``, 50 MB by default).
    """

    def __init__(self, path: Path, pack: bool, is_code: bool = False) -> None:
        if not path.exists():
            raise NothingToSaveError(f"{path} does not exist; nothing was saved")
        self.path = path
        self.archive: TarStream | None = None
        self.file_name = path.name
        #: Whether the last byte of the latest attempt went out.
        self.sent_all = False
        if pack:
            rules = IgnoreRules.of_code_folder(path) if is_code else None
            self.archive = TarStream(path, rules)
            self.file_name = f"{path.name or 'root'}.tar"
        self.size = self.archive.size if self.archive else path.stat().st_size
        if is_code:
            self._check_code_limit()

    def blocks(self) -> Iterator[bytes]:
        """Yield the content, from its start."""
        self.sent_all = False
        yield from self.archive.blocks() if self.archive else file_blocks(self.path, self.size)
        self.sent_all = True

    def _check_code_limit(self) -> None:
        limit = number_from_env("KPL_ENV_CODE_LIMIT_MB", 50.0)
        if self.size <= limit * MB:
            return
        biggest = self.archive.biggest(3) if self.archive else []
        named = ", ".join(f"{name} ({size / MB:.1f} MB)" for name, size in biggest)
        raise TooLargeError(
            f"the code in {self.path} is {self.size / MB:.1f} MB packed, above the limit of {limit:g} MB"
            + (f"; biggest: {named}. Name what need not go along in .kplignore" if named else "")
        )


class Bar:
    """How much of an upload is through, redrawn in place on a terminal.

    Parameters
    ----------
    total
        Bytes.
    stream
        The terminal.
    """

    WIDTH = 40

    def __init__(self, total: int, stream: IO[str]) -> None:
        self._total = max(total, 1)
        self._stream = stream
        self._sent = 0
        self._drawn = 0.0

    def count(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the blocks on and draw."""
        self._sent = 0
        for block in blocks:
            yield block
            self._sent += len(block)
            self._draw()
        self._draw(last=True)

    def _draw(self, last: bool = False) -> None:
        now = time.monotonic()
        if now - self._drawn < 0.1 and not last:
            return
        self._drawn = now
        share = self._sent / self._total
        done = int(share * self.WIDTH)
        self._stream.write(
            f"\r[{'█' * done}{'.' * (self.WIDTH - done)}] {share:4.0%} "
            f"{self._sent / MB:.1f}/{self._total / MB:.1f} MB" + ("\n" if last else "")
        )
        self._stream.flush()


def send(config: Config, route: str, fields: dict[str, str], parcel: Parcel) -> object:
    """Stream a parcel and return the ``data`` of the answer.

    While nothing answers, the upload is begun again for ``KPL_HELPER_SAVE_SECONDS`` (60 by default). It
    is not when every byte was sent and only the answer is missing: it may have been saved already.

    Raises
    ------
    PlatformUnreachableError
        When there was no usable answer.
    PlatformRefusedError
        When the platform said no.
    SaveError
        When a file cannot be read.
    """
    deadline = time.monotonic() + number_from_env("KPL_HELPER_SAVE_SECONDS", 60.0)
    pause = FIRST_PAUSE
    while True:
        try:
            return _send_once(config, route, fields, parcel)
        except PlatformUnreachableError as error:
            if parcel.sent_all or time.monotonic() + pause > deadline:
                raise
            reason: Exception = error
        except PlatformRefusedError as error:
            if error.status not in GATEWAY_STATUSES or time.monotonic() + pause > deadline:
                raise
            reason = error
        logger.warning("[kpl-helper]: %s; the upload is tried again in %g s", reason, pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _send_once(config: Config, route: str, fields: dict[str, str], parcel: Parcel) -> object:
    content = parcel.blocks()
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        content = Bar(parcel.size, sys.stderr).count(content)
    connection = Connection(config, BLOCK_TIMEOUT)
    try:
        form = Form(fields, parcel.file_name, parcel.size, content)
        return connection.post_form(route, form, ANSWER_TIMEOUT)
    finally:
        connection.close()
