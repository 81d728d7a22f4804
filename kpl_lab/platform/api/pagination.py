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


Record = TypeVar("Record", bound=HasId)
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

    def page(self, records: Sequence[Record], view: Callable[[Record], View]) -> Page[View]:
        """Turn the records of a query into a page; the one too many becomes the cursor."""
        items = records[: self.limit]
        more = len(records) > self.limit
        return Page(items=[view(r) for r in items], next=str(items[-1].id) if more else None)


ListDep = Annotated[ListParameters, Depends()]
