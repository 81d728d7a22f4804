"""Uploads, datasets, models, algorithms and builds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, func, select, tuple_

from kpl_lab.platform.storage.orm.assets import (
    AlgorithmRow,
    AlgorithmVersionRow,
    BuildRow,
    DatasetRow,
    DatasetVersionRow,
    ModelRow,
    ModelVersionRow,
    UploadRow,
)
from kpl_lab.platform.storage.records.assets import (
    AlgorithmRecord,
    AlgorithmVersionRecord,
    BuildRecord,
    DatasetRecord,
    DatasetVersionRecord,
    ModelRecord,
    ModelVersionRecord,
    UploadRecord,
)
from kpl_lab.platform.storage.repositories.base import (
    MAX_ID,
    Reader,
    Record,
    Repository,
    ResourceRepository,
    Row,
)


class UploadRepository(Repository[UploadRow, UploadRecord]):
    """Bytes on their way in."""

    row = UploadRow
    record = UploadRecord

    def older_than(self, time: dt.datetime) -> list[UploadRecord]:
        """Return what was announced before ``time``."""
        return self.find(UploadRow.created_at < time)


class VersionRepository(Repository[Row, Record]):
    """Numbered versions of one kind of asset; ``parent`` is the column that names the asset."""

    parent: ClassVar[str]

    def _of(self, asset_id: int) -> Any:  # noqa: ANN401 (a column expression)
        return getattr(self.row, self.parent) == asset_id

    def of(self, asset_id: int) -> list[Record]:
        """Return all versions, newest first."""
        return self.find(self._of(asset_id))

    def numbered(self, asset_id: int, number: int) -> Record | None:
        """Return one version."""
        if not 0 < number <= MAX_ID:
            return None
        found = self.find(self._of(asset_id), self.row.number == number, limit=1)
        return found[0] if found else None

    def newest(self, asset_id: int) -> Record | None:
        """Return the newest version, in whatever state."""
        found = self.find(self._of(asset_id), limit=1)
        return found[0] if found else None

    def newest_of(self, asset_ids: list[int]) -> dict[int, Record]:
        """Return the newest version of each of several assets, in one question."""
        parent = getattr(self.row, self.parent)
        newest = select(func.max(self.row.id)).where(parent.in_(asset_ids)).group_by(parent)
        found = self.find(self.row.id.in_(newest))
        return {getattr(version, self.parent): version for version in found}

    def used_of(self, assets: Iterable[Any]) -> dict[int, Record]:
        """Return the version in use of each of several assets that have one, in one question."""
        parent = getattr(self.row, self.parent)
        pairs = [(a.id, a.version) for a in assets if a.version is not None]
        found = self.find(tuple_(parent, self.row.number).in_(pairs)) if pairs else []
        return {getattr(version, self.parent): version for version in found}

    def next_number(self, asset_id: int) -> int:
        """Return the number that the next version gets; numbers are never given twice."""
        highest = self._session.scalar(select(func.max(self.row.number)).where(self._of(asset_id)))
        return (highest or 0) + 1

    def in_state(self, state: str) -> list[Record]:
        """Return all versions in ``state``."""
        return self.find(self.row.state == state)

    def waits_for(self, upload_id: int) -> bool:
        """Tell whether a version is still to be made of an upload."""
        return bool(
            self.find(self.row.upload_id == upload_id, self.row.state == "preparing", limit=1)
        )

    def delete_of(self, asset_id: int) -> None:
        """Remove all versions of one asset."""
        for version in self.of(asset_id):
            self.delete(version.id)  # type: ignore[attr-defined]  # every version record has an id


class DatasetRepository(ResourceRepository[DatasetRow, DatasetRecord]):
    """Datasets."""

    row = DatasetRow
    record = DatasetRecord


class DatasetVersionRepository(VersionRepository[DatasetVersionRow, DatasetVersionRecord]):
    """Versions of datasets."""

    row = DatasetVersionRow
    record = DatasetVersionRecord
    parent = "dataset_id"


class ModelRepository(ResourceRepository[ModelRow, ModelRecord]):
    """Models."""

    row = ModelRow
    record = ModelRecord


class ModelVersionRepository(VersionRepository[ModelVersionRow, ModelVersionRecord]):
    """Versions of models."""

    row = ModelVersionRow
    record = ModelVersionRecord
    parent = "model_id"


class AlgorithmRepository(ResourceRepository[AlgorithmRow, AlgorithmRecord]):
    """Algorithms."""

    row = AlgorithmRow
    record = AlgorithmRecord


class AlgorithmVersionRepository(VersionRepository[AlgorithmVersionRow, AlgorithmVersionRecord]):
    """Versions of algorithms."""

    row = AlgorithmVersionRow
    record = AlgorithmVersionRecord
    parent = "algorithm_id"

    def waiting_for(self, build_id: int) -> list[AlgorithmVersionRecord]:
        """Return the versions that wait for a build."""
        return self.find(
            AlgorithmVersionRow.build_id == build_id, AlgorithmVersionRow.state == "preparing"
        )


class BuildRepository(ResourceRepository[BuildRow, BuildRecord]):
    """Makings of environments and images."""

    row = BuildRow
    record = BuildRecord

    def visible(self, reader: Reader) -> ColumnElement[bool] | None:
        """Return the condition for one's own: logs may hold what is nobody else's."""
        return None if reader.sees_all else BuildRow.owner == reader.name

    def usable(self, digest: str) -> BuildRecord | None:
        """Return a build of that recipe which has succeeded, or is under way and nobody's to stop."""
        is_ours = BuildRow.name.is_(None) & BuildRow.state.in_(("queued", "running"))
        found = self.find(
            BuildRow.digest == digest,
            is_ours | ((BuildRow.state == "succeeded") & BuildRow.reason.is_(None)),
            limit=1,
        )
        return found[0] if found else None

    def making(self, owner: str, name: str) -> BuildRecord | None:
        """Return the build that makes somebody's image at this moment."""
        is_active = BuildRow.state.in_(("queued", "running"))
        found = self.find(BuildRow.owner == owner, BuildRow.name == name, is_active, limit=1)
        return found[0] if found else None

    def made(self) -> list[BuildRecord]:
        """Return the builds whose result the engine has."""
        return self.find(BuildRow.state == "succeeded", BuildRow.image.is_not(None))

    def active(self) -> list[BuildRecord]:
        """Return what is queued or runs."""
        return self.find(BuildRow.state.in_(("queued", "running")))
