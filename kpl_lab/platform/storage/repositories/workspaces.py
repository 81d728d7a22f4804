"""Workspaces, events, tokens and repeated creates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from kpl_lab.clock import Clock
from kpl_lab.platform.storage.orm.workspaces import (
    EventRow,
    IdempotencyRow,
    TokenRow,
    WorkspaceRow,
)
from kpl_lab.platform.storage.records.workspaces import (
    EventRecord,
    TokenRecord,
    WorkspaceRecord,
)
from kpl_lab.platform.storage.repositories.base import Reader, Repository, lock

DEFAULT_WORKSPACE = "default"
# Events that only tell open pages to look again; nobody reads them afterwards.
TICKS = ("progress", "metrics", "results")


class WorkspaceRepository(Repository[WorkspaceRow, WorkspaceRecord]):
    """Workspaces by name."""

    row = WorkspaceRow
    record = WorkspaceRecord

    def by_name(self, name: str) -> WorkspaceRecord | None:
        """Return the workspace called ``name``."""
        found = self.find(WorkspaceRow.name == name, limit=1)
        return found[0] if found else None

    def names(self) -> dict[int, str]:
        """Return all names by id."""
        rows = self._session.execute(select(WorkspaceRow.id, WorkspaceRow.name))
        return {id: name for id, name in rows}  # noqa: C416 (rows are not plain tuples)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The thing an event is about, and who may hear of it."""

    resource: str
    id: int
    owner: str
    visibility: str = "private"


class EventRepository(Repository[EventRow, EventRecord]):
    """The one stream of changes."""

    row = EventRow
    record = EventRecord

    def __init__(self, session: Session, clock: Clock) -> None:
        super().__init__(session)
        self._clock = clock
        self._waiting: list[EventRow] = []
        self.added = False

    def write(
        self,
        subject: Subject,
        kind: str,
        message: str = "",
        *,
        level: str = "normal",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that something became different; seen by others when the change is.

        It is written at the end of the transaction: see ``Database.store``.
        """
        self.added = True
        self._waiting.append(
            EventRow(
                time=self._clock.now(),
                owner=subject.owner,
                visibility=subject.visibility,
                resource=subject.resource,
                resource_id=subject.id,
                kind=kind,
                level=level,
                message=message,
                data=dict(data or {}),
            )
        )

    def write_out(self) -> None:
        """Insert what was recorded; ``Database.store`` does it as the last thing.

        Whoever follows events remembers the last id seen, so a lower one must not appear after a
        higher one: from the first id on, one transaction at a time. All else is written before, so
        that nobody waits for a row while others wait for this.
        """
        if not self._waiting:
            return
        self._session.flush()
        lock(self._session, "events")
        self._session.add_all(self._waiting)
        self._waiting = []
        self._session.flush()

    def last_id(self) -> int:
        """Return the id of the newest event; 0 when there is none."""
        self.write_out()
        return self._session.scalar(select(func.max(EventRow.id))) or 0

    def last(self, resource: str, resource_id: int, kind: str) -> EventRecord | None:
        """Return the newest event of a kind about something."""
        self.write_out()
        statement = (
            select(EventRow)
            .where(
                EventRow.resource == resource,
                EventRow.resource_id == resource_id,
                EventRow.kind == kind,
            )
            .order_by(EventRow.id.desc())
            .limit(1)
        )
        return next(iter(self._all(statement)), None)

    def after(
        self, id: int, reader: Reader, *, resources: tuple[str, ...] | None = None, limit: int = 500
    ) -> list[EventRecord]:
        """Return the next events that ``reader`` may hear of, oldest first."""
        self.write_out()
        statement = select(EventRow).where(EventRow.id > id).order_by(EventRow.id).limit(limit)
        if not reader.sees_all:
            statement = statement.where(
                or_(
                    EventRow.owner == reader.name,
                    EventRow.visibility != "private",
                    EventRow.resource.in_(reader.sees_all_of),
                )
            )
        if resources is not None:
            statement = statement.where(EventRow.resource.in_(resources))
        return self._all(statement)

    def of(self, resource: str, id: int, *, limit: int = 500) -> list[EventRecord]:
        """Return what happened to one thing, newest first, without the ticks of its progress."""
        self.write_out()
        return self.find(
            EventRow.resource == resource,
            EventRow.resource_id == id,
            EventRow.kind.not_in(TICKS),
            limit=limit,
        )

    def forget(self, resource: str, id: int) -> None:
        """Forget what happened to one thing."""
        self._waiting = [
            one for one in self._waiting if (one.resource, one.resource_id) != (resource, id)
        ]
        self._session.execute(
            delete(EventRow).where(EventRow.resource == resource, EventRow.resource_id == id)
        )

    def trim(self, *, before: dt.datetime, ticks_before: dt.datetime) -> None:
        """Forget what is older than ``before``, and ticks older than ``ticks_before``."""
        is_tick = EventRow.kind.in_(TICKS) & (EventRow.time < ticks_before)
        self._session.execute(delete(EventRow).where((EventRow.time < before) | is_tick))


class TokenRepository(Repository[TokenRow, TokenRecord]):
    """Tokens by the hash of what their holder shows."""

    row = TokenRow
    record = TokenRecord

    def by_digest(self, digest: str) -> TokenRecord | None:
        """Return the token with that hash."""
        found = self.find(TokenRow.digest == digest, limit=1)
        return found[0] if found else None

    def revoke(self, kind: str, subject_id: int) -> None:
        """End all tokens of one thing."""
        for token in self.find(TokenRow.kind == kind, TokenRow.subject_id == subject_id):
            self.update(token.id, revoked=True)

    def forget(self, kind: str, subject_id: int) -> None:
        """Forget all tokens of one thing, which is gone."""
        self._session.execute(
            delete(TokenRow).where(TokenRow.kind == kind, TokenRow.subject_id == subject_id)
        )


class IdempotencyRepository:
    """What creates with a key have made."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def find(self, owner: str, key: str, resource: str) -> int | None:
        """Return the id of what this key made before."""
        return self._session.scalar(
            select(IdempotencyRow.resource_id).where(
                IdempotencyRow.owner == owner,
                IdempotencyRow.key == key,
                IdempotencyRow.resource == resource,
            )
        )

    def forget(self, owner: str, key: str, resource: str) -> None:
        """Let a key be used again; no-op where it was not used."""
        self._session.execute(
            delete(IdempotencyRow).where(
                IdempotencyRow.owner == owner,
                IdempotencyRow.key == key,
                IdempotencyRow.resource == resource,
            )
        )

    def trim(self, before: dt.datetime) -> None:
        """Forget what was made before ``before``."""
        self._session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < before))

    def keep(self, owner: str, key: str, resource: str, id: int) -> None:
        """Remember what this key made."""
        self._session.add(
            IdempotencyRow(
                owner=owner,
                key=key,
                resource=resource,
                resource_id=id,
                created_at=self._clock.now(),
            )
        )
