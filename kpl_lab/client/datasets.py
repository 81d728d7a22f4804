"""``client.datasets``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kpl_lab.client.uploads import Progress, source_of
from kpl_lab.client.versioned import Versioned
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.datasets import (
    DatasetCreate,
    DatasetDetail,
    DatasetFormat,
    DatasetVersionView,
    DatasetView,
    RecordPage,
)

PURPOSES = ("classification", "detection", "segmentation", "text", "other")
"""What a dataset can be for, as the panels offer it; the first is offered first."""


class Datasets(Versioned[DatasetView, DatasetDetail]):
    """Datasets: create, list, get, records, download, update, delete."""

    noun = "datasets"
    page = Page[DatasetView]
    detail = DatasetDetail

    def versions(self, detail: DatasetDetail) -> Sequence[DatasetVersionView]:
        """Return the versions of a detail."""
        return detail.versions

    def create(
        self,
        name: str,
        path: Path | str,
        *,
        format: DatasetFormat = "auto",
        purpose: str = PURPOSES[0],
        wait: bool = True,
        on_progress: Progress | None = None,
    ) -> DatasetDetail:
        """Send a folder or file and make it a dataset, or the next version of one.

        Parameters
        ----------
        path
            A folder, an archive (tar, tar.gz, zip) or a single file.
        format
            ``auto`` looks at the files.
        purpose
            One of ``PURPOSES``; a further version keeps the dataset's own.
        wait
            Return when its records can be read.

        Raises
        ------
        EndedBadly
            The platform could not make a dataset of it; the message says of what file and why.
        """
        # With its own name, because the records' paths begin with it.
        source = source_of(Path(path), keep_top=True)
        upload = self._uploads.send(source, on_progress)
        body = DatasetCreate(name=name, upload=upload.id, format=format, purpose=purpose)
        return self.create_from(body, wait=wait)

    def create_from(
        self,
        body: DatasetCreate,
        *,
        wait: bool = True,
    ) -> DatasetDetail:
        """Make a dataset of a finished upload."""
        return self._make(body, wait=wait)

    def records(
        self,
        ref: str | int,
        version: int,
        *,
        offset: int = 0,
        limit: int = 50,
        class_name: str | None = None,
    ) -> RecordPage:
        """Return records in storage order."""
        path = self.path(ref, "versions", version, "records")
        return self._transport.get(
            path, RecordPage, offset=offset, limit=limit, class_name=class_name
        )
