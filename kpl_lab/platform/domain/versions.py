"""Assets in numbered versions, as datasets, models and algorithms are: begun, finished, used.

A version never changes once it is ready. An asset's ``version`` is its newest ready one; a failed
try leaves it in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kpl_lab.errors import Conflict, NotFound
from kpl_lab.naming import check_name
from kpl_lab.platform.domain import access
from kpl_lab.platform.storage.records.assets import Asset, Version
from kpl_lab.platform.storage.repositories.assets import VersionRepository
from kpl_lab.platform.storage.repositories.base import ResourceRepository
from kpl_lab.platform.storage.store import Store

AssetT = TypeVar("AssetT", bound=Asset)
VersionT = TypeVar("VersionT", bound=Version)


@dataclass(frozen=True, kw_only=True)
class Shelf(Generic[AssetT, VersionT]):
    """All assets of one kind within a transaction.

    Attributes
    ----------
    noun
        What one of them is called.
    waits
        Why one has no version yet, in words.
    """

    store: Store
    noun: str
    assets: ResourceRepository[Any, AssetT]
    versions: VersionRepository[Any, VersionT]
    waits: str = "it is still being prepared"

    @property
    def resource(self) -> str:
        """The resource's name in routes and events."""
        return f"{self.noun}s"

    def begin(
        self, name: str, *, asset: Mapping[str, Any], version: Mapping[str, Any]
    ) -> tuple[AssetT, VersionT]:
        """Add a version in state ``preparing``, and the asset where its owner has none so named.

        Parameters
        ----------
        asset
            Columns of a new asset: owner, workspace, visibility and what its kind has.
        version
            Columns of the version that its kind has.
        """
        clean = check_name(name, what=f"{self.noun}'s name")
        now = self.store.now()
        record = self.assets.own(clean, asset["owner"])
        if record is None:
            record = self.assets.add(
                name=clean,
                state="preparing",
                reason=None,
                message=None,
                created_at=now,
                updated_at=now,
                version=None,
                **asset,
            )
            self.store.events.write(access.subject(self.resource, record), "created")
        elif record.version is None:
            # All tries so far have failed; this one starts afresh.
            self.assets.update(record.id, state="preparing", reason=None, message=None)
            record = self.assets.get(record.id) or record
        begun = self.versions.add(
            **{self.versions.parent: record.id},
            number=self.versions.next_number(record.id),
            state="preparing",
            reason=None,
            message=None,
            created_at=now,
            **version,
        )
        self.store.events.write(access.subject(self.resource, record), "updated")
        return record, begun

    def finish(self, version: VersionT, *, what: str = "", **values: Any) -> None:  # noqa: ANN401
        """Make a prepared version the one in use; its files are in place already. Repeatable.

        Parameters
        ----------
        what
            What to say of it beyond that it is ready.
        values
            Columns that are known now.
        """
        record = self._asset_of(version)
        where = {"state": "preparing"}
        if record is None or not self.versions.update(
            version.id, where=where, state="ready", message=None, **values
        ):
            return
        self.assets.update(
            record.id,
            state="ready",
            reason=None,
            message=None,
            version=max(version.number, record.version or 0),
            updated_at=self.store.now(),
        )
        ready = f"{self.noun.capitalize()} {record.name} version {version.number} is ready"
        message = f"{ready}: {what}." if what else f"{ready}."
        self.store.events.write(access.subject(self.resource, record), "ready", message)

    def note_wait(self, version: VersionT, text: str) -> bool:
        """Note what a prepared version waits for; False where it is not being prepared any more."""
        changed = self.versions.update(version.id, where={"state": "preparing"}, message=text)
        record = self._asset_of(version)
        if changed and record is not None and text != version.message:
            about = access.subject(self.resource, record)
            self.store.events.write(about, "waiting", text, level="warning")
        return changed

    def fail(self, version: VersionT, reason: str, message: str) -> None:
        """End a version that could not be prepared; earlier ones stay in use. Repeatable."""
        record = self._asset_of(version)
        where = {"state": "preparing"}
        if record is None or not self.versions.update(
            version.id, where=where, state="failed", reason=reason, message=message
        ):
            return
        values: dict[str, Any] = {"reason": reason, "message": message}
        if record.version is None:
            values["state"] = "failed"
        self.assets.update(record.id, **values, updated_at=self.store.now())
        about = access.subject(self.resource, record)
        self.store.events.write(about, "failed", message, level="error")

    def usable(self, record: AssetT, number: int | None) -> VersionT:
        """Return a ready version; without a number the one in use.

        Raises
        ------
        NotFound, Conflict
            There is no such version, or it is not ready.
        """
        wanted = number if number is not None else record.version
        if wanted is None:
            raise Conflict(
                f"The {self.noun} {record.name!r} has no ready version yet: "
                + (record.message or f"{self.waits}."),
                code="not_ready",
            )
        found = self.versions.numbered(record.id, wanted)
        if found is None:
            raise NotFound(f"The {self.noun} {record.name!r} has no version {wanted}.")
        if found.state != "ready":
            raise Conflict(
                f"Version {wanted} of the {self.noun} {record.name!r} is {found.state}: "
                + (found.message or "wait until it is ready."),
                code="not_ready",
            )
        return found

    def delete(self, record: AssetT) -> None:
        """Remove an asset with its versions."""
        self.versions.delete_of(record.id)
        self.assets.delete(record.id)
        self.store.events.write(access.subject(self.resource, record), "deleted")

    def _asset_of(self, version: VersionT) -> AssetT | None:
        return self.assets.get(getattr(version, self.versions.parent))
