"""A user's home: a folder here, or one that lies where its notebook server alone can look."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import httpx

from tests.installation import Installation


class Home:
    """The administrator's home.

    Parameters
    ----------
    installation
        Its server has to run.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    @property
    def scratch(self) -> str:
        """What names of files begin with that nobody is to see, where they can be read back."""
        return "." if self._folder.is_dir() else ""

    @property
    def _folder(self) -> Path:
        return self._installation.user_home

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None where there is none."""
        if self._folder.is_dir():
            place = self._folder / path
            return place.read_bytes() if place.exists() else None
        with self._client() as client:
            found = client.get(f"/files/{path}")
        return found.raise_for_status().content if found.status_code != 404 else None

    def write(self, path: str, text: str) -> None:
        """Write a file, with the folder that it is in, as its user would."""
        if self._folder.is_dir():
            self._write_here(self._folder / path, text)
            return
        folder = path.rpartition("/")[0]
        body = {"type": "file", "format": "text", "content": text}
        with self._client() as client:
            if folder:
                made = client.put(f"/api/contents/{folder}", json={"type": "directory"})
                made.raise_for_status()
            client.put(f"/api/contents/{path}", json=body).raise_for_status()

    def delete(self, path: str) -> None:
        """Remove a file; no-op where there is none."""
        if self._folder.is_dir():
            (self._folder / path).unlink(missing_ok=True)
            return
        with self._client() as client:
            found = client.delete(f"/api/contents/{path}")
        assert found.status_code in (204, 404), found.text

    def fetch(self, path: str) -> Path:
        """Return a copy of a file."""
        content = self.read(path)
        assert content is not None, path
        copy = Path(tempfile.mkdtemp()) / path.rpartition("/")[2]
        copy.write_bytes(content)
        return copy

    def _write_here(self, place: Path, text: str) -> None:
        owner = self._folder.stat()
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        for path in {place, place.parent} - {self._folder}:
            os.chown(path, owner.st_uid, owner.st_gid)

    def _client(self) -> httpx.Client:
        known = self._installation.credentials
        return httpx.Client(
            base_url=f"{known['url'].rstrip('/')}/user/{known['username']}",
            headers={"Authorization": f"token {known['token']}"},
            timeout=60,
        )
