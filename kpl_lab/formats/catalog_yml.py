"""The image catalog: what a notebook server, a task or a service can be started from.

On the local engine an image is a Python environment, on the others a reference of a registry. The
shipped catalog is ``kpl_lab/hub/images.yml``; ``$KPL_HOME/images.yml`` replaces it where it exists.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kpl_lab.errors import Invalid
from kpl_lab.formats.yaml_marks import Place, check_keys, invalid, parse, text_of
from kpl_lab.schemas.common import Resources, Visibility

FILE = "images.yml"
SHIPPED = Path(__file__).parents[1] / "hub" / FILE
DEFAULT_ENVIRONMENT = "default"
_ROOT_KEYS = ("version", "images")
_RESOURCE_KEYS = ("cpu", "memory", "gpu", "shm")
_ENTRY_KEYS = (
    "name",
    "title",
    "description",
    "documentation",
    "framework",
    "packages",
    "accelerator",
    "aliases",
    "icon",
    "environment",
    "reference",
    "default",
    "offline",
    "visibility",
    "groups",
    "default_resources",
    "max_resources",
    "variables",
)
_ACCELERATORS = ("cpu", "gpu")
_VISIBILITIES = (Visibility.PRESET, Visibility.PUBLIC)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LOCAL = "local"
_VERSION = "{version}"
# What the distribution specification calls a reference, roughly: no space, no option.
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")


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
        Folder of the Python environment, for the local engine; None: it has none there.
    reference
        What engines with containers pull or have; ``{version}`` stands for the program's. None: the
        entry is for the local engine alone.
    groups
        Groups of the hub that may use it; empty: everybody whom ``visibility`` lets see it.
    variables
        Set in whatever starts from it.
    """

    name: str
    title: str
    description: str
    documentation: str | None
    framework: str
    packages: tuple[str, ...]
    accelerator: Literal["cpu", "gpu"]
    aliases: tuple[str, ...]
    icon: str | None
    environment: str | None
    reference: str | None
    is_default: bool
    is_offline: bool
    visibility: Visibility
    groups: tuple[str, ...]
    default_resources: Resources
    max_resources: Resources | None
    variables: Mapping[str, str]

    def place(self, engine: str, version: str) -> str | None:
        """Return what an engine of that name knows the image by; None: it is not for it.

        Parameters
        ----------
        version
            The program's, for references that hold ``{version}``.
        """
        if engine == LOCAL:
            return self.environment
        return self.reference and self.reference.replace(_VERSION, version)


@dataclass(frozen=True)
class Catalog:
    """All images, in the order of the file; exactly one of them is the default."""

    entries: tuple[CatalogEntry, ...]


class _Reader:
    """Reads one catalog; near misses are refused and other unknown keys too: admins write it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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
        return Catalog(tuple(entries))

    def entry(self, place: Place) -> CatalogEntry:
        found = self.keys(place, _ENTRY_KEYS, "an image")
        for key in ("name", "title"):
            if key not in found:
                raise place.error(f"the key {key!r} is missing in an image.")
        begin, most = self.bounds(found)
        environment, reference = self.places(found)
        return CatalogEntry(
            name=found["name"].word(),
            title=found["title"].word(),
            description=self.text(found, "description", ""),
            documentation=self.link(found),
            framework=self.text(found, "framework", "Python"),
            packages=self.words(found, "packages"),
            accelerator="gpu"
            if self.choice(found, "accelerator", _ACCELERATORS) == "gpu"
            else "cpu",
            aliases=self.words(found, "aliases"),
            icon=self.text(found, "icon", "") or None,
            environment=environment,
            reference=reference,
            is_default=found["default"].flag() if "default" in found else False,
            is_offline=found["offline"].flag() if "offline" in found else False,
            visibility=Visibility(self.choice(found, "visibility", _VISIBILITIES)),
            groups=self.words(found, "groups"),
            default_resources=begin,
            max_resources=most,
            variables=self.variables(found.get("variables")),
        )

    def places(self, found: dict[str, Place]) -> tuple[str | None, str | None]:
        """Return environment and reference; an entry that names neither is the default one's."""
        reference = None
        if "reference" in found:
            reference = found["reference"].word()
            if not REFERENCE.fullmatch(reference.replace(_VERSION, "1")):
                raise found["reference"].error(
                    f"{reference!r} is no reference of an image; write it as `docker pull` takes it."
                )
        if "environment" not in found and reference is not None:
            return None, reference
        text = self.text(found, "environment", DEFAULT_ENVIRONMENT)
        if text == DEFAULT_ENVIRONMENT:
            return sys.prefix, reference
        return str(self.folder / Path(text).expanduser()), reference

    def link(self, found: dict[str, Place]) -> str | None:
        """Return the address of a page, which users will follow: of the web, and of nothing else."""
        text = self.text(found, "documentation", "")
        if text and not text.startswith(("https://", "http://")):
            raise found["documentation"].error("documentation must begin with https:// or http://.")
        return text or None

    def variables(self, place: Place | None) -> Mapping[str, str]:
        found = {} if place is None else place.mapping()
        for name, value in found.items():
            if not _VARIABLE.fullmatch(name):
                raise value.error(f"{name!r} is no name of a variable.")
        return {name: value.text() for name, value in found.items()}

    def text(self, found: dict[str, Place], key: str, otherwise: str) -> str:
        return found[key].text() if key in found else otherwise

    def choice(self, found: dict[str, Place], key: str, allowed: tuple[str, ...]) -> str:
        return found[key].choice(allowed) if key in found else allowed[0]

    def words(self, found: dict[str, Place], key: str) -> tuple[str, ...]:
        return tuple(p.text() for p in found[key].sequence()) if key in found else ()

    def bounds(self, found: dict[str, Place]) -> tuple[Resources, Resources | None]:
        """Return what a server begins with, and the most that it may be given."""
        begin, place = self.resources(found.get("default_resources")), found.get("max_resources")
        if place is None:
            return begin, None
        named = place.mapping()
        missing = [key for key in ("cpu", "memory", "gpu") if key not in named]
        if missing:
            raise place.error(f"the key {missing[0]!r} is missing; 0 would be none, not any.")
        most = self.resources(place)
        if "shm" not in named:  # it counts as memory
            most = most.model_copy(update={"shm": most.memory})
        if too_much := begin.above(most):
            raise place.error(f"{too_much[0]!r} is less here than in `default_resources`.")
        return begin, most

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


def parse_catalog(text: str, path: Path) -> Catalog:
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
    return _Reader(path.parent).root(root)


def find_catalog(home: Path, chosen: str = "") -> Path:
    """Return the file that is an installation's catalog: the chosen one, its own, the shipped one.

    Parameters
    ----------
    home
        ``$KPL_HOME``, in which relative paths start.
    """
    own = home / (chosen or FILE)
    return own if chosen or own.is_file() else SHIPPED


def load_catalog(path: Path) -> Catalog:
    """Return the catalog that a file holds; it is read again when it has changed.

    Raises
    ------
    Invalid
        It cannot be read, or is wrong: names file, line, key and what is allowed.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _load(path, facts.st_mtime_ns, facts.st_size)


def _unreadable(path: Path, error: OSError) -> Invalid:
    return Invalid(f"The image catalog {path} cannot be read: {error.strerror}.", code="no_catalog")


def catalog_of(path: Path, engine: str) -> Catalog:
    """Return the part of a catalog that an engine can start.

    Raises
    ------
    Invalid
        The file cannot be used: file, line and reason; or its default is not for the engine.
    """
    kept = tuple(one for one in load_catalog(path).entries if one.place(engine, "") is not None)
    if not any(one.is_default for one in kept):
        key = "environment" if engine == LOCAL else "reference"
        raise Invalid(
            f"{path.name}: the default image has no `{key}`, which the engine {engine} starts.",
            code="invalid_file",
        )
    return Catalog(kept)


@lru_cache(maxsize=8)
def _load(path: Path, _modified: int, _size: int) -> Catalog:
    try:
        text = text_of(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return parse_catalog(text, path)
