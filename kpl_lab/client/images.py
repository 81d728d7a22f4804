"""``client.images``."""

from __future__ import annotations

from kpl_lab.client.resources import EndedBadly, Resource
from kpl_lab.client.transport import Request
from kpl_lab.client.waiting import Watch, wait_until
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.images import CatalogView, ImageCreate, ImageDetail, ImageUpdate, ImageView


class Images(Resource[ImageView, ImageDetail]):
    """The image catalog: list, get, register, update, delete."""

    noun = "images"
    page = Page[ImageView]
    detail = ImageDetail

    def catalog(self) -> CatalogView:
        """Return how the administrator's file stands."""
        return self._transport.get("/catalog", CatalogView)

    def register(self, body: ImageCreate, *, wait: bool = True) -> ImageDetail:
        """Add an image that is there already, and return it when it was looked at.

        Raises
        ------
        EndedBadly
            It cannot be had; the entry stays, and says why.
        """
        made = self._transport.create("/images", body, ImageDetail)
        return self.wait_ready(made.id) if wait else made

    def wait_ready(self, ref: str | int) -> ImageDetail:
        """Return an image when it was looked at.

        Raises
        ------
        EndedBadly
            It cannot be had.
        """
        found = self.get(ref)
        ended = wait_until(
            self._events,
            Watch((self.noun,), found.id),
            lambda: self.get(found.id),
            lambda image: image.state != "preparing",
        )
        if ended.state == "failed":
            why = ended.message or ended.reason or "no reason was given."
            raise EndedBadly(f"Image {ended.name!r} cannot be used", ended, ended.reason, why)
        return ended

    def look(self, ref: str | int, *, wait: bool = True) -> ImageDetail:
        """Have an image looked at again, and return it when it was.

        Raises
        ------
        EndedBadly
            It cannot be had; the entry says why.
        """
        path = self.path(ref, "look")
        found = self._transport.call(Request("POST", path, repeatable=True), ImageDetail)
        return self.wait_ready(found.id) if wait else found

    def update(self, ref: str | int, body: ImageUpdate) -> ImageDetail:
        """Change what ``body`` names of an image."""
        request = Request("PATCH", self.path(ref), json=body, repeatable=True)
        return self._transport.call(request, ImageDetail)
