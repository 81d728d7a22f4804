"""``client.models``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kpl_lab.client.uploads import Progress, source_of
from kpl_lab.client.versioned import Versioned
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.models import ModelCreate, ModelDetail, ModelVersionView, ModelView


class Models(Versioned[ModelView, ModelDetail]):
    """Models: create, list, get, download, update, delete."""

    noun = "models"
    page = Page[ModelView]
    detail = ModelDetail

    def versions(self, detail: ModelDetail) -> Sequence[ModelVersionView]:
        """Return the versions of a detail."""
        return detail.versions

    def create(
        self,
        name: str,
        path: Path | str,
        *,
        description: str = "",
        wait: bool = True,
        on_progress: Progress | None = None,
    ) -> ModelDetail:
        """Send a folder or file and make it a model, or the next version of one.

        Raises
        ------
        EndedBadly
            The platform could not make a model of it.
        """
        # The platform takes one top folder off a packed folder, so there must be one.
        upload = self._uploads.send(source_of(Path(path), keep_top=True), on_progress)
        body = ModelCreate(name=name, upload=upload.id, description=description)
        return self.create_from(body, wait=wait)

    def create_from(
        self,
        body: ModelCreate,
        *,
        wait: bool = True,
    ) -> ModelDetail:
        """Make a model of a finished upload."""
        return self._make(body, wait=wait)
