"""The image catalog."""

from __future__ import annotations

from kpl_lab.platform.storage.orm.images import ImageRow
from kpl_lab.platform.storage.records.images import FILE, ImageRecord
from kpl_lab.platform.storage.repositories.base import Reader, Repository
from kpl_lab.schemas.images import is_shown


class ImageRepository(Repository[ImageRow, ImageRecord]):
    """Images. There are few: what a reader sees of them is sorted out here, not by the database."""

    row = ImageRow
    record = ImageRecord

    def visible(self, reader: Reader) -> list[ImageRecord]:
        """Return what ``reader`` may use: the file's in its order, then others, newest first."""
        sees_all = reader.sees_all or "images" in reader.sees_all_of
        found = [
            one for one in self.find() if sees_all or is_shown(one, reader.name, reader.groups)
        ]
        return sorted(found, key=lambda one: one.position if one.is_of_file else len(found))

    def of_file(self) -> list[ImageRecord]:
        """Return what the administrator's file listed when it was read last."""
        return self.find(ImageRow.source == FILE)

    def in_state(self, state: str) -> list[ImageRecord]:
        """Return all images in a state."""
        return self.find(ImageRow.state == state)

    def with_login(self, reference: str) -> ImageRecord | None:
        """Return an image of that reference for which a registry asks who we are."""
        found = self.find(
            ImageRow.reference == reference, ImageRow.credentials.is_not(None), limit=1
        )
        return found[0] if found else None

    def named(self, owner: str, name: str) -> ImageRecord | None:
        """Return ``owner``'s image of that name."""
        found = self.find(ImageRow.owner == owner, ImageRow.name == name, limit=1)
        return found[0] if found else None
