"""Code folders: checked, stored once per content, with what their environment needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kpl_lab.errors import Invalid, NotFound, TooLarge
from kpl_lab.formats import ignore
from kpl_lab.formats.environment_yml import FILE as ENVIRONMENT_FILE
from kpl_lab.formats.environment_yml import Environment, parse_environment, read_environment
from kpl_lab.formats.parameter_yml import FILE as PARAMETER_FILE
from kpl_lab.formats.parameter_yml import parameter_schema, parse_parameters, read_parameters
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import uploads
from kpl_lab.platform.settings import PlatformOptions
from kpl_lab.platform.storage import archives
from kpl_lab.platform.storage.archives import ArchiveLimits
from kpl_lab.platform.storage.files import (
    PATIENCE_SECONDS,
    FileStore,
    make_read_only,
    remove_tree,
)
from kpl_lab.schemas.algorithms import FormDescription

MAX_SHOWN_BYTES = 512 * 1024
MAX_FILES_LISTED = 2000
README_NAMES = ("README.md", "README.rst", "README.txt", "README")
MIB = 1024 * 1024


@dataclass(frozen=True)
class Code:
    """A stored code folder and what its two YAML files say."""

    digest: str
    folder: Path
    environment: Environment
    parameters: dict[str, Any]


def limits(options: PlatformOptions) -> ArchiveLimits:
    """Return the bounds of archives, as the administrator has set them."""
    return ArchiveLimits(
        total_bytes=options.max_unpacked_bytes,
        entries=options.max_archive_entries,
        ratio=options.max_archive_ratio,
    )


def check_size(options: PlatformOptions, size: int) -> None:
    """Refuse packed code of ``size`` bytes where that is too much.

    Raises
    ------
    TooLarge
        Says what helps.
    """
    limit = options.code_limit_mb * MIB
    if size > limit:
        raise TooLarge(
            f"The code folder has {size / MIB:.1f} MB packed; at most {options.code_limit_mb} MB are "
            "allowed. Name what is not code in a .kplignore file, and keep data in datasets.",
            code="code_too_large",
            detail={"bytes": size, "limit": limit},
        )


def store_code(files: FileStore, options: PlatformOptions, packed: Path) -> Code:
    """Unpack, check and keep a code folder; the same content is kept once.

    Raises
    ------
    TooLarge
        Over the limit for code.
    Invalid
        Not an archive, or one of the YAML files is missing or wrong.
    """
    check_size(options, packed.stat().st_size)
    if not archives.is_archive(packed):
        raise Invalid("The code is not a tar or zip archive of a folder.", code="bad_archive")
    with files.incoming() as incoming:
        unpacked = incoming / "code"
        unpacked.mkdir()
        archives.unpack(packed, unpacked, limits(options))
        root = unpacked
        if not (root / ENVIRONMENT_FILE).exists():
            root = archives.lose_top_folder(unpacked)
        for path in ignore.ignored(root):
            remove_tree(path) if path.is_dir() else path.unlink()
        read_environment(root)
        read_parameters(root)
        digest = digest_of(root)
        make_read_only(root)
        root.chmod(0o755)
        target = files.code(digest)
        files.publish_same(root, target)
    return load_code(files, digest)


def receive(context: Context, caller: Caller, upload: int) -> Code:
    """Check and store the code of a finished upload; takes seconds, so outside of any transaction.

    Raises
    ------
    NotFound, Conflict
        The upload is not there, or not whole.
    Invalid, TooLarge
        The code is not as it should be: file, line, key, and what is allowed.
    """
    with context.database.store(reads_only=True) as store:
        kept = uploads.require_complete(store, caller, upload)
    packed = context.files.upload(kept.id)
    try:
        return store_code(context.files, context.options, packed)
    except FileNotFoundError as error:
        if packed.exists():
            raise
        # Something was made of it at this very moment.
        raise NotFound(f"There is no upload {upload} of yours any more.") from error


def digest_of(folder: Path) -> str:
    """Return a name for a folder's content: paths, bytes, and which files are executable."""
    whole = hashlib.sha256()
    for path in archives.plain_files(folder):
        body = hashlib.sha256(path.read_bytes()).hexdigest()
        executable = bool(path.stat().st_mode & 0o100)
        whole.update(f"{path.relative_to(folder)}\0{executable}\0{body}\n".encode())
    return whole.hexdigest()[:32]


def load_code(files: FileStore, digest: str, seconds: float = 0.0) -> Code:
    """Return a stored code folder; waits for it only where that is asked for, in no transaction.

    Raises
    ------
    NotFound
        It is no longer there.
    Unavailable
        It has to be fetched first, and was asked for; or the object storage does not answer.
    """
    folder = files.code(digest)
    if not digest or not files.has(folder, seconds):
        raise NotFound("The code snapshot is no longer stored.", code="code_missing")
    return _read_code(digest, folder)


# A digest names one content for ever, and lists ask for many of them at once.
@lru_cache(maxsize=1024)
def _read_code(digest: str, folder: Path) -> Code:
    return Code(digest, folder, read_environment(folder), read_parameters(folder))


def names(folder: Path) -> list[str]:
    """Return the files of a code folder."""
    return [str(p.relative_to(folder)) for p in archives.plain_files(folder)][:MAX_FILES_LISTED]


def text_of(files: FileStore, digest: str, name: str) -> str:
    """Return a text file of a code folder.

    Raises
    ------
    NotFound, Invalid
        There is no such file, or it is not text that can be shown.
    """
    root = load_code(files, digest, PATIENCE_SECONDS).folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise NotFound(f"The code has no file {name!r}.")
    if path.stat().st_size > MAX_SHOWN_BYTES:
        raise Invalid(f"{name} is too large to be shown; download the code instead.")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"{name} is not a text file.", code="not_text") from error


def readme_of(folder: Path) -> str:
    """Return the README of a code folder; empty where there is none."""
    for name in README_NAMES:
        path = folder / name
        if path.is_file():
            return path.read_text("utf-8", "replace")[:MAX_SHOWN_BYTES]
    return ""


def form_of(folder: Path) -> FormDescription:
    """Return what a submit form needs to know of a code folder."""
    path = folder / PARAMETER_FILE
    parameter_text = path.read_text("utf-8-sig") if path.is_file() else ""
    return describe_form(read_environment(folder), parameter_text)


def form_of_texts(environment_text: str, parameter_text: str) -> FormDescription:
    """Return the same from the texts of the two files."""
    return describe_form(parse_environment(environment_text), parameter_text)


def describe_form(environment: Environment, parameter_text: str) -> FormDescription:
    """Return functions, parameters and warnings in the form's shape."""
    return FormDescription(
        functions=list(environment.functions.values()),
        parameter_schema=parameter_schema(parameter_text),
        parameter_defaults=parse_parameters(parameter_text),
        warnings=list(environment.warnings),
    )


def recipe_digest(workspace: str, base: str, runs: tuple[str, ...]) -> str:
    """Return the name of an environment: the same lines on the same base, per workspace.

    Environments are never shared between workspaces, for a build may fetch what is private.
    """
    text = json.dumps([workspace, base, list(runs)], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
