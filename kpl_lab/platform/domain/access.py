"""Finding things for a caller, and refusing what is not theirs."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from kpl_lab.errors import Conflict, Forbidden, NotFound
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.storage.records.workspaces import Resource
from kpl_lab.platform.storage.repositories.base import ResourceRepository, Row
from kpl_lab.platform.storage.repositories.workspaces import DEFAULT_WORKSPACE, Subject
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Visibility

R = TypeVar("R", bound=Resource)


def find(repository: ResourceRepository[Row, R], reference: str, caller: Caller, noun: str) -> R:
    """Return what a name or id means to the caller.

    Raises
    ------
    NotFound
        There is none, or none that the caller may see.
    """
    found = repository.resolve(reference, caller.reader)
    if found is None:
        raise NotFound(
            f"There is no {noun} {reference!r} that you can see; `kpl {noun} list` shows them."
        )
    return found


def require_change(record: Resource, caller: Caller, noun: str) -> None:
    """Refuse to change what belongs to somebody else.

    Raises
    ------
    Forbidden
        Names the owner, who can.
    """
    if record.owner != caller.name and not caller.is_admin:
        raise Forbidden(
            f"The {noun} {record.name!r} belongs to {record.owner}; only they or an administrator "
            "can change it.",
            detail={"owner": record.owner},
        )


def check_visibility(caller: Caller, visibility: str | None) -> None:
    """Refuse a visibility that only administrators give.

    Raises
    ------
    Forbidden
        The caller wants to publish a preset.
    """
    if visibility == Visibility.PRESET and not caller.is_admin:
        raise Forbidden(
            "Presets are published by administrators; choose public, workspace or private."
        )


def workspace_id(store: Store, name: str) -> int:
    """Return the id of a workspace; ``default`` is made at the first call.

    Raises
    ------
    NotFound
        There is no such workspace.
    """
    found = store.workspaces.by_name(name)
    if found is not None:
        return found.id
    if name != DEFAULT_WORKSPACE:
        raise NotFound(f"There is no workspace {name!r}.")
    try:
        return store.workspaces.add(name=name, created_at=store.now()).id
    except IntegrityError as error:  # somebody else made it just now
        raise Conflict("The workspace was made at this very moment; try again.") from error


def subject(resource: str, record: Resource) -> Subject:
    """Return the subject of events about ``record``."""
    return Subject(
        resource=resource, id=record.id, owner=record.owner, visibility=record.visibility
    )
