"""Points of curves: packed, append-only, down-sampled when read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from kpl_lab.platform.storage.orm.work import DeliveryRow, MetricChunkRow, MetricSeriesRow
from kpl_lab.platform.storage.records.work import MetricSeriesRecord

Floats = npt.NDArray[np.float64]


class MetricRepository:
    """The curves of tasks."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def series(
        self, task_id: int, title: str, name: str, kind: str | None = None
    ) -> tuple[int, bool]:
        """Return the id of a series and whether it is new; ``kind`` sets how it is drawn."""
        row = self._session.scalar(
            select(MetricSeriesRow).where(
                MetricSeriesRow.task_id == task_id,
                MetricSeriesRow.title == title,
                MetricSeriesRow.name == name,
            )
        )
        if row is None:
            row = MetricSeriesRow(
                task_id=task_id, title=title, name=name, type=kind or "line", points=0
            )
            self._session.add(row)
            self._session.flush()
            return row.id, True
        if kind is not None and kind != row.type:
            row.type = kind
        return row.id, False

    def count(self, task_id: int) -> int:
        """Return how many series a task has."""
        counted = select(func.count()).where(MetricSeriesRow.task_id == task_id)
        return self._session.scalar(counted) or 0

    def append(self, series_id: int, x: Sequence[float], y: Sequence[float]) -> None:
        """Add points at the end of a series; ``x`` and ``y`` have the same length."""
        pairs = np.column_stack((np.asarray(x, "<f8"), np.asarray(y, "<f8")))
        self._session.add(
            MetricChunkRow(series_id=series_id, count=len(pairs), data=pairs.tobytes())
        )
        self._session.execute(
            update(MetricSeriesRow)
            .where(MetricSeriesRow.id == series_id)
            .values(points=MetricSeriesRow.points + len(pairs))
            .execution_options(synchronize_session=False)
        )

    def of(self, task_id: int) -> list[MetricSeriesRecord]:
        """Return a task's series in the order in which they first came."""
        rows = self._session.scalars(
            select(MetricSeriesRow)
            .where(MetricSeriesRow.task_id == task_id)
            .order_by(MetricSeriesRow.id)
            .execution_options(populate_existing=True)
        )
        return [
            MetricSeriesRecord(
                id=r.id, task_id=r.task_id, title=r.title, name=r.name, type=r.type, points=r.points
            )
            for r in rows
        ]

    def points(self, series_id: int, at_most: int) -> tuple[Floats, Floats]:
        """Return x and y, thinned to about ``at_most`` points that keep every extreme."""
        chunks = self._session.scalars(
            select(MetricChunkRow.data)
            .where(MetricChunkRow.series_id == series_id)
            .order_by(MetricChunkRow.id)
        ).all()
        pairs = np.frombuffer(b"".join(chunks), "<f8").reshape(-1, 2)
        return thin(pairs[:, 0], pairs[:, 1], at_most)

    def delete_of(self, task_id: int) -> None:
        """Remove all points of a task."""
        ids = select(MetricSeriesRow.id).where(MetricSeriesRow.task_id == task_id)
        self._session.execute(
            delete(MetricChunkRow)
            .where(MetricChunkRow.series_id.in_(ids))
            .execution_options(synchronize_session=False)
        )
        for row in (MetricSeriesRow, DeliveryRow):
            self._session.execute(
                delete(row)
                .where(row.task_id == task_id)
                .execution_options(synchronize_session=False)
            )


def thin(x: Floats, y: Floats, at_most: int) -> tuple[Floats, Floats]:
    """Keep first, last and, per bucket, the lowest and highest point; order stays."""
    if len(x) <= at_most or at_most < 4:
        return x, y
    buckets = (at_most - 2) // 2
    edges = np.linspace(1, len(x) - 1, buckets + 1).astype(int)
    comparable = np.where(np.isfinite(y), y, 0.0)
    keep = {0, len(x) - 1}
    for start, end in pairwise(edges):
        if end > start:
            part = comparable[start:end]
            keep.update((start + int(part.argmin()), start + int(part.argmax())))
    chosen = np.array(sorted(keep))
    return x[chosen], y[chosen]
