"""Creates that may be repeated: the header ``Idempotency-Key`` names what a first try has made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Header

from kpl_lab.platform.auth import Caller
from kpl_lab.platform.storage.store import Store

Made = TypeVar("Made", covariant=True)


class Repository(Protocol[Made]):
    """Where the rows of one resource are."""

    def get(self, id: int, /) -> Made | None:
        """Return a row, if it is there."""


@dataclass(frozen=True)
class Key:
    """The key of one create; without one every try makes something new."""

    value: str | None

    def made(
        self, store: Store, caller: Caller, resource: str, repository: Repository[Made]
    ) -> Made | None:
        """Return what the caller has made with this key before, if it is still there."""
        id = store.idempotency.find(caller.name, self.value, resource) if self.value else None
        return repository.get(id) if id else None

    def keep(self, store: Store, caller: Caller, resource: str, id: int) -> None:
        """Remember what was made, in the transaction that makes it and has asked :meth:`made`."""
        if self.value:
            # What it made before is gone, or it would not have been made now.
            store.idempotency.forget(caller.name, self.value, resource)
            store.idempotency.keep(caller.name, self.value, resource, id)


def get_key(idempotency_key: Annotated[str | None, Header(max_length=200)] = None) -> Key:
    """Return the key that the request carries."""
    return Key(idempotency_key)


KeyDep = Annotated[Key, Depends(get_key)]
