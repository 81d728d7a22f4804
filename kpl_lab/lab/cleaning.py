"""What fills the home folder, and how its owner gets room again."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from kpl_lab.errors import Forbidden, Invalid
from kpl_lab.lab.folders import resolve
from kpl_lab.lab.given import is_cleaning_up
from kpl_lab.measures.folders import Bounds, Filling, disk_of, walk
from kpl_lab.trees import remove_tree

_COUNT = 12
_TRIFLE = 200
# In the background, for a number in the status bar: seldom, and not for long.
_SELDOM_SECONDS = 15 * 60.0
_GLANCE = Bounds(entries=100_000, seconds=8.0)
_MOUNTS = "datasets"


class ThingView(BaseModel):
    """A file or folder that takes room."""

    path: str = Field(description="relative to the folder of the server")
    bytes: int = Field(description="on the disk")


class FillingView(BaseModel):
    """What fills the home folder."""

    total: int = Field(description="bytes of the home folder on its disk")
    free: int = Field(description="bytes free on that disk")
    size: int = Field(description="bytes of that disk in all")
    is_full: bool = Field(description="too full to save a notebook")
    is_whole: bool = Field(description="whether everything was counted")
    folders: list[ThingView]
    files: list[ThingView]


def _worth(things: list[tuple[str, int]], total: int) -> list[ThingView]:
    """Leave out trifles: settings and the like, whose loss hurts and gives no room."""
    return [ThingView(path=p, bytes=n) for p, n in things if n * _TRIFLE >= total]


class Home:
    """The folder of the server: its size, known roughly at any time, and its contents.

    Parameters
    ----------
    environment
        Where the engine says that it found the home without room: ``KPL_CLEAN_UP``.
    """

    def __init__(self, root: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._root = root
        self.is_cleaning_up = is_cleaning_up(environment)
        self._counted: Filling | None = None
        self._next = 0.0
        self._counting: asyncio.Task[None] | None = None

    def mebibytes(self) -> int | None:
        """Return the size when it was last counted; never waits, and counts anew now and then."""
        if self._counting is None and time.monotonic() >= self._next:
            self._counting = asyncio.create_task(self._count())
        counted = self._counted
        return counted.total >> 20 if counted is not None and counted.is_whole else None

    async def _count(self) -> None:
        try:
            self._counted = await asyncio.to_thread(walk, self._root, _GLANCE)
        finally:
            self._next = time.monotonic() + _SELDOM_SECONDS
            self._counting = None

    def filling(self) -> FillingView:
        """Count everything and return what is largest; takes seconds in a large home."""
        found, disk = walk(self._root), disk_of(self._root)
        self._counted = found
        return FillingView(
            total=found.total,
            free=disk.free,
            size=disk.size,
            is_full=disk.is_full,
            is_whole=found.is_whole,
            folders=_worth(found.largest_folders(_COUNT), found.total),
            files=_worth(found.largest_files(_COUNT), found.total),
        )

    def remove(self, path: str) -> None:
        """Delete a file or folder for good: a trash on the same disk would give no room.

        Raises
        ------
        Invalid, NotFound
            It is outside the folder of the server, that folder itself, or not there.
        Forbidden
            It cannot be deleted.
        """
        words = [word for word in path.split("/") if word]
        if not words or words[0] == _MOUNTS or {".", ".."} & set(words):
            raise Invalid(
                "Only what lies in the home folder can be deleted here; mounted datasets are "
                "unmounted in the Datasets section.",
                code="not_deletable",
            )
        # The last part may be a link; it goes, and what it leads to stays.
        target = resolve(self._root, "/".join(words[:-1])) / words[-1]
        try:
            if target.is_dir() and not target.is_symlink():
                remove_tree(target)
            else:
                target.unlink(missing_ok=True)
        except OSError as error:
            raise Forbidden(
                f"{path} could not be deleted: {error.strerror}. Try it in a terminal.",
                code="not_deletable",
            ) from error

    def close(self) -> None:
        """Give up counting."""
        if self._counting is not None:
            self._counting.cancel()
