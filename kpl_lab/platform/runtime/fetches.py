"""What has to be fetched before something can start: brought here beside the other work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from kpl_lab.errors import KplError, StorageFull, Unavailable
from kpl_lab.platform.runtime.workqueue import WorkQueue
from kpl_lab.platform.storage.files import FileStore

FETCHES_AT_ONCE = 2
# What may come back by itself, or once an administrator has mended it.
_TEMPORARY = (Unavailable, StorageFull)
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Lack:
    """What something waits for; whether that is on its way, or cannot be had at the moment."""

    text: str
    is_progress: bool


class Fetches(Generic[K]):
    """Fetches folders of the store, each once however many wait for it.

    Parameters
    ----------
    add
        Has a key looked at again, when something that it waited for is here, or is not to be had.
    threads
        Where the fetching goes on; other work does not wait for it.
    """

    def __init__(self, files: FileStore, add: Callable[[K], None], threads: Executor) -> None:
        self._files = files
        self._add = add
        self._threads = threads
        self._waiting: dict[Path, set[K]] = {}
        self._failed: dict[Path, KplError] = {}
        self.queue: WorkQueue[Path] = WorkQueue(self._fetch, FETCHES_AT_ONCE)

    async def lacking(self, folders: Iterable[Path], key: K) -> Lack | None:
        """Say what ``key`` has to wait for; None: nothing, all of it is here.

        Raises
        ------
        KplError
            Something cannot be had, and waiting would not help.
        """
        missing = [f for f in folders if not await asyncio.to_thread(self._files.is_at_hand, f)]
        if not missing:
            return None
        for folder in missing:
            failed = self._failed.pop(folder, None)
            if failed is not None and not isinstance(failed, _TEMPORARY):
                raise failed
            self._waiting.setdefault(folder, set()).add(key)
            if failed is not None:  # it is tried again by itself
                self._failed[folder] = failed
            elif not self.queue.is_at(folder):
                self.queue.add(folder)
        failures = [self._failed[folder].message for folder in missing if folder in self._failed]
        if failures:
            return Lack(failures[0], is_progress=False)
        far = self._files.progress(missing[0])
        return Lack(f"Its files are being fetched from the object storage{far}.", is_progress=True)

    async def _fetch(self, folder: Path) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._files.at_hand, folder, None)
        except KplError as error:
            self._failed[folder] = error
            if isinstance(error, _TEMPORARY):
                self._tell(self._waiting.get(folder, set()))
                raise
        else:
            self._failed.pop(folder, None)
        self._tell(self._waiting.pop(folder, set()))

    def _tell(self, keys: Iterable[K]) -> None:
        for key in list(keys):
            self._add(key)
