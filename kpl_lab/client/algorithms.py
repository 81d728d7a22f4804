"""``client.algorithms``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kpl_lab.client.uploads import Progress, source_of_code
from kpl_lab.client.versioned import Versioned
from kpl_lab.schemas.algorithms import (
    AlgorithmCreate,
    AlgorithmDetail,
    AlgorithmVersionView,
    AlgorithmView,
)
from kpl_lab.schemas.builds import BuildView
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.tasks import LogPage


class Algorithms(Versioned[AlgorithmView, AlgorithmDetail]):
    """Algorithms: publish, list, get, build log, update, delete."""

    noun = "algorithms"
    page = Page[AlgorithmView]
    detail = AlgorithmDetail

    def versions(self, detail: AlgorithmDetail) -> Sequence[AlgorithmVersionView]:
        """Return the versions of a detail."""
        return detail.versions

    def publish(
        self,
        folder: Path | str,
        name: str | None = None,
        *,
        wait: bool = True,
        on_progress: Progress | None = None,
    ) -> AlgorithmDetail:
        """Send a code folder and make it the next version of an algorithm.

        Parameters
        ----------
        name
            None: the folder's own name.
        wait
            Return when its environment is built.

        Raises
        ------
        Invalid
            The folder, or one of its two YAML files, is not what it should be.
        EndedBadly
            Its environment could not be built; the version before stays in use.
        """
        root = Path(folder)
        upload = self._uploads.send(source_of_code(root), on_progress)
        body = AlgorithmCreate(name=name or root.resolve().name, upload=upload.id)
        return self.create_from(body, wait=wait)

    def create_from(
        self,
        body: AlgorithmCreate,
        *,
        wait: bool = True,
    ) -> AlgorithmDetail:
        """Publish a finished upload of a code folder."""
        return self._make(body, wait=wait)

    def log(self, ref: str | int, version: int, *, offset: int = 0) -> LogPage:
        """Return a part of the log of checking and building a version."""
        path = self.path(ref, "versions", version, "log")
        return self._transport.get(path, LogPage, offset=offset)

    def build(self, build: int) -> BuildView:
        """Return the making of an environment."""
        return self._transport.get(f"/builds/{build}", BuildView)
