"""What an image is on this engine: a Python environment in a folder."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path

from kpl_lab.engines.local import environments
from kpl_lab.engines.spec import ImageFacts
from kpl_lab.errors import EngineError
from kpl_lab.naming import distribution_name


def facts_of(prefix: Path) -> ImageFacts:
    """Return what is installed in an environment.

    The digest names what is installed, not how: an environment whose packages are others is
    another one, and what was built on it is built anew.

    Raises
    ------
    EngineError
        There is no environment in that folder.
    """
    try:
        is_there = prefix.is_absolute() and (prefix / "bin" / "python").exists()
        sites = _sites(prefix) if is_there else []
    except OSError:
        sites = []
    if not sites:
        raise EngineError(
            f"The environment {prefix} does not exist, or this account may not read it; make one "
            f"with `python3 -m venv {prefix}`.",
            code="image_missing",
        )
    packages = {"python": sites[0].parent.name.removeprefix("python")}
    for found in metadata.distributions(path=[str(site) for site in sites]):
        if found.name:
            packages.setdefault(distribution_name(found.name), found.version)
    content = "\n".join(f"{name} {version}" for name, version in sorted(packages.items()))
    return ImageFacts(
        packages=packages,
        digest=f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
        architecture=platform.machine(),
    )


def _sites(prefix: Path) -> list[Path]:
    """Return where packages lie: of the environment, then of those below it."""
    return [
        site
        for one in environments.chain_of(prefix)
        for site in sorted(one.glob("lib/python3*/site-packages"))
    ]
