"""What a service's request means: its inputs and its model, and whether there is room for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kpl_lab.errors import Conflict, Invalid
from kpl_lab.naming import split_reference
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, pools, runs
from kpl_lab.platform.domain.ledgers import Amounts, Books
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import FunctionView, PortView
from kpl_lab.schemas.services import ServiceCreate
from kpl_lab.schemas.tasks import TaskInput

FUNCTION = "deploy"


def given(
    store: Store, caller: Caller, function: FunctionView, request: ServiceCreate
) -> dict[str, Any]:
    """Return the columns that a service has of its inputs.

    Raises
    ------
    Invalid, NotFound
        An input is wrong or missing.
    """
    function = _with_model_input(function, request)
    inputs = runs.resolve_inputs(store, caller, function, _inputs(function, request))
    model = next((i for i in inputs if i["kind"] == "model"), None)
    return {
        "inputs": inputs,
        "model": f"{model['name']}:{model['version']}" if model else None,
        "model_id": model["id"] if model else None,
        "task_id": _task_of(store, model),
    }


def tell_model(store: Store, service: ServiceRecord) -> None:
    """Let pages of the model look again at what uses it."""
    model = store.models.get(service.model_id) if service.model_id is not None else None
    if model is not None:
        store.events.write(access.subject("models", model), "updated")


@dataclass(frozen=True)
class Room:
    """What decides whether there may be more replicas.

    Attributes
    ----------
    user
        Who asks for them.
    books
        Opens the books; only asked where there are to be more.
    """

    context: Context
    user: Reader
    books: Callable[[], Books]

    def require_pool(self, pool: str) -> None:
        """Refuse a pool that whoever asks may not use any longer.

        Raises
        ------
        Invalid
            It is gone, or is for others by now.
        """
        pools.require_kept(self.context, self.user, pool)


def require_free(found: Books, pool: str, owner: str, wanted: Amounts) -> None:
    """Refuse what there is no room for now.

    Raises
    ------
    Conflict
        Says what it lacks.
    """
    lacking = found.shortage(pool, owner, wanted)
    if lacking is not None:
        raise Conflict(
            f"There is no room for it now: {lacking.text}. "
            "Stop a task, service or notebook server, or ask for less.",
            code="no_capacity",
        )


def _task_of(store: Store, model: dict[str, Any] | None) -> int | None:
    if model is None:
        return None
    version = store.model_versions.numbered(model["id"], model["version"])
    return version.task_id if version else None


def _with_model_input(function: FunctionView, request: ServiceCreate) -> FunctionView:
    """Return the function; one that declares no inputs at all gets the model as ``model``."""
    is_given = request.model or "model" in request.inputs
    if not is_given or function.inputs:
        return function
    port = PortView(key="model", name="model", kind="model")
    return function.model_copy(update={"inputs": [port]})


def _inputs(function: FunctionView, request: ServiceCreate) -> list[TaskInput]:
    """Return the inputs that a request means: ``model`` fills that input, else the only one."""
    found = []
    for key, text in request.inputs.items():
        kind, colon, reference = text.partition(":")
        if not colon or kind not in ("model", "dataset"):
            raise Invalid(f"{text!r} is not an input; write model:NAME[:V] or dataset:NAME[:V].")
        found.append(_input(key, "model" if kind == "model" else "dataset", reference))
    if request.model:
        keys = [port.key for port in function.inputs]
        if "model" not in keys and len(keys) != 1:
            raise Invalid(
                f"The deploy function has the inputs {', '.join(keys)}; none is named "
                "`model`, so say which one the model fills (`--input KEY=model:NAME`).",
                code="unknown_input",
            )
        found.append(_input("model" if "model" in keys else keys[0], "model", request.model))
    return found


def _input(key: str, kind: Literal["dataset", "model"], reference: str) -> TaskInput:
    name, number = split_reference(reference)
    return TaskInput(key=key, kind=kind, name=name, version=number)
