"""What all resources have in common: list, get, delete by id or name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar
from urllib.parse import quote

from kpl_lab.client.events import Events
from kpl_lab.client.transport import Request, Transport
from kpl_lab.client.uploads import Uploads
from kpl_lab.client.waiting import Watch, wait_until_gone
from kpl_lab.errors import KplError
from kpl_lab.schemas.common import Page, ResourceView

V = TypeVar("V", bound=ResourceView)
D = TypeVar("D", bound=ResourceView)

PAGE_ITEMS = 100


class EndedBadly(KplError):
    """Something was made, or stopped, but not with success; ``resource`` is what it became."""

    default_code = "ended_badly"

    def __init__(self, what: str, resource: ResourceView, reason: str | None, why: str) -> None:
        super().__init__(f"{what}: {why}", code=reason)
        self.resource = resource


class Resource(Generic[V, D]):
    """One noun of the API.

    Parameters
    ----------
    transport
        Where requests go.
    uploads, events
        Siblings that some verbs need.
    """

    noun: ClassVar[str]
    page: type[Page[V]]
    detail: type[D]

    def __init__(self, transport: Transport, uploads: Uploads, events: Events) -> None:
        self._transport = transport
        self._uploads = uploads
        self._events = events

    def path(self, ref: str | int, *more: str | int) -> str:
        """Return the route of one thing, or of what is below it."""
        parts = [self.noun, *(quote(str(part), safe="") for part in (ref, *more))]
        return "/" + "/".join(parts)

    def list(
        self, *, limit: int | None = None, search: str | None = None, name: str | None = None
    ) -> Sequence[V]:
        """Return what the caller sees, newest first, at most ``limit`` (None: all)."""
        found: list[V] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            size = PAGE_ITEMS if limit is None else min(PAGE_ITEMS, limit - len(found))
            page = self._transport.get(
                f"/{self.noun}",
                self.page,
                limit=size,
                cursor=cursor,
                search=search,
                name=name,
            )
            found += page.items
            cursor = page.next
            if not cursor:
                break
        return found

    def get(self, ref: str | int) -> D:
        """Return everything about one thing, by id or name.

        Raises
        ------
        NotFound
            There is none, or none that the caller may see.
        """
        return self._transport.get(self.path(ref), self.detail)

    def delete(self, ref: str | int, *, wait: bool = True) -> D:
        """Delete by id or name; with ``wait`` return when it is gone. Returns what it was."""
        # A name may be free, or another's, the moment after: from here on it is the id.
        last = self.get(ref)
        self._transport.send(Request("DELETE", self.path(last.id)))
        if wait:
            watch = Watch((self.noun,), last.id)
            wait_until_gone(self._events, watch, lambda: self.get(last.id))
        return last
