"""Environments: ordered when code needs one, made once per recipe and workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kpl_lab.errors import Invalid
from kpl_lab.formats.catalog_yml import LOCAL, REFERENCE
from kpl_lab.formats.environment_yml import Environment
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import images
from kpl_lab.platform.domain.code import recipe_digest
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store


@dataclass(frozen=True)
class Ordered:
    """What code will run in.

    ``record`` is the build it waits for, None where the base is enough; ``base`` the engine's
    reference of the base; ``variables`` are set by the image; ``notices`` say what the user should
    know.
    """

    record: BuildRecord | None
    base: str
    variables: Mapping[str, str]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """What stands below an environment; ``content`` names what is in it, where that is known."""

    reference: str
    content: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


_NEW: dict[str, Any] = {
    "name": None,
    "kind": "environment",
    "request": {},
    "sealed": None,
    "desired": "run",
    "image_id": None,
    "state": "queued",
    "reason": None,
    "message": None,
    "image": None,
    "cached": False,
    "handle": None,
    "finished_at": None,
}


def subject(build: BuildRecord) -> Subject:
    """Return the subject of events about a build."""
    return Subject(resource="builds", id=build.id, owner=build.owner)


def notices_of(
    store: Store, context: Context, reader: Reader, environment: Environment
) -> tuple[str, ...]:
    """Return what the user should know of the image: that the default stands in for it, or that a
    registry is asked for what may be spelt wrongly."""
    wanted = environment.from_image
    if images.lookup(store, reader, wanted) is not None:
        return ()
    near = images.near(store, reader, wanted)
    hint = f" Did you mean {near!r}?" if near else ""
    if context.allows_image_fallback:
        name = images.default(store, reader).name
        return (
            f"The image {wanted!r} is not in the catalog; {name!r} is used in its place.{hint}",
        )
    if near:
        return (f"The image {wanted!r} is not in the catalog; its registry is asked for it.{hint}",)
    return ()


def order(
    store: Store, context: Context, reader: Reader, workspace_id: int, environment: Environment
) -> Ordered:
    """Return the environment that ``environment.yml`` asks for, ordering it where it is missing.

    Parameters
    ----------
    reader
        Who will own it, and whose images it may stand on.

    Raises
    ------
    Invalid
        ``from_image`` is unknown and may not be replaced.
    """
    notices = notices_of(store, context, reader, environment)
    base = base_of(store, context, reader, environment)
    if not environment.runs:
        return Ordered(None, base.reference, base.variables, notices)
    content = f"{base.reference} {base.content}"
    digest = recipe_digest(str(workspace_id), content, environment.runs)
    known = store.builds.usable(digest)
    if known is None:
        known = add(
            store,
            owner=reader.name,
            workspace_id=workspace_id,
            digest=digest,
            base=base.reference,
            runs=list(environment.runs),
        )
    return Ordered(known, base.reference, base.variables, notices)


def base_of(store: Store, context: Context, reader: Reader, environment: Environment) -> Base:
    """Return what an environment stands on.

    Raises
    ------
    Invalid
        ``from_image`` is unknown and may not be replaced.
    """
    wanted = environment.from_image
    is_known = images.lookup(store, reader, wanted) is not None
    if not is_known and context.allows_image_fallback:
        found = images.default(store, reader)
    elif not is_known and context.settings.engine != LOCAL:
        # Nobody has registered it: the registry is asked when it is needed.
        if not REFERENCE.fullmatch(wanted) or images.is_held_back(store, wanted):
            raise Invalid(
                f"{wanted!r} is neither an image of the catalog nor a reference of a registry; "
                "correct `from_image` in environment.yml.",
                code="unknown_image",
            )
        return Base(wanted)
    else:
        found = images.usable(store, reader, wanted)
    return Base(found.reference, found.digest or "", found.variables)


def add(store: Store, **values: Any) -> BuildRecord:  # noqa: ANN401 (columns of any type)
    """Order a build: owner, workspace, digest, base and lines, and what else is not as usual."""
    made = store.builds.add(**_NEW | values, created_at=store.now())
    store.events.write(subject(made), "created")
    return made


def renew(store: Store, id: int | None) -> int | None:
    """Return the build to wait for: a further one of the same recipe where this one has failed."""
    failed = store.builds.get(id) if id else None
    if failed is None or failed.state != "failed":
        return id
    known = store.builds.usable(failed.digest)
    if known is None:
        known = add(
            store,
            owner=failed.owner,
            workspace_id=failed.workspace_id,
            digest=failed.digest,
            base=failed.base,
            runs=list(failed.runs),
        )
    return known.id
