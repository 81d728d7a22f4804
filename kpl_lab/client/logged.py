"""Resources that have a log."""

from __future__ import annotations

from collections.abc import Iterator

from kpl_lab.client.events import LogChunk, Subscription
from kpl_lab.client.resources import D, Resource, V
from kpl_lab.schemas.tasks import LogPage


class LoggedResource(Resource[V, D]):
    """A noun whose things print something: read by byte offset, or followed as it grows."""

    def log(
        self, ref: str | int, *, offset: int = 0, limit: int | None = None, **which: int
    ) -> LogPage:
        """Return a part of the log, by byte offset; ``which``: of what runs several times."""
        path = self.path(ref, "log")
        return self._transport.get(path, LogPage, offset=offset, limit=limit, **which)

    def read_log(self, ref: str | int, **which: int) -> Iterator[LogPage]:
        """Yield the pages of what the log holds at present."""
        found = self.get(ref)
        page = self.log(found.id, **which)
        yield page
        while page.next_offset > page.offset and not page.complete:
            page = self.log(found.id, offset=page.next_offset, **which)
            yield page

    def follow_log(self, ref: str | int, *, offset: int = 0, number: int = 0) -> Iterator[LogChunk]:
        """Yield the log from ``offset`` on, as it grows, until its thing has ended.

        Parameters
        ----------
        number
            Of the node or replica, from 0.

        Raises
        ------
        Unavailable
            The platform was away for longer than a restart takes.
        """
        source = f"{self.noun}:{self.get(ref).id}" + (f":{number}" if number else "")
        wanted = Subscription(resources=(self.noun,), logs={source: offset})
        for item in self._events.stream(wanted):
            if isinstance(item, LogChunk) and item.source == source:
                yield item
                if item.complete:
                    return
