"""The image catalog of the local engine: a YAML list of environments."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from kpl_lab.errors import Invalid
from kpl_lab.formats.yaml_marks import Place, check_keys, invalid, parse
from kpl_lab.schemas.common import Resources, Schema


class CatalogEntry(Schema):
    """One card of the start page.

    ``environment`` is ``default`` (the platform's own environment) or the prefix of another one;
    ``packages`` are those whose installed versions the card shows.
    """

    name: str
    title: str
    description: str = ""
    framework: str = "Python"
    versions: dict[str, str] = {}
    packages: list[str] = []
    accelerator: Literal["cpu", "gpu"] = "cpu"
    aliases: list[str] = []
    environment: str = "default"
    icon: str | None = None
    default: bool = False
    online: bool = True
    default_resources: Resources = Field(default_factory=lambda: Resources(cpu=1, memory=2048))
    max_resources: Resources | None = None


def parse_catalog(text: str, file: str) -> list[CatalogEntry]:
    """Return the entries of a catalog.

    Raises
    ------
    Invalid
        Names file, line and key.
    """
    root = parse(text, file)
    if root is None:
        raise invalid(file, None, "", "the catalog is empty; it needs a list `images:`.")
    found = root.mapping()
    check_keys(found, ("images",), "the catalog", strict=True)
    if "images" not in found:
        raise root.error("the key 'images' is missing.")
    entries = [_entry(place) for place in found["images"].sequence()]
    if not entries:
        raise found["images"].error("the list of images is empty; it needs at least one.")
    seen: set[str] = set()
    for entry in entries:
        for name in (entry.name, *entry.aliases):
            if name in seen:
                raise root.error(f"the name {name!r} stands twice.")
            seen.add(name)
    return entries


def _entry(place: Place) -> CatalogEntry:
    check_keys(place.mapping(), CatalogEntry.model_fields, "an image", strict=True)
    try:
        return CatalogEntry.model_validate(place.value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise place.error(f"{key}: {first['msg']}.") from error


def read_catalog(path: Path) -> list[CatalogEntry]:
    """Return the entries of a catalog file.

    Raises
    ------
    Invalid
        It cannot be read, or is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise Invalid(f"The image catalog {path.name} cannot be read: {error.strerror}.") from error
    return parse_catalog(text, path.name)
