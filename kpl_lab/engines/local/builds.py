"""Builds as workloads: what the build account is told and given."""

from __future__ import annotations

import configparser
import io
import json
import os
import sys
from pathlib import Path

from kpl_lab.engines.local.planner import default_prefix
from kpl_lab.engines.spec import Kind, Recipe, Workload
from kpl_lab.errors import EngineError

STEPS_VARIABLE = "KPL_BUILD"


def build_workload(name: str, recipe: Recipe, folder: Path) -> Workload:
    """Return the workload that makes ``recipe`` in ``folder``.

    Raises
    ------
    EngineError
        It is of an image: there are none here.
    """
    if recipe.dockerfile or recipe.archive or recipe.push:
        raise EngineError("This engine has environments and no images.", code="no_images")
    base = default_prefix(recipe.base)
    package_root = str(Path(__file__).resolve().parents[3])
    steps = {
        "folder": str(folder),
        "base": base,
        "runs": list(recipe.runs),
        "files": {**recipe.files},
    }
    environment = {
        **{key: value for key, value in os.environ.items() if key.startswith("PIP_")},
        "PYTHONPATH": package_root,
        "PIP_CONFIG_FILE": "{{secrets}}/pip.conf",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        STEPS_VARIABLE: json.dumps(steps),
    }
    return Workload(
        name=name,
        kind=Kind.BUILD,
        labels=recipe.labels,
        image=base,
        command=(sys.executable, "-m", "kpl_lab.engines.local.build_steps"),
        identity=f"build:{name}",
        limits=recipe.limits,
        environment=environment,
        templates=("PIP_CONFIG_FILE",),
        # A file and not a variable: an index's address may hold a password.
        secrets={"pip.conf": pip_configuration()},
        time_limit_seconds=recipe.time_limit_seconds,
    )


def nothing_to_build(name: str, recipe: Recipe) -> Workload:
    """Return the workload for an environment that is there already."""
    return Workload(
        name=name,
        kind=Kind.BUILD,
        labels=recipe.labels,
        image=default_prefix(recipe.base),
        command=("/bin/sh", "-c", "echo 'The environment is there already.'"),
        identity=f"build:{name}",
        limits=recipe.limits,
    )


def pip_configuration() -> str:
    """Return what pip is configured to here: our account's files, merged as pip does.

    The machine-wide ``/etc/pip.conf`` is left out: every account reads it by itself.
    """
    home = Path(os.environ.get("HOME") or Path.home())
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = os.environ.get("PIP_CONFIG_FILE")
    places = [home / ".pip" / "pip.conf", config_home / "pip" / "pip.conf"]
    places += [Path(named)] if named else []
    places += [Path(sys.prefix) / "pip.conf"]
    merged = configparser.RawConfigParser()
    merged.read([place for place in places if place.is_file()])
    text = io.StringIO()
    merged.write(text)
    return text.getvalue()
