"""Algorithms: published code that others can run, in numbered versions."""

from __future__ import annotations

from typing import Any

from kpl_lab.errors import Conflict, KplError, NotFound
from kpl_lab.naming import check_name
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, builds, uploads
from kpl_lab.platform.domain.code import Code, load_code, receive
from kpl_lab.platform.storage.records.assets import (
    AlgorithmRecord,
    AlgorithmVersionRecord,
    BuildRecord,
)
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import AlgorithmCreate

NOUN = "algorithm"


def receive_code(context: Context, caller: Caller, request: AlgorithmCreate) -> Code:
    """Check and store the code that is to be published; outside of any transaction.

    Raises
    ------
    Invalid
        A YAML file is wrong: file, line, key, and what is allowed.
    """
    access.check_visibility(caller, request.visibility)
    check_name(request.name, what="algorithm's name")
    return receive(context, caller, request.upload)


def publish(
    store: Store, context: Context, caller: Caller, request: AlgorithmCreate, code: Code
) -> AlgorithmRecord:
    """Make received code a new version of the caller's; the upload has served its purpose."""
    record = publish_code(store, context, caller.name, request, code)
    uploads.discard(store, context.files, request.upload)
    return record


def publish_code(
    store: Store, context: Context, owner: str, request: AlgorithmCreate, code: Code
) -> AlgorithmRecord:
    """Add a version of checked code and order the environment that it needs."""
    name = check_name(request.name, what="algorithm's name")
    workspace = access.workspace_id(store, request.workspace)
    record = store.algorithms.own(name, owner)
    now = store.now()
    if record is None:
        record = store.algorithms.add(
            name=name,
            owner=owner,
            workspace_id=workspace,
            visibility=request.visibility,
            state="preparing",
            reason=None,
            message=None,
            created_at=now,
            updated_at=now,
            description=request.description,
            version=None,
        )
        store.events.write(access.subject("algorithms", record), "created")
    elif record.version is None:
        # All tries so far have failed; this one starts afresh.
        store.algorithms.update(record.id, state="preparing", reason=None, message=None)
        record = store.algorithms.get(record.id) or record
    build = builds.order(store, context, owner, workspace, code.environment)
    version = store.algorithm_versions.add(
        algorithm_id=record.id,
        number=store.algorithm_versions.next_number(record.id),
        state="preparing",
        reason=None,
        message=None,
        created_at=now,
        bytes=None,
        task_id=None,
        upload_id=None,
        code_digest=code.digest,
        build_id=build.record.id if build.record else None,
    )
    if build.record is None or build.record.state == "succeeded":
        finish_version(store, version)
    else:
        store.events.write(access.subject("algorithms", record), "updated")
    found = store.algorithms.get(record.id)
    return found or record


def finish_version(store: Store, version: AlgorithmVersionRecord) -> None:
    """Make a version the one in use; repeatable."""
    record = store.algorithms.get(version.algorithm_id)
    if record is None:
        return
    if not store.algorithm_versions.update(version.id, where={"state": "preparing"}, state="ready"):
        return
    newest = max(version.number, record.version or 0)
    store.algorithms.update(
        record.id, state="ready", reason=None, message=None, version=newest, updated_at=store.now()
    )
    store.events.write(
        access.subject("algorithms", record),
        "ready",
        f"Algorithm {record.name} version {version.number} is ready.",
    )


def fail_version(store: Store, version: AlgorithmVersionRecord, reason: str, message: str) -> None:
    """End a version whose environment could not be built; the one before stays in use."""
    record = store.algorithms.get(version.algorithm_id)
    if record is None:
        return
    changed = store.algorithm_versions.update(
        version.id, where={"state": "preparing"}, state="failed", reason=reason, message=message
    )
    if not changed:
        return
    values: dict[str, Any] = {"reason": reason, "message": message, "updated_at": store.now()}
    if record.version is None:
        values["state"] = "failed"
    store.algorithms.update(record.id, **values)
    store.events.write(access.subject("algorithms", record), "failed", message, level="error")


def build_finished(store: Store, build: BuildRecord) -> None:
    """Pass a build's end on to the versions that wait for it."""
    for version in store.algorithm_versions.waiting_for(build.id):
        if build.state == "succeeded":
            finish_version(store, version)
        else:
            fail_version(
                store, version, build.reason or "build_failed", build.message or "The build failed."
            )


def version_of(store: Store, record: AlgorithmRecord, number: int | None) -> AlgorithmVersionRecord:
    """Return a usable version; without a number the newest.

    Raises
    ------
    NotFound, Conflict
        There is no such version, or it cannot be used.
    """
    wanted = number if number is not None else record.version
    if wanted is None:
        raise Conflict(
            f"The algorithm {record.name!r} has no usable version yet: "
            + (record.message or "its environment is still being built."),
            code="not_ready",
        )
    found = store.algorithm_versions.numbered(record.id, wanted)
    if found is None:
        raise NotFound(f"The algorithm {record.name!r} has no version {wanted}.")
    if found.state != "ready":
        raise Conflict(
            f"Version {wanted} of the algorithm {record.name!r} is {found.state}: "
            + (found.message or "wait until its environment is built."),
            code="not_ready",
        )
    return found


def code_of(context: Context, version: AlgorithmVersionRecord) -> Code | None:
    """Return a version's code; None when it can no longer be read."""
    if version.code_digest is None:
        return None
    try:
        return load_code(context.files, version.code_digest)
    except KplError:
        return None


def delete(store: Store, record: AlgorithmRecord) -> None:
    """Remove an algorithm; tasks and services keep the code they were made with.

    Raises
    ------
    Conflict
        An active task or a service runs it.
    """
    users = [t for t in store.tasks.active() if t.algorithm_id == record.id]
    services = [
        s for s in store.services.every() if s.algorithm_id == record.id and not s.is_deleted
    ]
    user = users[0] if users else services[0] if services else None
    if user is not None:
        raise Conflict(
            f"The algorithm {record.name!r} is in use by the {'task' if users else 'service'} "
            f"{user.name!r}; {'stop' if users else 'delete'} that first.",
            code="in_use",
        )
    store.algorithm_versions.delete_of(record.id)
    store.algorithms.delete(record.id)
    store.events.write(access.subject("algorithms", record), "deleted")
