"""Packs what the file browser names, sends it as the user, and creates something of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kpl_lab.client import Client
from kpl_lab.client.uploads import Progress, Source, source_of, source_of_code
from kpl_lab.errors import Invalid
from kpl_lab.lab.folders import resolve
from kpl_lab.schemas.algorithms import AlgorithmCreate
from kpl_lab.schemas.datasets import DatasetCreate
from kpl_lab.schemas.models import ModelCreate
from kpl_lab.schemas.services import ServiceCreate
from kpl_lab.schemas.tasks import FOLDER_LABEL, TaskCreate

C = TypeVar("C", bound=BaseModel)

Resource = Literal["tasks", "algorithms", "datasets", "models", "services"]
RESOURCES: tuple[Resource, ...] = ("tasks", "algorithms", "datasets", "models", "services")
_CODE = ("tasks", "algorithms", "services")


class FromPath(BaseModel):
    """A create whose bytes lie at ``path``; the further fields are those of the create."""

    model_config = ConfigDict(extra="allow")
    path: str

    def create(self, model: type[C], upload: int, **defaults: str) -> C:
        """Return the create for a finished upload.

        Raises
        ------
        Invalid
            A field is missing, unknown or wrong.
        """
        fields: dict[str, Any] = {**defaults, **(self.model_extra or {}), "upload": upload}
        try:
            return model.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Invalid(f"{where}: {first['msg']}.", code="invalid_body") from error


def prepare(root: Path, resource: Resource, wanted: FromPath) -> Source:
    """Return what is to be sent, checked as far as that is possible on this side.

    Raises
    ------
    KplError
        The path, the folder or a field is wrong.
    """
    _body(resource, wanted, 0, "checked")
    path = resolve(root, wanted.path)
    if resource in _CODE:
        return source_of_code(path if path.is_dir() else path.parent)
    return source_of(path, keep_top=True)


def make(
    client: Client,
    resource: Resource,
    wanted: FromPath,
    source: Source,
    on_progress: Progress | None = None,
) -> BaseModel:
    """Send ``source`` and return what the platform made of it."""
    upload = client.uploads.send(source, on_progress)
    name = source.filename.removesuffix(".tar")
    body = _body(resource, wanted, upload.id, name)
    create: dict[str, Callable[[Any], BaseModel]] = {
        "tasks": client.tasks.submit,
        "services": client.services.deploy,
        "algorithms": lambda body: client.algorithms.create_from(body, wait=False),
        "datasets": lambda body: client.datasets.create_from(body, wait=False),
        "models": lambda body: client.models.create_from(body, wait=False),
    }
    return create[resource](body)


def _body(resource: Resource, wanted: FromPath, upload: int, name: str) -> BaseModel:
    """Return the create; what it is named after defaults to the folder's own name."""
    if resource == "tasks":
        body = wanted.create(TaskCreate, upload, code_name=name)
        # So that the form can begin with the folder when the task is submitted again.
        return body.model_copy(
            update={"labels": {FOLDER_LABEL: wanted.path.strip("/"), **body.labels}}
        )
    if resource == "services":
        return wanted.create(ServiceCreate, upload, code_name=name)
    if resource == "algorithms":
        return wanted.create(AlgorithmCreate, upload, name=name)
    if resource == "datasets":
        return wanted.create(DatasetCreate, upload)
    return wanted.create(ModelCreate, upload)
