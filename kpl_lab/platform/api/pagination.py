"""Lists: bounded, newest first, with a cursor to the next page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Query

from kpl_lab.errors import Invalid
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.storage.repositories.base import ListQuery
from kpl_lab.schemas.common import Page

MAX_LIMIT = 1000


class HasId(Protocol):
    """A record with an id."""

    @property
    def id(self) -> int:
        """The id."""
        ...


class HasName(HasId, Protocol):
    """A thing with an id, a name and a state."""

    @property
    def name(self) -> str:
        """The name."""
        ...

    @property
    def state(self) -> str:
        """The state."""
        ...


Record = TypeVar("Record", bound=HasId)
Named = TypeVar("Named", bound=HasName)
View = TypeVar("View")


class ListParameters:
    """The query parameters of every list."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, Query(max_length=40)] = None,
        name: Annotated[str | None, Query(max_length=200)] = None,
        search: Annotated[str | None, Query(max_length=200)] = None,
        state: Annotated[list[str] | None, Query()] = None,
    ) -> None:
        if cursor is not None and not (cursor.isdigit() and len(cursor) < 19):
            raise Invalid("This cursor is not one that a list has given.", code="bad_cursor")
        self.limit = limit
        self.before_id = int(cursor) if cursor else None
        self.name = name
        self.search = search
        self.states = tuple(state or ())

    def query(self, caller: Caller) -> ListQuery:
        """Return what the repository is asked."""
        return ListQuery(
            reader=caller.reader,
            limit=self.limit,
            before_id=self.before_id,
            name=self.name,
            search=self.search,
            states=self.states,
        )

    def matches(self, one: HasName) -> bool:
        """Say whether a thing is asked for: what the database says of rows, for few of them."""
        return (
            self.name in (None, one.name)
            and (self.search or "").casefold() in one.name.casefold()
            and (not self.states or one.state in self.states)
        )

    def sorted_page(self, views: Sequence[Named]) -> Page[Named]:
        """Return the page of a list that has an order of its own and is there as a whole."""
        ids = [one.id for one in views]
        begin = ids.index(self.before_id) + 1 if self.before_id in ids else 0
        items = views[begin : begin + self.limit]
        more = len(views) > begin + self.limit
        return Page(items=list(items), next=str(items[-1].id) if more else None)

    def page(self, records: Sequence[Record], view: Callable[[Record], View]) -> Page[View]:
        """Turn the records of a query into a page; the one too many becomes the cursor."""
        items = records[: self.limit]
        more = len(records) > self.limit
        return Page(items=[view(r) for r in items], next=str(items[-1].id) if more else None)


ListDep = Annotated[ListParameters, Depends()]
