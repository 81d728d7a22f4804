"""The unit of work: one transaction, one repository per resource."""

from __future__ import annotations

import datetime as dt
from functools import cached_property

from sqlalchemy.orm import Session

from kpl_lab.clock import Clock
from kpl_lab.platform.storage.repositories.workspaces import (
    EventRepository,
    IdempotencyRepository,
    TokenRepository,
    WorkspaceRepository,
)


class Store:
    """Everything that is stored, inside one transaction.

    Parameters
    ----------
    session
        The transaction; ``Database.store`` opens, commits and closes it.
    clock
        Where times of new rows come from.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self.clock = clock
        self.events = EventRepository(session, clock)

    @property
    def session(self) -> Session:
        """The transaction itself, for repositories alone."""
        return self._session

    def now(self) -> dt.datetime:
        """Return the present as an aware UTC time."""
        return self.clock.now()

    @cached_property
    def workspaces(self) -> WorkspaceRepository:
        """Workspaces."""
        return WorkspaceRepository(self._session)

    @cached_property
    def tokens(self) -> TokenRepository:
        """Tokens of tasks, services and notebooks."""
        return TokenRepository(self._session)

    @cached_property
    def idempotency(self) -> IdempotencyRepository:
        """What creates with a key have made."""
        return IdempotencyRepository(self._session, self.clock)
