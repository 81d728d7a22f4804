"""The image catalog: what a notebook server, a task or a service can be started from.

On the local engine an image is a Python environment. The shipped catalog is
``kpl_lab/hub/images.yml``; ``$KPL_HOME/images.yml`` replaces it where it exists.
"""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kpl_lab.errors import Invalid
from kpl_lab.formats.yaml_marks import Place, check_keys, invalid, parse
from kpl_lab.schemas.common import Resources

FILE = "images.yml"
SHIPPED = Path(__file__).parents[1] / "hub" / FILE
DEFAULT_ENVIRONMENT = "default"
_ROOT_KEYS = ("version", "images")
_RESOURCE_KEYS = ("cpu", "memory", "gpu", "shm")
_ENTRY_KEYS = (
    "name",
    "title",
    "description",
    "framework",
    "packages",
    "accelerator",
    "aliases",
    "icon",
    "environment",
    "default",
    "offline",
    "default_resources",
    "max_resources",
)


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One image.

    Attributes
    ----------
    name
        How commands and files name it; ``aliases`` mean the same.
    packages
        Distributions whose versions the start page shows, as they are in the environment.
    environment
        Prefix of the Python environment; ``default``: the one this program runs in.
    """

    name: str
    title: str
    description: str
    framework: str
    packages: tuple[str, ...]
    accelerator: Literal["cpu", "gpu"]
    aliases: tuple[str, ...]
    icon: str | None
    environment: str
    is_default: bool
    is_offline: bool
    default_resources: Resources
    max_resources: Resources | None

    @property
    def prefix(self) -> Path:
        """The environment's folder, with ``bin/python`` in it."""
        if self.environment == DEFAULT_ENVIRONMENT:
            return Path(sys.prefix)
        return Path(self.environment)


@dataclass(frozen=True)
class Catalog:
    """All images, in the order of the file; exactly one of them is the default.

    ``changed_at`` is when the file was written last.
    """

    entries: tuple[CatalogEntry, ...]
    changed_at: dt.datetime

    @property
    def default(self) -> CatalogEntry:
        """The image of whoever names none."""
        return next(entry for entry in self.entries if entry.is_default)

    def find(self, reference: str) -> CatalogEntry | None:
        """Return the image of that name or alias; names come first."""
        by_name = [e for e in self.entries if e.name == reference]
        by_alias = [e for e in self.entries if reference in e.aliases]
        return next(iter(by_name + by_alias), None)

    def get(self, reference: str) -> CatalogEntry:
        """Return the image of that name or alias.

        Raises
        ------
        Invalid
            The catalog has none, or it is offline.
        """
        found = self.find(reference)
        if found is None:
            names = ", ".join(entry.name for entry in self.entries)
            raise Invalid(
                f"There is no image {reference!r} in the catalog; it has: {names}.",
                code="unknown_image",
                detail={"image": reference, "known": names},
            )
        if found.is_offline:
            raise Invalid(
                f"The image {found.name!r} was taken offline by an administrator; choose another.",
                code="image_offline",
                detail={"image": found.name},
            )
        return found


class _Reader:
    """Reads one catalog; near misses are refused and other unknown keys too: admins write it."""

    def __init__(self, file: str, folder: Path, changed_at: dt.datetime) -> None:
        self.file = file
        self.folder = folder
        self.changed_at = changed_at

    def keys(self, place: Place, known: tuple[str, ...], where: str) -> dict[str, Place]:
        found = place.mapping()
        check_keys(found, known, where, strict=True)
        return found

    def root(self, place: Place) -> Catalog:
        found = self.keys(place, _ROOT_KEYS, FILE)
        if "version" not in found or found["version"].value != 1:
            raise place.error("`version: 1` is missing; there is no other version yet.")
        if "images" not in found or not found["images"].value:
            raise place.error("`images` must list at least one image.")
        entries: list[CatalogEntry] = []
        for one in found["images"].sequence():
            entry = self.entry(one)
            taken = {name for e in entries for name in (e.name, *e.aliases)}
            twice = taken & {entry.name, *entry.aliases}
            if twice:
                raise one.error(f"{min(twice)!r} names two images; each name or alias is one's.")
            entries.append(entry)
        if sum(entry.is_default for entry in entries) != 1:
            raise found["images"].error("exactly one image must have `default: true`.")
        return Catalog(tuple(entries), self.changed_at)

    def entry(self, place: Place) -> CatalogEntry:
        found = self.keys(place, _ENTRY_KEYS, "an image")
        for key in ("name", "title"):
            if key not in found:
                raise place.error(f"the key {key!r} is missing in an image.")
        accelerator: Literal["cpu", "gpu"] = (
            "gpu" if self.choice(found, "accelerator", ("cpu", "gpu")) == "gpu" else "cpu"
        )
        limits = found.get("max_resources")
        return CatalogEntry(
            name=found["name"].text(),
            title=found["title"].text(),
            description=self.text(found, "description", ""),
            framework=self.text(found, "framework", "Python"),
            packages=self.words(found, "packages"),
            accelerator=accelerator,
            aliases=self.words(found, "aliases"),
            icon=self.text(found, "icon", "") or None,
            environment=self.environment(found),
            is_default=found["default"].flag() if "default" in found else False,
            is_offline=found["offline"].flag() if "offline" in found else False,
            default_resources=self.resources(found.get("default_resources")),
            max_resources=self.resources(limits) if limits else None,
        )

    def environment(self, found: dict[str, Place]) -> str:
        text = self.text(found, "environment", DEFAULT_ENVIRONMENT)
        return text if text == DEFAULT_ENVIRONMENT else str(self.folder / Path(text).expanduser())

    def text(self, found: dict[str, Place], key: str, otherwise: str) -> str:
        return found[key].text() if key in found else otherwise

    def choice(self, found: dict[str, Place], key: str, allowed: tuple[str, ...]) -> str:
        return found[key].choice(allowed) if key in found else allowed[0]

    def words(self, found: dict[str, Place], key: str) -> tuple[str, ...]:
        return tuple(p.text() for p in found[key].sequence()) if key in found else ()

    def resources(self, place: Place | None) -> Resources:
        if place is None:
            return Resources()
        found = self.keys(place, _RESOURCE_KEYS, place.key)
        values = {key: entry.number(whole=key != "cpu") for key, entry in found.items()}
        try:
            return Resources.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            raise place.error(f"{first['loc'][0]}: {first['msg']}.") from error


def parse_catalog(text: str, path: Path, changed_at: dt.datetime) -> Catalog:
    """Return a checked catalog.

    Parameters
    ----------
    path
        The file; its name stands in errors, in its folder relative environments start.

    Raises
    ------
    Invalid
        Names file, line, key and what is allowed.
    """
    root = parse(text, path.name)
    if root is None:
        raise invalid(path.name, None, "", "the file is empty; it needs `version` and `images`.")
    return _Reader(path.name, path.parent, changed_at).root(root)


def load_catalog(home: Path | None = None) -> Catalog:
    """Return the catalog of an installation: its own, else the shipped one.

    Parameters
    ----------
    home
        ``$KPL_HOME``.
    """
    own = home / FILE if home is not None else None
    path = own if own is not None and own.is_file() else SHIPPED
    facts = path.stat()
    return _load(path, facts.st_mtime_ns, facts.st_size)


# The catalog is asked for with every start; the file is read again when it has changed.
@lru_cache(maxsize=8)
def _load(path: Path, modified: int, _size: int) -> Catalog:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid(
            path.name, None, "", "the file is not UTF-8 text; save it as UTF-8."
        ) from error
    return parse_catalog(text, path, dt.datetime.fromtimestamp(modified / 1e9, dt.UTC))
