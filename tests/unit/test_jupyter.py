"""What Jupyter's programs go without, and that they do not miss it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PACKAGES = (
    "jupyter_events",
    "jupyter_lsp",
    "jupyter_server",
    "jupyter_server_terminals",
    "jupyterhub",
    "jupyterlab",
    "jupyterlab_server",
    "nbformat",
)
IMPORTS = """
import sys
from kpl_lab.jupyter import leave_out
leave_out()
import jupyterhub.app, jupyterhub.singleuser.extension, jupyter_server.serverapp
from jsonschema import Draft202012Validator as Validator
print({"lark", "arrow"} & set(sys.modules))
print(sorted({"uri", "iri", "duration"} & set(Validator.FORMAT_CHECKER.checkers)))
import rfc3987_syntax, isoduration
print(isoduration.parse_duration("P1D").date.days)
"""


def test_unused_formats_are_left_out_and_who_wants_them_has_them_still() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n['uri']\n1\n"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_schema_of_jupyter_names_what_is_left_out(package: str) -> None:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    for path in Path(found.origin).parent.rglob("*"):
        if path.suffix in (".json", ".yaml", ".yml") and path.stat().st_size < 1 << 20:
            for document in yaml.safe_load_all(path.read_text("utf-8")):
                assert not formats(document) & {"iri", "iri-reference", "duration"}, path


def formats(value: object) -> set[str]:
    """Return all values of ``format`` in a document."""
    if isinstance(value, list):
        return set().union(*map(formats, value))
    if not isinstance(value, dict):
        return set()
    own = {value["format"]} if isinstance(value.get("format"), str) else set()
    return own.union(*map(formats, value.values()))
