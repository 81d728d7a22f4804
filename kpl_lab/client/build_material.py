"""What an image is made of: a folder, one of its files, or an archive; for `kpl` and the panels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kpl_lab.client.build_context import scan_context
from kpl_lab.client.client import Client
from kpl_lab.client.uploads import Progress, Source, source_of, source_of_folder
from kpl_lab.errors import Invalid
from kpl_lab.formats.dockerfile import FILE as DOCKERFILE
from kpl_lab.formats.environment_yml import FILE as ENVIRONMENT
from kpl_lab.schemas.builds import BuildCreate, BuildView

REQUIREMENTS = "requirements.txt"
_FILES = (DOCKERFILE, ENVIRONMENT, REQUIREMENTS)
_ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Material:
    """What an image is made of.

    Attributes
    ----------
    body
        The request, with 0 in place of the id of what is to be uploaded.
    source
        What is to be uploaded; None: the body holds everything.
    """

    body: BuildCreate
    source: Source | None = None

    def send(self, client: Client, on_progress: Progress | None = None) -> BuildView:
        """Upload what is to be uploaded, and order the making of the image."""
        body = self.body
        if self.source is not None:
            id = client.uploads.send(self.source, on_progress).id
            more = (
                {"dockerfile": body.dockerfile.model_copy(update={"upload": id})}
                if body.dockerfile is not None
                else {"archive": id}
            )
            body = body.model_copy(update=more)
        return client.builds.create(body)


def material_of(path: Path, fields: dict[str, Any], *, context: Path | None = None) -> Material:
    """Return what an image is made of.

    Parameters
    ----------
    path
        A folder with one of the usual files, such a file, or what ``docker save`` has written.
    fields
        Further fields of the request.
    context
        What a Dockerfile copies from; None: the folder that it lies in.

    Raises
    ------
    Invalid
        There is nothing to build from, a file cannot be read, or a field is wrong.
    """
    file = file_of(path)
    if file.name.endswith(_ARCHIVES):
        return Material(_body(fields | {"archive": 0}), source_of(file))
    if file.suffix == ".txt":
        return Material(_body(fields | {"requirements": _text_of(file) or "\n"}))
    if file.suffix in (".yml", ".yaml"):
        return Material(_body(fields | {"environment_yml": _text_of(file)}))
    docker = {**fields.get("dockerfile", {}), "text": _text_of(file), "upload": 0}
    sent = source_of_folder(scan_context(context or file.parent, file))
    return Material(_body(fields | {"dockerfile": docker}), sent)


def file_of(path: Path) -> Path:
    """Return ``path`` where it is a file, else the first of the usual ones in that folder.

    Raises
    ------
    Invalid
        It has none of them.
    """
    if path.is_file():
        return path
    found = next((path / name for name in _FILES if (path / name).is_file()), None)
    if found is None:
        raise Invalid(
            f"{path.resolve().name} has none of {', '.join(_FILES)}; write one, or name another file.",
            code="no_build_file",
            detail={"field": "path"},
        )
    return found


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name} cannot be read: {error}.", code="unreadable") from error


def _body(fields: dict[str, Any]) -> BuildCreate:
    try:
        return BuildCreate.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{where}: {first['msg']}.", code="invalid_body") from error
