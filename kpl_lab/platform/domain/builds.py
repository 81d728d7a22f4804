"""Environments: ordered when code needs one, made once per recipe and workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kpl_lab.formats.environment_yml import Environment
from kpl_lab.formats.yaml_marks import nearest
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain.code import recipe_digest
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store


@dataclass(frozen=True)
class Ordered:
    """What code will run in.

    ``record`` is the build it waits for, None where the base is enough; ``base`` the engine's
    reference of the base; ``notices`` say what the user should know.
    """

    record: BuildRecord | None
    base: str
    notices: tuple[str, ...] = ()


def subject(build: BuildRecord) -> Subject:
    """Return the subject of events about a build."""
    return Subject(resource="builds", id=build.id, owner=build.owner)


def notices_of(context: Context, environment: Environment) -> tuple[str, ...]:
    """Return what the user should know of the image: that the default stands in for it."""
    catalog, wanted = context.catalog, environment.from_image
    if catalog.find(wanted) is not None or not context.options.allow_image_fallback:
        return ()
    known = [word for entry in catalog.entries for word in (entry.name, *entry.aliases)]
    near = nearest(wanted, known)
    hint = f" Did you mean {near!r}?" if near else ""
    return (
        f"The image {wanted!r} is not in the catalog; "
        f"{catalog.default.name!r} is used in its place.{hint}",
    )


def order(
    store: Store, context: Context, owner: str, workspace_id: int, environment: Environment
) -> Ordered:
    """Return the environment that ``environment.yml`` asks for, ordering it where it is missing.

    Raises
    ------
    Invalid
        ``from_image`` is unknown and may not be replaced.
    """
    catalog = context.catalog
    notices = notices_of(context, environment)
    entry = catalog.default if notices else catalog.get(environment.from_image)
    base = str(entry.prefix)
    if not environment.runs:
        return Ordered(None, base, notices)
    digest = recipe_digest(str(workspace_id), base, environment.runs)
    known = store.builds.usable(digest)
    if known is None:
        recipe = {"digest": digest, "base": base, "runs": list(environment.runs)}
        known = _add(store, owner, workspace_id, recipe)
    return Ordered(known, base, notices)


def _add(store: Store, owner: str, workspace_id: int, recipe: Mapping[str, object]) -> BuildRecord:
    made = store.builds.add(
        **recipe,
        owner=owner,
        workspace_id=workspace_id,
        state="queued",
        reason=None,
        message=None,
        image=None,
        cached=False,
        handle=None,
        created_at=store.now(),
        finished_at=None,
    )
    store.events.write(subject(made), "created")
    return made


def renew(store: Store, id: int | None) -> int | None:
    """Return the build to wait for: a further one of the same recipe where this one has failed."""
    failed = store.builds.get(id) if id else None
    if failed is None or failed.state != "failed":
        return id
    known = store.builds.usable(failed.digest)
    if known is None:
        recipe = {"digest": failed.digest, "base": failed.base, "runs": list(failed.runs)}
        known = _add(store, failed.owner, failed.workspace_id, recipe)
    return known.id
