"""Words that an installation has to know of itself, by name."""

from __future__ import annotations

from sqlalchemy.orm import Session

from kpl_lab.platform.storage.orm.workspaces import MarkRow


class MarkRepository:
    """Marks; each is set once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> str | None:
        """Return a mark; None where it was never set."""
        row = self._session.get(MarkRow, name, populate_existing=True)
        return None if row is None else row.value

    def set(self, name: str, value: str) -> None:
        """Set a mark that was not set before."""
        self._session.add(MarkRow(name=name, value=value))
        self._session.flush()
