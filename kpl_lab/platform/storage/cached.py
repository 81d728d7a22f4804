"""The file store in front of a bucket: what is finished lies there for good, and here while used.

Beside each folder that is also in the bucket lies a note below ``kept/``, of its size and where it
is; its time is that of the last use. Where a note is missing, the folder is not in the bucket yet.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from kpl_lab.errors import KplError, NotFound, Unavailable
from kpl_lab.platform.storage.files import (
    PATIENCE_SECONDS,
    FileStore,
    MayCommit,
    explain_full_disk,
    free_to_commit,
    remove_tree,
)
from kpl_lab.platform.storage.locks import locked
from kpl_lab.platform.storage.manifests import Manifest
from kpl_lab.platform.storage.remote import Remote

log = logging.getLogger(__name__)
MIB = 1 << 20
# What was used so recently is never removed: somebody may still be reading.
RECENT_SECONDS = 900.0
# A use is noted at most so often.
_NOTE_SECONDS = 60.0
_FETCHES_AT_ONCE = 2


@dataclass
class Fetch:
    """How far the fetching of something is."""

    total: int = 0
    done: int = 0


@dataclass(frozen=True)
class Cached:
    """A folder that is here and in the bucket."""

    name: str
    bytes: int
    used: float


class CachedFiles(FileStore):
    """A file store whose folder is a cache.

    Parameters
    ----------
    root
        ``$KPL_HOME/storage``.
    remote
        Where everything finished is kept.

    Attributes
    ----------
    is_behind
        Whether something could not be done in the bucket, which housekeeping is to do soon.
    """

    def __init__(self, root: Path, remote: Remote) -> None:
        super().__init__(root)
        self.remote = remote
        self.is_behind = False
        self._noted: dict[Path, float] = {}
        self._fetches: dict[Path, Fetch] = {}
        self._asked: dict[Path, Future[None]] = {}
        self._lock = Lock()
        self._is_closed = False
        self._pool = ThreadPoolExecutor(_FETCHES_AT_ONCE, thread_name_prefix="fetch")

    def name_of(self, path: Path) -> str:
        """Return the name under which a path of the store lies in the bucket."""
        return str(path.relative_to(self.root))

    def publish(self, filled: Path, target: Path, check: MayCommit = free_to_commit) -> None:
        """Send a filled folder, then move it to its place."""
        with self._locked(target):
            self._forget(target)
            sent = self.remote.send(filled, self.name_of(target), check)
            super().publish(filled, target)
            self._note(target, sent)

    def publish_same(self, filled: Path, target: Path) -> None:
        """Do the same for a place that is named by its content, unless it was done before."""
        with self._locked(target):
            if target.exists() and self.is_sent(target):
                return
            name = self.name_of(target)
            sent = self.remote.manifest(name) or self.remote.send(filled, name)
            super().publish_same(filled, target)
            self._note(target, sent)

    def keep(self, path: Path) -> None:
        """Send what lies here and was not sent; where that fails, housekeeping tries again."""
        try:
            self.send(path)
        except KplError as error:
            self.is_behind = True
            log.warning("%s is not in the object storage yet: %s", path, error.message)

    def send(self, path: Path) -> None:
        """Send what lies here, unless it is in the bucket already."""
        with self._locked(path):
            name = self.name_of(path)
            self._note(path, self.remote.manifest(name) or self.remote.send(path, name))

    def is_at_hand(self, path: Path) -> bool:
        """Say whether something lies here; this counts as a use."""
        if not path.exists():
            return False
        now = time.time()
        if now - self._noted.get(path, 0.0) > _NOTE_SECONDS:
            self._noted[path] = now
            try:
                os.utime(self._note_of(path))
            except FileNotFoundError:
                return path.exists()  # not in the bucket yet; or removed in the very moment
        return True

    def has(self, path: Path, seconds: float | None = PATIENCE_SECONDS) -> bool:
        """Say whether something is kept, and fetch it where it is."""
        try:
            self.at_hand(path, seconds)
        except NotFound:
            return False
        return True

    def at_hand(self, path: Path, seconds: float | None = PATIENCE_SECONDS) -> Path:
        """Return ``path`` when what is kept there lies here, fetching it first.

        Raises
        ------
        Unavailable
            It takes longer than ``seconds``, and goes on; or the bucket cannot be reached.
        NotFound, Conflict
            It is not in the bucket, or damaged there.
        """
        if self.is_at_hand(path):
            return path
        if seconds is None:
            self._fetch(path)
            return path
        with self._lock:
            asked = self._asked.get(path)
            if asked is None:
                asked = self._asked[path] = self._pool.submit(self._fetch, path)
                asked.add_done_callback(lambda _done: self._asked.pop(path, None))
        try:
            asked.result(seconds)
        except TooLate as error:
            raise Unavailable(
                f"The files are being fetched from the object storage{self.progress(path)}; try again "
                "in a moment.",
                code="being_fetched",
            ) from error
        return path

    def progress(self, path: Path) -> str:
        """Return how far a fetch of this process is, as words to be put in brackets; may be empty."""
        found = self._fetches.get(path)
        if found is None or not found.total:
            return ""
        return f" ({found.done / MIB:.0f} of {found.total / MIB:.0f} MiB)"

    def remove(self, path: Path) -> None:
        """Remove a folder or a file here and in the bucket; what fails there, housekeeping does."""
        super().remove(path)
        remove_tree(self._note_of(path))
        try:
            self.remote.remove(self.name_of(path))
        except KplError as error:
            log.warning("%s is still in the object storage: %s", path, error.message)

    def cached(self) -> Iterator[Cached]:
        """Yield what is here and in the bucket."""
        notes = self.path("kept")
        for path in notes.rglob("*") if notes.is_dir() else ():
            try:
                if path.is_file():
                    note = json.loads(path.read_text())
                    if note["url"] == self.remote.bucket.url:
                        name = str(path.relative_to(notes))
                        yield Cached(name, int(note["bytes"]), path.stat().st_mtime)
            except (OSError, ValueError, KeyError):
                path.unlink(missing_ok=True)

    def is_sent(self, path: Path) -> bool:
        """Say whether a note says that something is in the bucket."""
        return self._note_of(path).exists()

    def evict(self, found: Cached) -> bool:
        """Remove a folder here that is in the bucket; False where it was used meanwhile."""
        path, trash = self.path(found.name), self.path("incoming", f"evicted-{os.urandom(6).hex()}")
        with locked(self._locks, found.name, wait=False) as is_mine:
            note = self._note_of(path)
            if not is_mine or self._is_recent(note):
                return False
            if not path.exists():
                note.unlink(missing_ok=True)
                return False
            if self.remote.manifest(found.name) is None:
                return False
            trash.parent.mkdir(parents=True, exist_ok=True)
            mode = path.stat().st_mode
            path.chmod(mode | 0o200)  # a read-only folder cannot be moved
            path.rename(trash)
            if self._is_recent(note):  # somebody has found it in the very moment
                trash.rename(path)
                path.chmod(mode)
                return False
            note.unlink(missing_ok=True)
        remove_tree(trash)
        return True

    def close(self) -> None:
        """Give up what is being fetched."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def _locks(self) -> Path:
        return self.path("locks")

    def _locked(self, path: Path) -> AbstractContextManager[bool]:
        return locked(self._locks, self.name_of(path))

    def _fetch(self, path: Path) -> None:
        """Fetch what is kept for a path, unless another process does so first."""
        name = self.name_of(path)
        with self._locked(path), explain_full_disk():
            if path.exists():
                return
            manifest = self.remote.manifest(name)
            if manifest is None:
                raise NotFound(
                    f"{name} is neither in the storage folder nor in the object storage.",
                    code="not_kept",
                )
            here = self._fetches[path] = Fetch(manifest.total)

            def tell(count: int) -> None:
                here.done += count
                if self._is_closed:
                    raise Unavailable("The platform ends; the files are fetched at its next start.")

            try:
                with self.incoming() as folder:
                    self.remote.fetch(name, manifest, folder / "tree", tell)
                    self._place(folder / "tree", path)
            finally:
                self._fetches.pop(path, None)
            self._note(path, manifest)

    @staticmethod
    def _place(fetched: Path, path: Path) -> None:
        mode = fetched.stat().st_mode
        fetched.chmod(mode | 0o200)
        path.parent.mkdir(parents=True, exist_ok=True)
        fetched.rename(path)
        path.chmod(mode)

    def _note_of(self, path: Path) -> Path:
        return self.root / "kept" / path.relative_to(self.root)

    def _note(self, path: Path, kept: Manifest) -> None:
        note = self._note_of(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"bytes": kept.total, "url": self.remote.bucket.url}))

    def _forget(self, path: Path) -> None:
        self._note_of(path).unlink(missing_ok=True)

    @staticmethod
    def _is_recent(note: Path) -> bool:
        try:
            return time.time() - note.stat().st_mtime < RECENT_SECONDS
        except FileNotFoundError:
            return True
