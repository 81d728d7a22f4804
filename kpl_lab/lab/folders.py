"""What lies in the home folder: paths of the file browser, and code folders with their form."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from kpl_lab.client.packing import scan_code
from kpl_lab.errors import Invalid, NotFound
from kpl_lab.formats.environment_yml import read_environment, read_text
from kpl_lab.formats.parameter_yml import FILE as PARAMETER_FILE
from kpl_lab.formats.parameter_yml import parameter_schema, read_parameters
from kpl_lab.schemas.algorithms import FormDescription


class FolderView(FormDescription):
    """A code folder: what its submit form needs, and what sending it means."""

    path: str = Field(description="as the file browser names it")
    name: str = Field(description="the folder's own name: default for what is made of it")
    files: int
    bytes: int = Field(description="packed")
    left_out: list[str] = Field(description="what .kplignore names, so that it is not sent")


def resolve(root: Path, path: str) -> Path:
    """Return the file or folder that the file browser means by ``path``.

    Parameters
    ----------
    root
        The server's root folder.
    path
        Relative to it, with slashes; also with a slash in front.

    Raises
    ------
    Invalid
        It leads out of the root, also by links.
    NotFound
        There is nothing.
    """
    if "\0" in path:
        raise Invalid("A path cannot hold a null character.", code="invalid_path")
    base = root.resolve()
    found = (base / path.lstrip("/")).resolve()
    if not found.is_relative_to(base):
        raise Invalid(
            f"{path!r} leads out of the folder of this server; copy what you need into it.",
            code="outside_root",
        )
    if not found.exists():
        raise NotFound(
            f"There is no {path!r} here; it may have been moved or renamed.", code="no_file"
        )
    return found


def describe(root: Path, path: str) -> FolderView:
    """Return what a code folder declares.

    Raises
    ------
    Invalid
        It is no code folder, or one of its YAML files is wrong: the message names file and line.
    """
    folder = resolve(root, path)
    if not folder.is_dir():
        folder = folder.parent
    environment = read_environment(folder)
    packed = scan_code(folder)
    text = read_text(folder, PARAMETER_FILE) if (folder / PARAMETER_FILE).exists() else ""
    base = root.resolve()
    return FolderView(
        functions=list(environment.functions.values()),
        parameter_schema=parameter_schema(text),
        parameter_defaults=read_parameters(folder),
        warnings=list(environment.warnings),
        path="" if folder == base else folder.relative_to(base).as_posix(),
        name=folder.name,
        files=packed.files,
        bytes=packed.bytes,
        left_out=list(packed.left_out),
    )
