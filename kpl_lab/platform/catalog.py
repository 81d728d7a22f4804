"""The image catalog as the platform uses it: entries by name or alias, with what really exists."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kpl_lab.errors import Invalid
from kpl_lab.formats.catalog_yml import CatalogEntry, read_catalog

DEFAULT_CATALOG = Path(__file__).parent.parent / "hub" / "images.yml"


@dataclass(frozen=True)
class Found:
    """An entry for a ``from_image``; ``is_fallback`` when the default took an unknown one's place."""

    entry: CatalogEntry
    is_fallback: bool


class Catalog:
    """The entries of one catalog file.

    Parameters
    ----------
    path
        ``$KPL_HOME/images.yml`` where it exists, else the one that ships.
    """

    def __init__(self, path: Path = DEFAULT_CATALOG) -> None:
        self.entries = read_catalog(path)

    @property
    def default(self) -> CatalogEntry:
        """The entry that is taken when nothing is said."""
        return next((e for e in self.entries if e.default), self.entries[0])

    def named(self, name: str) -> CatalogEntry | None:
        """Return the entry of that name or alias."""
        for entry in self.entries:
            if name == entry.name or name in entry.aliases:
                return entry
        return None

    def lookup(self, name: str, *, allow_fallback: bool) -> Found:
        """Return the entry for a ``from_image``.

        Raises
        ------
        Invalid
            Unknown, and the administrator allows no replacement.
        """
        found = self.named(name)
        if found is not None:
            return Found(found, is_fallback=False)
        if allow_fallback:
            return Found(self.default, is_fallback=True)
        raise Invalid(
            f"The image {name!r} is not in the catalog; it has: "
            f"{', '.join(e.name for e in self.entries)}. Choose one of them as from_image.",
            code="unknown_image",
        )


def prefix_of(entry: CatalogEntry) -> str:
    """Return the Python environment of an entry: its prefix, our own for ``default``."""
    return sys.prefix if entry.environment == "default" else entry.environment


def is_there(entry: CatalogEntry) -> bool:
    """Tell whether an entry's environment exists."""
    return Path(prefix_of(entry), "bin", "python").exists()


def versions_of(entry: CatalogEntry) -> dict[str, str]:
    """Return the versions that an entry shows: its own words, and what is really installed here."""
    shown = {"python": ".".join(str(n) for n in sys.version_info[:3])}
    for package in entry.packages:
        try:
            shown[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return shown | entry.versions
