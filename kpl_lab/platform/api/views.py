"""What every view has in common."""

from __future__ import annotations

from typing import Any

from kpl_lab.platform.storage.records.workspaces import EventRecord, Resource
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Event


def base_fields(record: Resource, workspaces: dict[int, str]) -> dict[str, Any]:
    """Return the fields that every resource's view starts with."""
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "owner": record.owner,
        "workspace": workspaces.get(record.workspace_id, ""),
        "visibility": record.visibility,
        "reason": record.reason,
        "message": record.message,
    }


def workspace_names(store: Store) -> dict[int, str]:
    """Return the names of all workspaces by id."""
    return store.workspaces.names()


def event(record: EventRecord) -> Event:
    """Return an event as streams and lists show it."""
    return Event(
        id=record.id,
        time=record.time,
        resource=record.resource,
        resource_id=record.resource_id,
        kind=record.kind,
        level=record.level,
        message=record.message,
        data=record.data,
    )
