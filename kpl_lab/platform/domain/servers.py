"""Notebook servers as the platform sees them, and the datasets mounted into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import Conflict, KplError, NotFound
from kpl_lab.naming import split_reference
from kpl_lab.platform import auth
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, datasets, images
from kpl_lab.platform.domain.capacity import Amounts, ledger, limits, require_possible, words
from kpl_lab.platform.domain.faults import Explanation
from kpl_lab.platform.storage.records.work import MountRecord, ServerRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.servers import ServerCreate

ALIVE = ("pending", "starting", "running", "stopping")
MOUNT_ROOT = "datasets"


def subject(server: ServerRecord) -> Subject:
    """Return the subject of events about a server."""
    return Subject(resource="servers", id=server.id, owner=server.user)


def create(store: Store, context: Context, request: ServerCreate) -> tuple[ServerRecord, str]:
    """Keep a server that is about to be started; return it with its JWT.

    What is still known of an earlier server of that name is ended first: the hub has one of each.

    Raises
    ------
    Invalid
        There is no such image for the user, no server can start from it, or it may not be given
        that much.
    """
    user = Reader(name=request.user, groups=frozenset(request.groups))
    image = images.usable(store, user, request.image)
    images.require_for_notebooks(image, request.resources)
    for old in store.servers.active():
        if (old.user, old.name) == (request.user, request.name):
            stop(store, old.id)
    now = store.now()
    record = store.servers.add(
        name=request.name,
        user=request.user,
        image=image.name,
        image_id=image.id,
        state="pending",
        desired="run",
        launch=None,
        wanted_mounts=list(request.mounts),
        handle=None,
        address=None,
        reason=None,
        message=None,
        created_at=now,
        updated_at=now,
        cpu=request.resources.cpu,
        memory=request.resources.memory,
        gpu=request.resources.gpu,
        shm=request.resources.shm,
    )
    store.events.write(subject(record), "created", "The server is being prepared.")
    token = auth.issue(store, context.jwt_key, "notebook", record.id, record.user)
    return record, token


def start(
    store: Store,
    context: Context,
    id: int,
    launch: Mapping[str, Any],
    capacity: Capacity,
) -> ServerRecord:
    """Admit a server and hand it to the controller; repeating it changes nothing.

    Raises
    ------
    QuotaExceeded, Conflict
        It can never fit, or there is no room now; says of what, with numbers.
    """
    server = require(store, id)
    if server.state != "pending":
        return server
    require_possible(server.resources, limits(capacity, context.options))
    book = ledger(store, capacity, context.options)
    wanted = Amounts.of(server.resources)
    lacking = book.free.lacks(wanted)
    if lacking:
        message = (
            f"There is no room for the server: {words(lacking, wanted, book.free)}. "
            "Choose less, or stop a task, service or other server first."
        )
        end(store, server, "failed", "no_capacity", message)
        raise Conflict(message, code="no_capacity")
    store.servers.update(
        id,
        where={"state": "pending"},
        state="starting",
        launch=dict(launch),
        updated_at=store.now(),
    )
    store.events.write(subject(server), "starting", "There is room; the server is starting.")
    return require(store, id)


def require(store: Store, id: int) -> ServerRecord:
    """Return a server.

    Raises
    ------
    NotFound
        There is none of that id.
    """
    found = store.servers.get(id)
    if found is None:
        raise NotFound(f"There is no notebook server {id}.")
    return found


def find(store: Store, caller: Caller, id: int) -> ServerRecord:
    """Return a server that the caller may see.

    Raises
    ------
    NotFound
        There is none.
    """
    found = store.servers.get(id)
    if found is None or not (caller.reader.sees_all or found.user == caller.name):
        raise NotFound(f"There is no notebook server {id} of yours.")
    return found


def stop(store: Store, id: int) -> None:
    """Ask a server to end; no-op when it has."""
    server = store.servers.get(id)
    if server is None or server.state not in ALIVE:
        return
    if server.state == "pending":
        end(store, server, "stopped")
        return
    store.servers.update(id, desired="stop", state="stopping", updated_at=store.now())
    store.events.write(subject(server), "stopping", "The server is stopping.")


def end(
    store: Store,
    server: ServerRecord,
    state: str,
    reason: str | None = None,
    message: str | None = None,
) -> None:
    """Note that a server is no more; its mounts and token end with it. Repeatable."""
    changed = store.servers.update(
        server.id,
        where={"state": ALIVE},
        state=state,
        reason=reason,
        message=message,
        launch=None,
        address=None,
        updated_at=store.now(),
    )
    if not changed:
        return
    auth.revoke(store, "notebook", server.id)
    for mount in store.mounts.of(server.id):
        store.mounts.delete(mount.id)
    store.events.write(
        subject(server),
        "state",
        message or "The server has stopped.",
        level="error" if state == "failed" else "normal",
        data={"state": state},
    )


def end_explained(store: Store, server: ServerRecord, explanation: Explanation) -> None:
    """Note that a server ended by itself, and why."""
    end(store, server, "failed", explanation.reason, explanation.message)


def running(store: Store, server: ServerRecord, address: str | None) -> None:
    """Note that a server answers, and order the mounts that were asked for at its start."""
    changed = store.servers.update(
        server.id,
        where={"state": "starting"},
        state="running",
        address=address,
        launch=None,
        updated_at=store.now(),
    )
    if changed:
        store.events.write(
            subject(server), "state", "The server is ready.", data={"state": "running"}
        )


def mount(
    store: Store, caller: Caller, server: ServerRecord, reference: str, number: int | None
) -> MountRecord:
    """Order a dataset version to be shown in a running server; the same again is the same mount.

    Raises
    ------
    Conflict
        The server does not run, or another version of it is mounted.
    """
    if server.state not in ("running", "starting"):
        raise Conflict(
            "The notebook server does not run; start it first.", code="server_not_running"
        )
    dataset = access.find(store.datasets, reference, caller, datasets.NOUN)
    version = datasets.version_of(store, dataset, number)
    for known in store.mounts.of(server.id):
        if known.dataset_id == dataset.id and known.state != "failed":
            if known.version == version.number:
                return known
            raise Conflict(
                f"Version {known.version} of {dataset.name!r} is mounted already; unmount it first.",
                code="already_mounted",
            )
        if known.dataset_id == dataset.id:
            store.mounts.delete(known.id)
    taken = [m.path for m in store.mounts.of(server.id)]
    folder = dataset.name
    if f"{MOUNT_ROOT}/{folder}" in taken:
        folder = f"{dataset.name} ({dataset.owner})"
    record = store.mounts.add(
        server_id=server.id,
        dataset_id=dataset.id,
        dataset=dataset.name,
        version=version.number,
        path=f"{MOUNT_ROOT}/{folder}",
        state="mounting",
        enforced=False,
        reason=None,
        message=None,
        created_at=store.now(),
    )
    store.events.write(subject(server), "mounting", data={"dataset": dataset.name})
    return record


def mount_at_start(store: Store, server: ServerRecord) -> Sequence[MountRecord]:
    """Order the datasets that were chosen on the start page; what cannot be is told, not fatal."""
    caller = Caller(name=server.user, kind="user")
    made = []
    for reference in server.wanted_mounts:
        try:
            name, number = split_reference(reference)
            made.append(mount(store, caller, server, name, number))
        except KplError as error:
            store.events.write(subject(server), "warning", error.message, level="warning")
    return made


def unmount(store: Store, server: ServerRecord, id: int) -> None:
    """Order a mount to be taken away.

    Raises
    ------
    NotFound
        The server has no such mount.
    """
    found = store.mounts.get(id)
    if found is None or found.server_id != server.id:
        raise NotFound(f"The server has no mount {id}.")
    store.mounts.update(id, state="unmounting")
    store.events.write(subject(server), "unmounting", data={"dataset": found.dataset})
