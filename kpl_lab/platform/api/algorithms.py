"""Algorithms, builds, images and forms over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from kpl_lab.errors import Conflict, NotFound
from kpl_lab.platform.api import logs, views
from kpl_lab.platform.api.deps import ContextDep, ReadingStoreDep, StoreDep, needs
from kpl_lab.platform.api.idempotency import KeyDep
from kpl_lab.platform.api.pagination import ListDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, algorithms, builds, code
from kpl_lab.platform.domain.code import Code
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.assets import (
    AlgorithmRecord,
    AlgorithmVersionRecord,
)
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import (
    AlgorithmCreate,
    AlgorithmDetail,
    AlgorithmUpdate,
    AlgorithmVersionView,
    AlgorithmView,
    FormDescription,
)
from kpl_lab.schemas.common import Page, Schema
from kpl_lab.schemas.tasks import LogPage

router = APIRouter(tags=["algorithms"])
Reading = Annotated[Caller, Depends(needs(scope("algorithms", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("algorithms", "write")))]
NOUN = algorithms.NOUN


class FormRequest(Schema):
    """The texts of the two files that describe an algorithm."""

    environment_yml: str = Field(max_length=1_000_000)
    parameter_yml: str = Field("", max_length=1_000_000)


def _functions(context: Context, version: AlgorithmVersionRecord | None) -> list[str]:
    found = algorithms.code_of(context, version) if version else None
    return list(found.environment.functions) if found else []


def _facts(
    context: Context,
    record: AlgorithmRecord,
    used: AlgorithmVersionRecord | None,
    names: dict[int, str],
) -> dict[str, Any]:
    return views.base_fields(record, names) | {
        "description": record.description,
        "version": record.version,
        "functions": _functions(context, used),
    }


def _version_view(
    store: Store, context: Context, version: AlgorithmVersionRecord
) -> AlgorithmVersionView:
    found = algorithms.code_of(context, version)
    build = store.builds.get(version.build_id) if version.build_id else None
    waits = build.message if build is not None and build.state in ("queued", "running") else None
    return AlgorithmVersionView.model_validate(version).model_copy(
        update={
            "functions": list(found.environment.functions.values()) if found else [],
            "environment": build.digest if build else None,
            "message": version.message or waits,
        }
    )


def _detail(
    store: Store, context: Context, caller: Caller, record: AlgorithmRecord
) -> AlgorithmDetail:
    versions = store.algorithm_versions.of(record.id)
    usable = next((v for v in versions if v.number == record.version), None)
    shown = usable or (versions[0] if versions else None)
    found = algorithms.code_of(context, shown) if shown else None
    return AlgorithmDetail(
        **_facts(context, record, shown, views.workspace_names(store)),
        versions=[_version_view(store, context, v) for v in versions],
        readme=code.readme_of(found.folder) if found else "",
        form=code.form_of(found.folder) if found else None,
        files=code.names(found.folder) if found else [],
        notices=_notices(store, context, caller, found) if found else [],
    )


def _notices(store: Store, context: Context, caller: Caller, found: Code) -> list[str]:
    environment = found.environment
    return [
        *environment.warnings,
        *builds.notices_of(store, context, caller.reader, environment),
    ]


@router.get("/algorithms")
def list_algorithms(
    context: ContextDep, store: ReadingStoreDep, caller: Reading, listing: ListDep
) -> Page[AlgorithmView]:
    """Return algorithms, newest first."""
    found = store.algorithms.page(listing.query(caller))
    used = store.algorithm_versions.used_of(found)
    names = views.workspace_names(store)
    return listing.page(found, lambda r: AlgorithmView(**_facts(context, r, used.get(r.id), names)))


def _receive(
    body: AlgorithmCreate, context: ContextDep, caller: Writing, key: KeyDep
) -> Code | None:
    """Store the code before the transaction begins, for it takes seconds."""
    return key.unless_made(
        context,
        caller,
        "algorithms",
        lambda s: s.algorithms,
        lambda: algorithms.receive_code(context, caller, body),
    )


@router.post("/algorithms", status_code=201)
def create_algorithm(
    body: AlgorithmCreate,
    received: Annotated[Code | None, Depends(_receive)],
    context: ContextDep,
    store: StoreDep,
    caller: Writing,
    response: Response,
    key: KeyDep,
) -> AlgorithmDetail:
    """Publish code: checked at once, its environment built in the background."""
    record = key.made(store, caller, "algorithms", store.algorithms)
    if record is None:
        if received is None:
            raise Conflict(
                "What was published with this Idempotency-Key was deleted just now; publish again.",
                code="deleted_meanwhile",
            )
        record = algorithms.publish(store, context, caller, body, received)
        key.keep(store, caller, "algorithms", record.id)
    response.headers["Location"] = f"/kpl/api/v1/algorithms/{record.id}"
    return _detail(store, context, caller, record)


@router.get("/algorithms/{ref}")
def get_algorithm(
    ref: str, context: ContextDep, store: ReadingStoreDep, caller: Reading
) -> AlgorithmDetail:
    """Return an algorithm with its versions, README and form."""
    return _detail(store, context, caller, access.find(store.algorithms, ref, caller, NOUN))


@router.patch("/algorithms/{ref}")
def update_algorithm(
    ref: str, body: AlgorithmUpdate, context: ContextDep, store: StoreDep, caller: Writing
) -> AlgorithmDetail:
    """Change what is said about an algorithm."""
    record = access.find(store.algorithms, ref, caller, NOUN)
    access.require_change(record, caller, NOUN)
    access.check_visibility(caller, body.visibility)
    store.algorithms.update(record.id, **body.model_dump(exclude_none=True), updated_at=store.now())
    store.events.write(access.subject("algorithms", record), "updated")
    return _detail(
        store, context, caller, access.find(store.algorithms, str(record.id), caller, NOUN)
    )


@router.delete("/algorithms/{ref}", status_code=204)
def delete_algorithm(ref: str, store: StoreDep, caller: Writing) -> None:
    """Remove an algorithm with all its versions."""
    record = access.find(store.algorithms, ref, caller, NOUN)
    access.require_change(record, caller, NOUN)
    algorithms.delete(store, record)


def _numbered(store: Store, caller: Caller, ref: str, number: int) -> AlgorithmVersionRecord:
    record = access.find(store.algorithms, ref, caller, NOUN)
    found = store.algorithm_versions.numbered(record.id, number)
    if found is None:
        raise NotFound(f"The algorithm {record.name!r} has no version {number}.")
    return found


@router.get("/algorithms/{ref}/versions/{number}/log")
def get_build_log_of_version(
    ref: str,
    number: int,
    context: ContextDep,
    store: ReadingStoreDep,
    caller: Reading,
    part: logs.LogPartDep,
) -> LogPage:
    """Return a part of the log of a version's build; empty where nothing had to be built."""
    version = _numbered(store, caller, ref, number)
    if version.build_id is None:
        return LogPage(text="", offset=0, next_offset=0, complete=True)
    return logs.page(context, logs.of_build(store, context, version.build_id), part)


@router.get("/algorithms/{ref}/versions/{number}/files/{path:path}")
def get_algorithm_file(
    ref: str, number: int, path: str, context: ContextDep, store: ReadingStoreDep, caller: Reading
) -> Response:
    """Return a text file of a version's code."""
    version = _numbered(store, caller, ref, number)
    text = code.text_of(context.files, version.code_digest or "", path)
    return Response(text, media_type="text/plain; charset=utf-8")


@router.post("/forms")
def describe_form(body: FormRequest, caller: Reading) -> FormDescription:
    """Return what a submit form needs, from the texts of the two files."""
    return code.form_of_texts(body.environment_yml, body.parameter_yml)
