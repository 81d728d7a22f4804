"""Images that users build for the catalog: from a Dockerfile, lines, requirements or an archive.

``request`` of such a build holds ``entry`` (the columns of the image in the catalog), and what the
engine is given beyond base and lines: ``files``, ``dockerfile``, ``archive``, ``push``. ``sealed``
holds ``secrets`` and ``login``.
"""

from __future__ import annotations

import json
import secrets
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab.engines.spec import Dockerfile, Push, RegistryLogin
from kpl_lab.errors import Conflict, Invalid, NotFound
from kpl_lab.formats.catalog_yml import LOCAL, REFERENCE
from kpl_lab.formats.dockerfile import read_dockerfile
from kpl_lab.formats.environment_yml import parse_environment
from kpl_lab.formats.image_reference import registry_of
from kpl_lab.naming import check_name
from kpl_lab.platform.at_rest import Vault
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, builds, image_changes, images, server_events, uploads
from kpl_lab.platform.domain.code import recipe_digest
from kpl_lab.platform.domain.server_events import ServerEvent
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.records.images import ImageRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.builds import BuildCreate, BuildKind, DockerfileSource

FOLDER = "contexts"
REQUIREMENTS = "requirements.txt"
_INSTALL = f"pip install --requirement {REQUIREMENTS}"
_NEEDS_IMAGES = (
    "This installation makes environments, not container images: give environment.yml or "
    "requirements.txt. With KPL_ENGINE=docker it builds Dockerfiles and loads images."
)


@dataclass(frozen=True)
class Extras:
    """What the engine is given beyond base and lines."""

    files: Mapping[str, str]
    dockerfile: Dockerfile | None
    archive: str | None
    push: Push | None


@dataclass(frozen=True)
class _Made:
    """What a build is made from; ``content`` names it where the same makes the same again."""

    kind: BuildKind
    base: str = ""
    runs: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    content: str = ""


@contextmanager
def received(context: Context, caller: Caller, request: BuildCreate) -> Iterator[str | None]:
    """Put aside what was uploaded for a build; gives its path, None where nothing was.

    It is taken away again where the build is refused after all.

    Raises
    ------
    NotFound, Conflict
        The upload is not there, or not whole.
    Invalid
        It is no tar.
    """
    upload = _upload_of(request)
    if upload is None:
        yield None
        return
    with context.database.store(reads_only=True) as store:
        kept = uploads.require_complete(store, caller, upload)
    source = context.files.upload(kept.id)
    if request.dockerfile is not None:
        _check_context(source)
    target = context.files.path(FOLDER, secrets.token_hex(12))
    target.parent.mkdir(parents=True, exist_ok=True)
    # A link and not a move: what is refused further on can be sent again without its bytes.
    target.hardlink_to(source)
    try:
        yield str(target)
    except BaseException:
        target.unlink()
        raise


def _upload_of(request: BuildCreate) -> int | None:
    return request.archive if request.dockerfile is None else request.dockerfile.upload


def _check_context(source: Path) -> None:
    try:
        with tarfile.open(source, "r:"):
            pass
    except tarfile.TarError as error:
        raise Invalid(
            "The build's context is no plain tar archive; send a folder as `kpl image build` does.",
            code="bad_archive",
        ) from error


def discard(files: FileStore, build: BuildRecord) -> None:
    """Remove what was uploaded for a build. Repeatable."""
    for path in paths(build):
        if path.parent == files.path(FOLDER):
            path.unlink(missing_ok=True)


def paths(build: BuildRecord) -> list[Path]:
    """Return the files of the store that a build needs."""
    found = [(build.request.get("dockerfile") or {}).get("context"), build.request.get("archive")]
    return [Path(path) for path in found if path]


def order(
    store: Store, context: Context, caller: Caller, request: BuildCreate, received: str | None
) -> BuildRecord:
    """Order the making of an image.

    Parameters
    ----------
    received
        What :func:`received` has given.

    Raises
    ------
    Invalid, Forbidden
        Its name, its source, or what is to be said of it cannot be; or this engine has no images.
    Conflict
        One of that name is being built.
    """
    name = check_name(request.name, what="image's name")
    busy = store.builds.making(caller.name, name)
    if busy is not None:
        raise Conflict(
            f"You are building {name!r} already (build {busy.id}); wait for it, or stop it with "
            f"`kpl build stop {busy.id}`.",
            code="build_running",
            detail={"build": busy.id},
        )
    entry = image_changes.columns(caller, request)
    workspace = access.workspace_id(store, request.workspace)
    made = _made(store, context, caller.reader, request, received)
    push = _push(context, request)
    if (upload := _upload_of(request)) is not None:
        uploads.discard(store, context.files, upload)
    return builds.add(
        store,
        owner=caller.name,
        workspace_id=workspace,
        name=name,
        kind=str(made.kind),
        digest=_digest(workspace, made),
        base=made.base,
        runs=list(made.runs),
        request={**made.request, "entry": entry, "push": push, "server": request.server},
        sealed=_sealed(context, request),
    )


def _sealed(context: Context, request: BuildCreate) -> str:
    login = request.push.credentials if request.push else None
    return Vault(context.at_rest_key).seal(
        json.dumps(
            {
                "secrets": request.dockerfile.secrets if request.dockerfile else {},
                "login": login.model_dump() if login else None,
            }
        )
    )


def _digest(workspace: int, made: _Made) -> str:
    if (
        not made.content
    ):  # the daemon's cache knows what has changed; the result has a name of its own
        return secrets.token_hex(12)
    return recipe_digest(str(workspace), made.content, made.runs)


def _made(
    store: Store, context: Context, reader: Reader, request: BuildCreate, received: str | None
) -> _Made:
    if request.requirements is not None:
        return _of_requirements(store, reader, request)
    if request.environment_yml is not None:
        return _of_environment(store, context, reader, request.environment_yml)
    if context.settings.engine == LOCAL:
        raise Invalid(_NEEDS_IMAGES, code="no_images")
    if request.dockerfile is None:
        return _Made(BuildKind.ARCHIVE, request={"archive": received})
    return _of_dockerfile(store, reader, request.dockerfile, received)


def _of_requirements(store: Store, reader: Reader, request: BuildCreate) -> _Made:
    text = request.requirements or ""
    base = _base_of_requirements(store, reader, request)
    return _Made(
        BuildKind.REQUIREMENTS,
        base.reference,
        (_INSTALL,),
        {"files": {REQUIREMENTS: text}},
        f"{base.reference} {base.digest or ''}\n{text}",
    )


def _base_of_requirements(store: Store, reader: Reader, request: BuildCreate) -> ImageRecord:
    if request.server is not None:
        server = store.servers.get(request.server)
        if server is None or server.user != reader.name or server.state != "running":
            raise NotFound(
                f"You have no running notebook server {request.server}; an image is saved from one "
                "that runs.",
                code="no_server",
            )
        return images.of_server(store, server.image_id)
    if request.base:
        return images.usable(store, reader, request.base)
    return images.default(store, reader)


def _of_environment(store: Store, context: Context, reader: Reader, text: str) -> _Made:
    environment = parse_environment(text)
    base = builds.base_of(store, context, reader, environment)
    runs = environment.runs or ("true",)
    content = f"{base.reference} {base.content}"
    return _Made(BuildKind.ENVIRONMENT, base.reference, tuple(runs), {}, content)


def _of_dockerfile(
    store: Store, reader: Reader, source: DockerfileSource, received: str | None
) -> _Made:
    found = read_dockerfile(source.text, source.arguments, _resolver(store, reader))
    asked = {
        "text": found.text,
        "bases": found.bases,
        "context": received,
        "arguments": source.arguments,
        "target": source.target,
        "use_cache": source.use_cache,
        "needs_buildkit": found.needs_buildkit,
    }
    return _Made(BuildKind.DOCKERFILE, request={"dockerfile": asked})


def _resolver(store: Store, reader: Reader) -> Callable[[str, int], str]:
    def resolve(name: str, line: int) -> str:
        found = images.lookup(store, reader, name)
        if found is not None:
            images.require_usable(found)
            return found.reference
        if not REFERENCE.fullmatch(name) or images.is_held_back(store, name):
            raise Invalid(
                f"Dockerfile, line {line}: {name!r} is neither an image of the catalog nor a "
                "reference of a registry; `kpl image list` shows the catalog.",
                code="unknown_image",
                detail={"line": line, "image": name},
            )
        return name

    return resolve


def _push(context: Context, request: BuildCreate) -> str | None:
    if request.push is None:
        return None
    reference = request.push.reference
    if context.settings.engine == LOCAL:
        raise Invalid(_NEEDS_IMAGES, code="no_images")
    # Without a registry it would be a name of this machine alone, perhaps that of another image.
    if not REFERENCE.fullmatch(reference) or "@" in reference or registry_of(reference) is None:
        raise Invalid(
            f"{reference!r} names no registry to send an image to; write HOST/NAME:TAG, such as "
            "docker.io/NAME/IMAGE:TAG.",
            code="invalid_reference",
        )
    return reference


def extras(context: Context, build: BuildRecord) -> Extras:
    """Return what the engine is given beyond base and lines.

    Raises
    ------
    KplError
        Secrets were stored with another key.
    """
    asked = build.request
    sealed: dict[str, Any] = {"secrets": {}, "login": None}
    if build.sealed is not None:
        sealed = json.loads(Vault(context.at_rest_key).open(build.sealed))
    dockerfile, login = asked.get("dockerfile"), sealed["login"]
    return Extras(
        files=asked.get("files") or {},
        dockerfile=Dockerfile(**dockerfile, secrets=sealed["secrets"]) if dockerfile else None,
        archive=asked.get("archive"),
        push=Push(reference=asked["push"], login=RegistryLogin(**login) if login else None)
        if asked.get("push")
        else None,
    )


def stop(store: Store, build: BuildRecord) -> BuildRecord:
    """Ask a build to end; repeatable.

    Raises
    ------
    Conflict
        Code waits for it: it is ended with that.
    """
    if build.name is None:
        raise Conflict(
            "This build makes an environment that tasks, services or algorithms wait for; stop or "
            "delete those.",
            code="build_needed",
        )
    store.builds.update(build.id, where={"state": ("queued", "running")}, desired="stop")
    changed = store.builds.get(build.id)
    if changed is None:
        raise NotFound(f"There is no build {build.id} any more.")
    store.events.write(builds.subject(changed), "updated", "It is being stopped.")
    return changed


def finished(store: Store, build: BuildRecord, reference: str) -> ImageRecord | None:
    """Put what was built into the catalog, in the place of what had its name; None: it has none."""
    if build.name is None:
        return None
    values = {
        **images.NEW,
        **build.request["entry"],
        "reference": reference,
        "source": _source(build),
        "credentials": None,
        "updated_at": store.now(),
    }
    known = store.images.named(build.owner, build.name)
    if known is not None:
        kept = {"is_online": known.is_online, "position": known.position}
        store.images.update(known.id, **values | kept)
        made = store.images.get(known.id)
    else:
        made = store.images.add(
            **values,
            name=build.name,
            owner=build.owner,
            workspace_id=build.workspace_id,
            created_at=store.now(),
        )
    assert made is not None  # noqa: S101 (changed in this transaction)
    store.builds.update(build.id, image_id=made.id)
    kind = "created" if known is None else "updated"
    store.events.write(images.subject(made), kind, "It is being looked at.")
    _tell_server(store, build, server_events.IMAGE_SAVED, image=build.name)
    return made


def failed(store: Store, build: BuildRecord, message: str) -> None:
    """Say in the history of the server whose environment was to be saved that it was not."""
    _tell_server(store, build, server_events.IMAGE_NOT_SAVED, message=message)


def _tell_server(store: Store, build: BuildRecord, event: ServerEvent, **facts: str) -> None:
    server = store.servers.get(build.request.get("server") or 0)
    if server is not None:
        server_events.tell(store, server, event, None, **facts)


def _source(build: BuildRecord) -> str:
    if build.kind == BuildKind.ARCHIVE:
        return "loaded"
    return "saved" if build.request.get("server") else "built"
