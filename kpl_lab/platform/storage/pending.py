"""What is still to be done in a bucket, put off so that nobody waits for its server.

What is to be sent is known to the process that has made it, and after its end found by looking at
the folder. What is to be removed is noted in files: other processes ask for that too.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from threading import Lock

from kpl_lab.platform.storage.locks import lock_word


class Pending:
    """Things to be sent and names to be removed.

    Parameters
    ----------
    folder
        Where names to be removed are noted, a file each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsent: dict[Path, None] = {}
        self._lock = Lock()

    def __bool__(self) -> bool:
        return bool(self._unsent) or bool(self._notes())

    def add_unsent(self, path: Path) -> None:
        """Have something sent soon."""
        with self._lock:
            self._unsent[path] = None

    def unsent(self) -> list[Path]:
        """Return what is to be sent, oldest first."""
        with self._lock:
            return list(self._unsent)

    def forget_unsent(self, path: Path) -> None:
        """Forget what was sent or is gone; no-op where it was not to be sent."""
        with self._lock:
            self._unsent.pop(path, None)

    def add_removal(self, name: str) -> None:
        """Have a name removed soon, whoever ends meanwhile."""
        self._folder.mkdir(parents=True, exist_ok=True)
        note = self._note(name)
        fresh = note.with_suffix(".part")
        fresh.write_text(name, "utf-8", "surrogateescape")
        fresh.replace(note)

    def removals(self) -> list[str]:
        """Return the names to be removed."""
        found = []
        for note in self._notes():
            with contextlib.suppress(FileNotFoundError):
                found.append(note.read_text("utf-8", "surrogateescape"))
        return found

    def forget_removal(self, name: str) -> None:
        """Forget a name that was removed, or is used anew; no-op where it was not to be removed."""
        self._note(name).unlink(missing_ok=True)

    def _notes(self) -> list[Path]:
        return sorted(self._folder.glob("*.name")) if self._folder.is_dir() else []

    def _note(self, name: str) -> Path:
        return self._folder / f"{lock_word(name)}.name"
