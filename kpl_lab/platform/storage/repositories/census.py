"""Counts over whole tables, made by the database: what a scrape of the platform's metrics asks for."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from kpl_lab.platform.storage.orm.assets import BuildRow
from kpl_lab.platform.storage.orm.images import ImageRow
from kpl_lab.platform.storage.orm.work import ServerRow, ServiceRow, TaskRow
from kpl_lab.platform.storage.orm.workspaces import EventRow
from kpl_lab.platform.storage.types import UtcDateTime

Counts = dict[str, int]


class CensusRepository:
    """How many there are of what."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def tasks(self) -> Counts:
        """Return how many tasks are in each state."""
        return self._states(TaskRow)

    def servers(self) -> Counts:
        """Return how many notebook servers are in each state."""
        return self._states(ServerRow)

    def builds(self) -> Counts:
        """Return how many builds are in each state."""
        return self._states(BuildRow)

    def services(self) -> Counts:
        """Return how many services are in each state; further revisions are none of their own."""
        is_counted = ServiceRow.is_deleted.is_(False) & ServiceRow.service_id.is_(None)
        return self._states(ServiceRow, is_counted)

    def images(self) -> dict[tuple[str, str], int]:
        """Return how many images there are by state and source."""
        found = self._session.execute(
            select(ImageRow.state, ImageRow.source, func.count()).group_by(
                ImageRow.state, ImageRow.source
            )
        )
        return {(str(state), str(source)): int(count) for state, source, count in found}

    def replicas(self) -> Counts:
        """Return how many replicas of services are wanted, and how many are ready."""
        found = self._session.execute(
            select(ServiceRow.is_wanted, ServiceRow.replicas, ServiceRow.instances).where(
                ServiceRow.is_deleted.is_(False)
            )
        ).all()
        ready = sum(1 for row in found for one in row.instances if one["state"] == "ready")
        return {"wanted": sum(row.replicas for row in found if row.is_wanted), "ready": ready}

    def queue(self) -> tuple[int, dt.datetime | None]:
        """Return how many tasks wait, and since when the oldest of them does."""
        waits = (TaskRow.state == "queued", TaskRow.desired == "run")
        length = self._session.scalar(select(func.count()).where(*waits)) or 0
        since = func.coalesce(_entered(TaskRow.id), TaskRow.created_at)
        oldest = select(func.min(since, type_=UtcDateTime())).select_from(TaskRow).where(*waits)
        return length, self._session.scalar(oldest) if length else None

    def entered(self, task_id: int) -> dt.datetime | None:
        """Return since when a task is in its state; None: its history is not kept that long."""
        return self._session.scalar(select(_entered(task_id)))

    def _states(self, row: type[Any], *conditions: ColumnElement[bool]) -> Counts:
        statement = select(row.state, func.count()).where(*conditions).group_by(row.state)
        return {str(state): int(count) for state, count in self._session.execute(statement)}


def _entered(task_id: Any) -> Any:  # noqa: ANN401 (an id, or the column of it)
    """Return the moment of the last event that says that a task's state changed, as a subquery."""
    return (
        select(func.max(EventRow.time, type_=UtcDateTime()))
        .where(
            EventRow.resource == "tasks",
            EventRow.resource_id == task_id,
            EventRow.kind.in_(("created", "state")),
        )
        .scalar_subquery()
    )
