"""Algorithms: published code that others can run, in numbered versions."""

from __future__ import annotations

from kpl_lab.errors import Conflict, KplError
from kpl_lab.naming import check_name
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, builds, uploads
from kpl_lab.platform.domain.code import Code, load_code, receive
from kpl_lab.platform.domain.versions import Shelf
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


def _shelf(store: Store) -> Shelf[AlgorithmRecord, AlgorithmVersionRecord]:
    return Shelf(
        store=store,
        noun=NOUN,
        assets=store.algorithms,
        versions=store.algorithm_versions,
        waits="its environment is still being built",
    )


def publish(
    store: Store, context: Context, caller: Caller, request: AlgorithmCreate, code: Code
) -> AlgorithmRecord:
    """Make received code a new version of the caller's, and order the environment that it needs.

    The upload that it came with has served its purpose.
    """
    workspace = access.workspace_id(store, request.workspace)
    build = builds.order(store, context, caller.reader, workspace, code.environment)
    record, version = _shelf(store).begin(
        request.name,
        asset={
            "owner": caller.name,
            "workspace_id": workspace,
            "visibility": request.visibility,
            "description": request.description,
        },
        version={
            "bytes": None,
            "task_id": None,
            "upload_id": None,
            "code_digest": code.digest,
            "build_id": build.record.id if build.record else None,
        },
    )
    if build.record is None or build.record.state == "succeeded":
        finish_version(store, version)
    uploads.discard(store, context.files, request.upload)
    return store.algorithms.get(record.id) or record


def finish_version(store: Store, version: AlgorithmVersionRecord) -> None:
    """Make a version the one in use; repeatable."""
    _shelf(store).finish(version)


def fail_version(store: Store, version: AlgorithmVersionRecord, reason: str, message: str) -> None:
    """End a version whose environment could not be built; the one before stays in use."""
    _shelf(store).fail(version, reason, message)


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
    return _shelf(store).usable(record, number)


def code_of(context: Context, version: AlgorithmVersionRecord) -> Code | None:
    """Return a version's code; None when it can no longer be read, or has to be fetched first."""
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
        store.services.get(s.public_id)
        for s in store.services.every()
        if s.algorithm_id == record.id and not s.is_deleted
    ]
    user = users[0] if users else services[0] if services else None
    if user is not None:
        raise Conflict(
            f"The algorithm {record.name!r} is in use by the {'task' if users else 'service'} "
            f"{user.name!r}; {'stop' if users else 'delete'} that first.",
            code="in_use",
        )
    _shelf(store).delete(record)
