"""What is in use cannot be removed: who uses a dataset or a model, in words."""

from __future__ import annotations

import shlex

from kpl_lab.errors import Conflict
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.records.workspaces import Resource
from kpl_lab.platform.storage.store import Store


def refuse_while_used(store: Store, kind: str, record: Resource) -> None:
    """Refuse to remove what somebody reads.

    Parameters
    ----------
    kind
        ``dataset`` or ``model``.

    Raises
    ------
    Conflict
        Names the task, service or mount, and what to do about it.
    """
    use = _task(store, kind, record.id) or _service(store, kind, record.id)
    if use is None and kind == "dataset":
        use = _mount(store, record)
    if use is not None:
        raise Conflict(f"The {kind} {record.name!r} is {use}", code="in_use")


def _task(store: Store, kind: str, id: int) -> str | None:
    tasks = store.tasks.using(kind, id)
    if not tasks:
        return None
    return f"in use by the task {tasks[0].name!r}; stop it first or wait for its end."


def _service(store: Store, kind: str, id: int) -> str | None:
    for service in store.services.every():
        is_input = any(i["kind"] == kind and i["id"] == id for i in service.inputs)
        is_model = kind == "model" and service.model_id == id
        if (is_input or is_model) and not service.is_deleted:
            return f"in use by the service {service.title!r}; delete {_what(service)} first."
    return None


def _what(service: ServiceRecord) -> str:
    return f"its {service.role} revision" if service.service_id else "that"


def _mount(store: Store, dataset: Resource) -> str | None:
    mounts = store.mounts.of_dataset(dataset.id)
    if not mounts:
        return None
    return (
        f"mounted as {mounts[0].path} in a notebook server; unmount it first "
        f"(`kpl dataset unmount {shlex.quote(dataset.name)}`)."
    )
