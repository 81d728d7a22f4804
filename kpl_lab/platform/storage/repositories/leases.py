"""Leases: which process does alone what only one may do, and until when."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select, update
from sqlalchemy.orm import Session

from kpl_lab.clock import Clock
from kpl_lab.platform.storage.orm.workspaces import LeaseRow
from kpl_lab.platform.storage.records.workspaces import LeaseRecord
from kpl_lab.platform.storage.types import UtcDateTime

NOBODY = ""


class LeaseRepository:
    """Leases by name. On PostgreSQL its own clock counts, which all machines share."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def _now(self) -> ColumnElement[dt.datetime]:
        if self._session.get_bind().dialect.name == "postgresql":
            return func.clock_timestamp(type_=UtcDateTime())
        return literal(self._clock.now(), UtcDateTime())

    def _after(self, seconds: float) -> ColumnElement[dt.datetime] | dt.datetime:
        length = dt.timedelta(seconds=seconds)
        if self._session.get_bind().dialect.name == "postgresql":
            return func.clock_timestamp(type_=UtcDateTime()) + literal(length)
        return self._clock.now() + length

    def get(self, name: str) -> LeaseRecord | None:
        """Return who has the lease; None before anybody ever had it."""
        row = LeaseRow
        found = self._session.execute(
            select(row.holder, row.epoch, row.until, row.until < self._now()).where(
                row.name == name
            )
        ).one_or_none()
        if found is None:
            return None
        holder, epoch, until, is_over = found
        return LeaseRecord(
            name=name, holder=holder, epoch=epoch, until=until, is_over=bool(is_over)
        )

    def begin(self, name: str, holder: str, seconds: float) -> int:
        """Take a lease that nobody ever had; return its epoch."""
        self._session.add(LeaseRow(name=name, holder=holder, epoch=1, until=self._after(seconds)))
        self._session.flush()
        return 1

    def take(self, seen: LeaseRecord, holder: str, seconds: float) -> int | None:
        """Take over a lease that was found to be free; return the new epoch.

        None where somebody else was faster, or it was renewed meanwhile.
        """
        epoch = seen.epoch + 1
        values = {"holder": holder, "epoch": epoch, "until": self._after(seconds)}
        is_as_seen = (LeaseRow.epoch == seen.epoch) & (LeaseRow.until == seen.until)
        return epoch if self._change(seen.name, is_as_seen, **values) else None

    def renew(self, name: str, epoch: int, seconds: float) -> bool:
        """Make a lease longer; tell whether that epoch still lasts.

        One that is over and that nobody took meanwhile goes on: nobody else has acted.
        """
        is_mine = LeaseRow.epoch == epoch
        return self._change(name, is_mine, until=self._after(seconds))

    def give_back(self, name: str, epoch: int) -> None:
        """Let others have the lease at once; no-op where another epoch has begun."""
        self._change(name, LeaseRow.epoch == epoch, holder=NOBODY)

    def lasts(self, name: str, epoch: int) -> bool:
        """Say whether an epoch still lasts, and keep it from ending before this transaction does."""
        wanted = select(LeaseRow.epoch).where(LeaseRow.name == name)
        return self._session.scalar(wanted.with_for_update(read=True)) == epoch

    def _change(self, name: str, *conditions: ColumnElement[bool], **values: Any) -> bool:  # noqa: ANN401
        statement = update(LeaseRow).where(LeaseRow.name == name, *conditions).values(**values)
        done = self._session.execute(statement.execution_options(synchronize_session=False))
        return bool(getattr(done, "rowcount", 0))
