"""What tasks and services have in common: code, inputs, parameters and resources of a run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

from kpl_lab.errors import Invalid
from kpl_lab.formats.parameter_yml import merge
from kpl_lab.naming import check_name, split_reference
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, algorithms, builds, datasets, models, pools, uploads
from kpl_lab.platform.domain.builds import Ordered
from kpl_lab.platform.domain.code import Code, load_code
from kpl_lab.platform.domain.code import receive as receive_upload
from kpl_lab.platform.storage.files import PATIENCE_SECONDS
from kpl_lab.platform.storage.records.assets import AlgorithmRecord, AlgorithmVersionRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import FunctionView, PortView
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.tasks import ResourceOverride, TaskInput

MAX_VARIABLES = 200
_RESERVED = ("KPL_", "MA_", "VC_", "JUPYTER")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The code of a run: from an upload, or an algorithm's version."""

    code: Code
    code_name: str
    algorithm: str | None = None
    algorithm_id: int | None = None
    upload_id: int | None = None


class NamesCode(Protocol):
    """A request that says which code it means."""

    upload: int | None
    algorithm: str | None


class Request(NamesCode, Protocol):
    """What requests for tasks and for services have in common."""

    code_name: str | None
    parameters: dict[str, Any]
    resources: ResourceOverride
    pool: str | None
    environment: dict[str, str]
    description: str
    workspace: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run whose request was checked: its code, function, environment and ceilings."""

    request: Request
    chosen: Chosen
    function: FunctionView
    resources: Resources
    pool: str
    workspace_id: int
    ordered: Ordered

    @property
    def notices(self) -> list[str]:
        """What the user should know about code and environment."""
        return [*self.chosen.code.environment.warnings, *self.ordered.notices]

    def columns(self, owner: str, now: dt.datetime) -> dict[str, Any]:
        """Return the columns that a new task or service has of its plan."""
        return {
            "owner": owner,
            "workspace_id": self.workspace_id,
            "reason": None,
            "message": None,
            "created_at": now,
            "updated_at": now,
            **self.resources.model_dump(),
            "pool": self.pool,
            "description": self.request.description,
            "code_name": self.chosen.code_name,
            "code_digest": self.chosen.code.digest,
            "algorithm": self.chosen.algorithm,
            "algorithm_id": self.chosen.algorithm_id,
            "parameters": fold_parameters(self.chosen.code, self.request.parameters),
            "environment": {
                **self.ordered.variables,
                **check_variables(self.request.environment),
            },
            "build_id": self.ordered.record.id if self.ordered.record else None,
            "image": self.ordered.base if self.ordered.record is None else None,
            "handle": None,
            "ending": None,
        }

    def discard_upload(self, store: Store, context: Context) -> None:
        """Forget the upload that the code came with; it is kept by its content now."""
        if self.chosen.upload_id is not None:
            uploads.discard(store, context.files, self.chosen.upload_id)


def receive(context: Context, caller: Caller, request: NamesCode) -> Code | None:
    """Store the code that came with a request, or have its algorithm's here.

    Outside of any transaction, for either takes seconds. Returns the code that came along.

    Raises
    ------
    Invalid
        Both or none of upload and algorithm are given, or the code is wrong.
    """
    if (request.upload is None) == (request.algorithm is None):
        raise Invalid("Give either a code folder (an upload) or an algorithm, not both or none.")
    if request.upload is not None:
        return receive_upload(context, caller, request.upload)
    with context.database.store(reads_only=True) as store:
        _record, version = _algorithm(store, caller, request)
    load_code(context.files, version.code_digest or "", PATIENCE_SECONDS)
    return None


def _algorithm(
    store: Store, caller: Caller, request: NamesCode
) -> tuple[AlgorithmRecord, AlgorithmVersionRecord]:
    name, number = split_reference(request.algorithm or "")
    record = access.find(store.algorithms, name, caller, algorithms.NOUN)
    return record, algorithms.version_of(store, record, number)


def plan(
    store: Store,
    context: Context,
    caller: Caller,
    request: Request,
    function: str,
    received: Code | None,
) -> Plan:
    """Check what tasks and services have in common.

    Parameters
    ----------
    received
        The code that came with the request; without one it names an algorithm.

    Raises
    ------
    Invalid, NotFound, Conflict
        Code, function or environment are wrong or missing; says what.
    """
    chosen = choose_code(store, context, caller, request, received)
    return plan_of(store, context, caller, request, function, chosen)


def plan_of(
    store: Store,
    context: Context,
    caller: Caller,
    request: Request,
    function: str,
    chosen: Chosen,
) -> Plan:
    """Check what tasks and services have in common, where it is known which code runs."""
    view = chosen.code.environment.function(function)
    workspace = access.workspace_id(store, request.workspace)
    return Plan(
        request=request,
        chosen=chosen,
        function=view,
        resources=fold_resources(view, request.resources),
        pool=pools.choose(context, caller.reader, request.pool),
        workspace_id=workspace,
        ordered=builds.order(store, context, caller.reader, workspace, chosen.code.environment),
    )


def choose_code(
    store: Store, context: Context, caller: Caller, request: Request, received: Code | None
) -> Chosen:
    """Return the code that a request names: what came with it, or an algorithm's.

    Raises
    ------
    Invalid, NotFound
        Its name is none, or there is no such algorithm.
    """
    if received is not None and request.upload is not None:
        kept = uploads.get(store, caller, request.upload)
        stem = request.code_name or kept.filename.split(".")[0] or "code"
        return Chosen(
            code=received, code_name=check_name(stem, what="code's name"), upload_id=kept.id
        )
    record, version = _algorithm(store, caller, request)
    return Chosen(
        code=load_code(context.files, version.code_digest or ""),
        code_name=record.name,
        algorithm=f"{record.name}:{version.number}",
        algorithm_id=record.id,
    )


def resolve_inputs(
    store: Store, caller: Caller, function: FunctionView, given: list[TaskInput]
) -> list[dict[str, Any]]:
    """Return the inputs with exact versions, in the order in which the function declares them.

    Raises
    ------
    Invalid
        An input that is not declared, given twice, of another kind than is declared, or required
        and missing.
    NotFound, Conflict
        The dataset or model is not there or not ready.
    """
    by_key: dict[str, TaskInput] = {}
    declared = [port.key for port in function.inputs]
    for entry in given:
        if entry.key not in declared:
            there = ", ".join(declared) or "none"
            raise Invalid(
                f"The function {function.name} has no input {entry.key!r}; it declares: {there}.",
                code="unknown_input",
                detail={"key": entry.key, "declared": declared},
            )
        if entry.key in by_key:
            raise Invalid(f"The input {entry.key!r} is given twice.", code="unknown_input")
        by_key[entry.key] = entry
    found = []
    for port in function.inputs:
        if port.key in by_key:
            _check_kind(port, by_key[port.key])
            found.append(_resolve(store, caller, by_key[port.key]))
        elif not port.optional:
            raise Invalid(
                f"The input {port.key!r} ({port.name}) is missing; fill it with a {port.kind}, e.g. "
                f"`--input {port.key}={port.kind}:NAME`, or declare it `optional: true`.",
                code="input_missing",
                detail={"key": port.key},
            )
    return found


def _check_kind(port: PortView, given: TaskInput) -> None:
    """Refuse what environment.yml says an input is not; what the key alone suggests binds nobody."""
    if port.is_kind_declared and given.kind != port.kind:
        raise Invalid(
            f"The input {port.key!r} takes a {port.kind}, as environment.yml declares, and "
            f"{given.name} was given as a {given.kind}; fill it with "
            f"`--input {port.key}={port.kind}:NAME`.",
            code="wrong_kind",
            detail={"key": port.key, "declared": port.kind, "given": given.kind},
        )


def _resolve(store: Store, caller: Caller, entry: TaskInput) -> dict[str, Any]:
    if entry.kind == "dataset":
        dataset = access.find(store.datasets, entry.name, caller, datasets.NOUN)
        number = datasets.version_of(store, dataset, entry.version).number
        id, name = dataset.id, dataset.name
    else:
        model = access.find(store.models, entry.name, caller, models.NOUN)
        number = models.version_of(store, model, entry.version).number
        id, name = model.id, model.name
    return {"key": entry.key, "kind": entry.kind, "id": id, "name": name, "version": number}


def fold_parameters(code: Code, given: dict[str, Any]) -> dict[str, Any]:
    """Return parameter.yml with what the submitter changed.

    Without a parameter.yml anything may be given; the code is the only one to know.
    """
    return merge(code.parameters, given) if code.parameters else given


def fold_resources(function: FunctionView, override: ResourceOverride) -> Resources:
    """Return the declared limits with what the submitter changed."""
    return function.resources.model_copy(update=override.model_dump(exclude_none=True))


def check_variables(given: dict[str, str]) -> dict[str, str]:
    """Return environment variables, refusing names that are not names or are the platform's.

    Raises
    ------
    Invalid
        Names the variable.
    """
    if len(given) > MAX_VARIABLES:
        raise Invalid(f"At most {MAX_VARIABLES} environment variables can be given.")
    for name, value in given.items():
        if not name.isascii() or not name.replace("_", "a").isalnum() or name[:1].isdigit():
            raise Invalid(
                f"{name!r} cannot be an environment variable; use letters, digits and `_`.",
                code="bad_variable",
            )
        if name.upper().startswith(_RESERVED):
            raise Invalid(
                f"The environment variable {name} is set by the platform itself; use another name.",
                code="bad_variable",
            )
        if "\0" in value:
            raise Invalid(f"The value of {name} holds a zero byte.", code="bad_variable")
    return given
