"""The file store in front of a bucket: what is finished lies there for good, and here while used.

Beside each folder that is also in the bucket lies a note below ``kept/``, of its size and where it
is; its time is that of the last use. Where a note is missing, the folder is not in the bucket yet.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock

from kpl_lab.errors import KplError, NotFound, Unavailable
from kpl_lab.platform.storage.files import (
    PATIENCE_SECONDS,
    FileStore,
    MayCommit,
    explain_full_disk,
    free_to_commit,
    remove_tree,
)
from kpl_lab.platform.storage.locks import lock_word, locked, locked_word
from kpl_lab.platform.storage.manifests import Manifest
from kpl_lab.platform.storage.pending import Pending
from kpl_lab.platform.storage.remote import Remote

log = logging.getLogger(__name__)
MIB = 1 << 20
# What was used so recently is never removed: somebody may still be reading.
RECENT_SECONDS = 900.0
# A use is noted at most so often.
_NOTE_SECONDS = 60.0
_FETCHES_AT_ONCE = 2
# Requests that wait for a fetch hold threads that others need.
WAITERS = 8
_FETCHED = "fetched-"


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
    pending
        What is still to be done in the bucket, which the controller does beside its work.
    """

    def __init__(self, root: Path, remote: Remote) -> None:
        super().__init__(root)
        self.remote = remote
        self.pending = Pending(self.path("removing"))
        self._noted: dict[Path, float] = {}
        self._fetches: dict[Path, Fetch] = {}
        self._asked: dict[Path, Future[None]] = {}
        self._lock = Lock()
        self._is_closed = False
        self._waiters = BoundedSemaphore(WAITERS)
        self._pool = ThreadPoolExecutor(_FETCHES_AT_ONCE, thread_name_prefix="fetch")

    def name_of(self, path: Path) -> str:
        """Return the name under which a path of the store lies in the bucket."""
        return str(path.relative_to(self.root))

    def publish(self, filled: Path, target: Path, check: MayCommit = free_to_commit) -> None:
        """Send a filled folder, then move it to its place."""
        with self._locked(target):
            self._forget(target)
            name = self.name_of(target)
            self.pending.forget_removal(name)
            sent = self.remote.send(filled, name, check, self._go_on)
            super().publish(filled, target)
            self._note(target, sent)

    def publish_same(self, filled: Path, target: Path) -> None:
        """Do the same for a place that is named by its content, unless it was done before."""
        with self._locked(target):
            if target.exists() and self.is_sent(target):
                return
            name = self.name_of(target)
            sent = self.remote.manifest(name) or self.remote.send(filled, name, tell=self._go_on)
            super().publish_same(filled, target)
            self._note(target, sent)

    def keep(self, path: Path) -> None:
        """Have what lies here sent soon; nobody waits for that."""
        self.pending.add_unsent(path)

    def send(self, path: Path) -> None:
        """Send what lies here, unless the same is in the bucket already."""
        with self._locked(path):
            name = self.name_of(path)
            # Code is named by its content; of all else only the very same will do.
            found = self.remote.manifest(name) if name.startswith("code/") else None
            self._note(path, found or self.remote.sent(path, name, self._go_on))

    def catch_up(self, check: Callable[[], None] = free_to_commit) -> None:
        """Do in the bucket what was put off; what fails stays put off, and the first is raised."""
        failures: list[KplError] = []
        for path in self.pending.unsent():
            check()
            try:
                self.send(path)
            except OSError as error:  # it was removed meanwhile, or is not ours to read
                log.warning("%s could not be sent: %s", path, error)
            except KplError as error:
                failures.append(error)
                continue
            self.pending.forget_unsent(path)
        for name in self.pending.removals():
            check()
            try:
                with locked(self._locks, name):
                    if name in self.pending.removals():  # nobody has published it anew
                        self.remote.remove(name)
                        self.pending.forget_removal(name)
            except KplError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def is_at_hand(self, path: Path) -> bool:
        """Say whether something lies here; this counts as a use."""
        if not path.exists():
            return False
        now = time.time()
        if now - self._noted.get(path, 0.0) > _NOTE_SECONDS:
            self._noted[path] = now
            with suppress(FileNotFoundError):  # not in the bucket yet
                os.utime(self._note_of(path))
            return path.exists()  # it may have been removed in the very moment
        return True

    def is_here(self, path: Path) -> bool:
        """Say whether something can be read at once; where it is far away, have it fetched."""
        try:
            self.at_hand(path, 0)
        except KplError:
            return False
        return True

    def may_be_far(self, path: Path) -> bool:
        """Say whether something may be kept that does not lie here."""
        return not path.exists()

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
        is_waiting = seconds > 0 and self._waiters.acquire(blocking=False)
        try:
            asked.result(seconds if is_waiting else 0)
        except TooLate as error:
            raise Unavailable(
                f"The files are being fetched from the object storage{self.progress(path)}; try again "
                "in a moment.",
                code="being_fetched",
            ) from error
        finally:
            if is_waiting:
                self._waiters.release()
        return path

    def progress(self, path: Path) -> str:
        """Return how far a fetch of this process is, as words to be put in brackets; may be empty."""
        found = self._fetches.get(path)
        if found is None or not found.total:
            return ""
        return f" ({found.done / MIB:.0f} of {found.total / MIB:.0f} MiB)"

    def remove(self, path: Path) -> None:
        """Remove a folder or a file here, and soon in the bucket; nobody waits for that."""
        self.pending.forget_unsent(path)
        super().remove(path)
        remove_tree(self._note_of(path))
        self.pending.add_removal(self.name_of(path))

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
            except (OSError, ValueError, KeyError, TypeError):
                path.unlink(missing_ok=True)

    def is_sent(self, path: Path) -> bool:
        """Say whether a note says that something is in the bucket."""
        try:
            return bool(
                json.loads(self._note_of(path).read_text())["url"] == self.remote.bucket.url
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

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
        """Give up what is being fetched and sent."""
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
                self._go_on(count)

            try:
                with self._fetching(name) as folder:
                    self.remote.fetch(name, manifest, folder / "tree", tell)
                    self._place(folder / "tree", path)
            finally:
                self._fetches.pop(path, None)
            self._note(path, manifest)

    @contextmanager
    def _fetching(self, name: str) -> Iterator[Path]:
        """Give the folder for what is fetched, which belongs to who has the lock of the name."""
        folder = self.path("incoming", _FETCHED + lock_word(name))
        remove_tree(folder)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            remove_tree(folder)

    def clear_fetches(self) -> None:
        """Remove what processes that were ended have fetched in part."""
        for folder in self.path("incoming").glob(f"{_FETCHED}*"):
            word = folder.name.removeprefix(_FETCHED)
            with locked_word(self._locks, word, wait=False) as is_mine:
                if is_mine:
                    remove_tree(folder)

    def _go_on(self, _bytes: int) -> None:
        """Give a transfer up where the process ends."""
        if self._is_closed:
            raise Unavailable("The platform ends; the files are moved at its next start.")

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
        # Half a note would be none, and what it stands for would be sent once more.
        fresh = self.path("incoming", f"note-{secrets.token_hex(8)}")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({"bytes": kept.total, "url": self.remote.bucket.url}))
        fresh.replace(note)

    def _forget(self, path: Path) -> None:
        self._note_of(path).unlink(missing_ok=True)

    @staticmethod
    def _is_recent(note: Path) -> bool:
        try:
            return time.time() - note.stat().st_mtime < RECENT_SECONDS
        except FileNotFoundError:
            return True
