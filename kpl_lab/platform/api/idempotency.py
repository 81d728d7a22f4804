"""Creates that may be repeated: the header ``Idempotency-Key`` names what a first try has made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Header

from kpl_lab.errors import KplError
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.storage.store import Store

Made = TypeVar("Made", covariant=True)
Received = TypeVar("Received")


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
        """Return what the caller has made with this key before, if it is still there.

        Of two that ask at the same moment in order to make it, the second waits for the first.
        """
        if self.value:
            store.lock(f"idempotency {caller.name} {self.value}")
        id = store.idempotency.find(caller.name, self.value, resource) if self.value else None
        return repository.get(id) if id else None

    def unless_made(
        self,
        context: Context,
        caller: Caller,
        resource: str,
        repository: Callable[[Store], Repository[object]],
        receive: Callable[[], Received],
    ) -> Received | None:
        """Do what comes before the transaction that makes something; None where it is made already."""

        def is_made() -> bool:
            with context.database.store(reads_only=True) as store:
                return self.made(store, caller, resource, repository(store)) is not None

        if is_made():
            return None
        try:
            return receive()
        except KplError:
            # Another try has just made it of the same upload, which is gone by that.
            if is_made():
                return None
            raise

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
