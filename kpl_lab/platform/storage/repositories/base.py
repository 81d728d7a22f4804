"""What every repository can do: add, get, change under a condition, list, delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from kpl_lab.platform.storage.orm.base import Base

# What an integer column of either database can hold; larger ids are nobody's.
MAX_ID = 2**63 - 1
# In one question; SQLite allows some ten thousand.
_MOST_VALUES = 1000

Row = TypeVar("Row", bound=Base)
Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who looks: an administrator sees all, others their own and what is shared.

    ``sees_all_of`` names kinds of resources of which it sees all; ``groups`` are the hub's, and
    images may be restricted to some.
    """

    name: str
    sees_all: bool = False
    sees_all_of: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """A page of a list, newest first.

    ``before_id`` is the id of the last item of the page before; ``search`` looks into names.
    """

    reader: Reader
    limit: int = 100
    before_id: int | None = None
    name: str | None = None
    search: str | None = None
    states: tuple[str, ...] = ()


def lock(session: Session, name: str) -> None:
    """Wait until no other writing transaction has this lock, and keep it until the end of this one.

    SQLite has one writer at a time anyway; who only reads needs none.
    """
    connection = session.connection()
    is_reading = connection.get_execution_options().get("kpl_reads_only", False)
    if connection.dialect.name == "postgresql" and not is_reading:
        key = func.hashtextextended(f"kpl-lab {name}", 0)
        session.execute(select(func.pg_advisory_xact_lock(key)))


class Repository(Generic[Row, Record]):
    """Rows of one table as records; never hands out a row.

    Subclasses name ``row`` and ``record``; the record's fields are columns of the same name.
    """

    row: ClassVar[type[Any]]
    record: ClassVar[type[Any]]

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fields = [f.name for f in dataclasses.fields(self.record)]

    def _to_record(self, row: Row) -> Record:
        made: Record = self.record(**{name: getattr(row, name) for name in self._fields})
        return made

    def add(self, **values: Any) -> Record:  # noqa: ANN401 (columns of any type)
        """Insert a row and return it with its id."""
        row = self.row(**values)
        self._session.add(row)
        self._session.flush()
        return self._to_record(row)

    def get(self, id: int) -> Record | None:
        """Return the row of that id, fresh from the database."""
        if not 0 < id <= MAX_ID:
            return None
        row = self._session.get(self.row, id, populate_existing=True)
        return None if row is None else self._to_record(row)

    def update(self, id: int, *, where: Mapping[str, Any] | None = None, **values: Any) -> bool:  # noqa: ANN401
        """Change a row if it still is as ``where`` says; tell whether it was.

        A value of ``where`` that is a tuple means any of them.
        """
        statement = update(self.row).where(self.row.id == id)
        for column, expected in (where or {}).items():
            attribute = getattr(self.row, column)
            is_choice = isinstance(expected, tuple)
            statement = statement.where(
                attribute.in_(expected) if is_choice else attribute == expected
            )
        statement = statement.values(**values).execution_options(synchronize_session=False)
        result = self._session.execute(statement)
        return bool(getattr(result, "rowcount", 0))

    def ids(self) -> list[int]:
        """Return the ids of all rows."""
        return list(self._session.scalars(select(self.row.id)))

    def known(self, ids: Iterable[int]) -> set[int]:
        """Return those of some ids that have a row."""
        wanted = [id for id in ids if 0 < id <= MAX_ID]
        found: set[int] = set()
        for start in range(0, len(wanted), _MOST_VALUES):
            part = self.row.id.in_(wanted[start : start + _MOST_VALUES])
            found.update(self._session.scalars(select(self.row.id).where(part)))
        return found

    def delete(self, id: int) -> bool:
        """Remove a row; tell whether it was there."""
        result = self._session.execute(
            delete(self.row).where(self.row.id == id).execution_options(synchronize_session=False)
        )
        self._session.expire_all()
        return bool(getattr(result, "rowcount", 0))

    def find(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Record]:
        """Return the rows that meet all conditions, newest first."""
        statement = select(self.row).where(*conditions).order_by(self.row.id.desc()).limit(limit)
        return self._all(statement)

    def _all(self, statement: Select[Any]) -> list[Record]:
        rows: Sequence[Any] = self._session.scalars(
            statement.execution_options(populate_existing=True)
        ).all()
        return [self._to_record(row) for row in rows]


class ResourceRepository(Repository[Row, Record]):
    """A repository of things that have owner, name and visibility."""

    def visible(self, reader: Reader) -> ColumnElement[bool] | None:
        """Return the condition for what ``reader`` may see; None: everything."""
        if reader.sees_all:
            return None
        condition: ColumnElement[bool] = or_(
            self.row.owner == reader.name,
            self.row.visibility.in_(("workspace", "public", "preset")),
        )
        return condition

    def listed(self) -> ColumnElement[bool] | None:
        """Return the condition for what stands in lists at all; None: everything."""
        return None

    def page(self, query: ListQuery) -> list[Record]:
        """Return one page, one item more than ``limit`` when there is a further page."""
        statement = select(self.row).order_by(self.row.id.desc()).limit(query.limit + 1)
        visible = self.visible(query.reader)
        if visible is not None:
            statement = statement.where(visible)
        listed = self.listed()
        if listed is not None:
            statement = statement.where(listed)
        if query.before_id is not None:
            statement = statement.where(self.row.id < query.before_id)
        if query.name is not None:
            statement = statement.where(self.row.name == query.name)
        if query.search:
            statement = statement.where(self.row.name.icontains(query.search, autoescape=True))
        if query.states:
            statement = statement.where(self.row.state.in_(query.states))
        return self._all(statement)

    def resolve(self, reference: str, reader: Reader) -> Record | None:
        """Return what an id or a name means to ``reader``: their own first, then the newest."""
        if reference.isdigit():
            if not reference.isascii() or len(reference) > 19 or int(reference) > MAX_ID:
                return None
            statement = select(self.row).where(self.row.id == int(reference))
        else:
            statement = select(self.row).where(self.row.name == reference)
        visible = self.visible(reader)
        if visible is not None:
            statement = statement.where(visible)
        own_first = (self.row.owner == reader.name).desc()
        found = self._all(statement.order_by(own_first, self.row.id.desc()).limit(1))
        return found[0] if found else None

    def own(self, name: str, owner: str) -> Record | None:
        """Return ``owner``'s thing of that name."""
        found = self.find(self.row.name == name, self.row.owner == owner, limit=1)
        return found[0] if found else None
