"""Notebook servers as the platform sees them, and the datasets mounted into them."""

from __future__ import annotations

from collections.abc import Sequence

from kpl_lab.engines.spec import Step, Waits
from kpl_lab.errors import Conflict, KplError, NotFound
from kpl_lab.naming import split_reference
from kpl_lab.platform import auth
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, datasets, images, pools, server_events
from kpl_lab.platform.domain.faults import Explanation
from kpl_lab.platform.domain.server_events import (
    PULLING_REASON,
    REASON_OF_STEP,
    subject,
    tell,
)
from kpl_lab.platform.storage.records.work import MountRecord, ServerRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.servers import ServerCreate
from kpl_lab.telemetry.instruments import SERVER_SPAWNS, SERVERS_ENDED
from kpl_lab.wording import counted

ALIVE = ("pending", "starting", "running", "stopping")
MOUNT_ROOT = "datasets"


def create(store: Store, context: Context, request: ServerCreate) -> tuple[ServerRecord, str]:
    """Keep a server that is about to be started; return it with its JWT.

    What is still known of an earlier server of that name is ended first: the hub has one of each.

    Raises
    ------
    Invalid
        There is no such image or pool for the user, no server can start from it, or it may not be
        given that much.
    """
    user = Reader(name=request.user, groups=frozenset(request.groups))
    image = images.usable(store, user, request.image)
    images.require_for_notebooks(image, request.resources)
    for old in store.servers.active_of(request.user, request.name):
        stop(store, old.id)
    now = store.now()
    before = store.servers.latest(request.user, request.name)
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
        pool=pools.choose(context, user, request.pool),
    )
    tell(store, record, server_events.CREATED)
    if before is not None:
        _tell_changes(store, before, record)
    token = auth.issue(store, context.jwt_key, "notebook", record.id, record.user)
    return record, token


def _tell_changes(store: Store, before: ServerRecord, now: ServerRecord) -> None:
    if before.image != now.image:
        event = server_events.UPDATE_IMAGE
        tell(store, now, event, image=now.image, before=before.image)
    if (before.resources, before.pool) != (now.resources, now.pool):
        event = server_events.UPDATE_FLAVOR
        tell(store, now, event, limits=_limit_words(now), before=_limit_words(before))


def _limit_words(server: ServerRecord) -> str:
    gpu = f", {counted(server.gpu, 'GPU')}" if server.gpu else ""
    pool = f", pool {server.pool}" if server.pool else ""
    return f"{server.cpu:g} CPU, {server.memory} MiB{gpu}{pool}"


def admitted(store: Store, server: ServerRecord) -> bool:
    """Note that there is room for a server that waited; tell whether it still did."""
    changed = store.servers.update(
        server.id,
        where={"state": "pending"},
        state="starting",
        reason=None,
        message=None,
        updated_at=store.now(),
    )
    if changed:
        tell(store, server, server_events.SCHEDULED)
    return changed


def pulling(store: Store, server: ServerRecord, done: int, total: int) -> None:
    """Note how much of a starting server's image is there: layers."""
    message = f"Pulling the image: {100 * done // max(total, 1)} % ({done} of {total} layers)."
    if message == server.message:
        return
    changed = store.servers.update(
        server.id, where={"state": "starting"}, reason=PULLING_REASON, message=message
    )
    if changed and server.reason != PULLING_REASON:
        tell(store, server, server_events.PULLING)


def waits(store: Store, server: ServerRecord, found: Waits) -> None:
    """Note what a server that has room waits for where it is to run, or how far it is."""
    reason = REASON_OF_STEP.get(found.step)
    is_news = found.text != server.message
    if not is_news and reason == server.reason:
        return
    if not store.servers.update(
        server.id, where={"state": "starting"}, reason=reason, message=found.text
    ):
        return
    if reason != server.reason:
        _tell_steps(store, server, found.step)
    if is_news and found.step is Step.QUEUED:
        tell(store, server, server_events.QUEUED, message=found.text)
    elif is_news and not found.is_progress:
        tell(store, server, server_events.DELAYED, message=found.text)


def waits_no_more(store: Store, server: ServerRecord) -> None:
    """Note that nothing keeps a starting server any more: its image is there."""
    if server.reason not in REASON_OF_STEP.values():
        return
    where = {"state": "starting", "reason": server.reason}
    if store.servers.update(server.id, where=where, reason=None, message=None):
        _tell_steps(store, server, Step.STARTING)


def _tell_steps(store: Store, server: ServerRecord, now: Step) -> None:
    """Write into a server's history by which steps it has come to where it is now."""
    if server.reason == server_events.NO_PLACE_REASON and now is not Step.QUEUED:
        tell(store, server, server_events.SCHEDULED)
    if now is Step.IMAGE:
        tell(store, server, server_events.PULLING)
    elif server.reason == PULLING_REASON and now is Step.STARTING:
        tell(store, server, server_events.PULLED)


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


def stop(store: Store, id: int, reason: str | None = None, message: str | None = None) -> None:
    """Ask a server to end; no-op when it has.

    Parameters
    ----------
    reason, message
        Why, where it was nobody's wish at this moment; they stay with the server.
    """
    server = store.servers.get(id)
    if server is None or server.state not in ALIVE:
        return
    if server.state == "pending" and server.launch is None:
        withdraw(store, server)
        return
    if server.state == "pending":
        end(store, server, "stopped")
        return
    if server.state == "stopping":
        return
    store.servers.update(
        id,
        desired="stop",
        state="stopping",
        reason=reason,
        message=message,
        updated_at=store.now(),
    )
    tell(store, server, server_events.STOPPING)


def withdraw(store: Store, server: ServerRecord) -> None:
    """Leave nothing of a server that was refused, or that never was asked to start."""
    forget(store, server)
    store.events.write(subject(server), "deleted")


def forget(store: Store, server: ServerRecord) -> None:
    """Forget a server that is no more, with its events and tokens."""
    store.events.forget("servers", server.id)
    store.tokens.forget("notebook", server.id)
    store.servers.delete(server.id)


def end(
    store: Store,
    server: ServerRecord,
    state: str,
    reason: str | None = None,
    message: str | None = None,
) -> None:
    """Note that a server is no more; its mounts and token end with it. Repeatable."""
    mounts, wanted = store.mounts.of(server.id), server.wanted_mounts
    if server.address is not None:
        # It ran: what its user mounted and unmounted meanwhile is what they want again.
        wanted = [mount.dataset for mount in mounts if mount.state in ("mounting", "mounted")]
    changed = store.servers.update(
        server.id,
        where={"state": ALIVE},
        state=state,
        reason=reason,
        message=message,
        launch=None,
        address=None,
        wanted_mounts=wanted,
        updated_at=store.now(),
    )
    if not changed:
        return
    auth.revoke(store, "notebook", server.id)
    for mount in mounts:
        store.mounts.delete(mount.id)
    event = server_events.STOPPED
    if state == "failed":
        event = server_events.failure(server, reason)
    tell(store, server, event, {"state": state}, message=message or "", reason=reason or "")
    store.after_commit(SERVERS_ENDED.labels(state, reason or "none").inc)


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
        reason=None,
        message=None,
        updated_at=store.now(),
    )
    if changed:
        tell(store, server, server_events.HEALTHY, {"state": "running"})
        took = (store.now() - server.created_at).total_seconds()
        store.after_commit(lambda: SERVER_SPAWNS.observe(max(took, 0.0)))


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
            tell(store, server, server_events.NOT_MOUNTED_AT_START, message=error.message)
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
