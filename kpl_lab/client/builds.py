"""``client.builds``."""

from __future__ import annotations

from collections.abc import Callable

from kpl_lab.client.logged import LoggedResource
from kpl_lab.client.resources import EndedBadly
from kpl_lab.client.transport import Request
from kpl_lab.client.waiting import Watch, wait_until
from kpl_lab.schemas.builds import BuildCreate, BuildState, BuildView
from kpl_lab.schemas.common import Page

ENDED = (BuildState.SUCCEEDED, BuildState.FAILED, BuildState.STOPPED)


class Builds(LoggedResource[BuildView, BuildView]):
    """Makings of environments and images: order, list, get, log, stop."""

    noun = "builds"
    page = Page[BuildView]
    detail = BuildView

    def create(self, body: BuildCreate) -> BuildView:
        """Order the making of an image and return at once."""
        return self._transport.create("/builds", body, BuildView)

    def wait(
        self, build: BuildView, *, on_look: Callable[[BuildView], None] | None = None
    ) -> BuildView:
        """Return a build when it has ended.

        Raises
        ------
        EndedBadly
            It has failed, or was stopped.
        """
        ended = wait_until(
            self._events,
            Watch((self.noun,), build.id),
            lambda: self.get(build.id),
            lambda found: found.state in ENDED,
            on_look,
        )
        if ended.state is not BuildState.SUCCEEDED:
            why = ended.message or ended.reason or "no reason was given."
            raise EndedBadly(f"Build {ended.id} of {ended.name!r}", ended, ended.reason, why)
        return ended

    def stop(self, build: int) -> BuildView:
        """Ask a build to end; repeatable."""
        request = Request("POST", self.path(build, "stop"), repeatable=True)
        return self._transport.call(request, BuildView)
