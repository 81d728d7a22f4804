"""A look into an image: a command that tells which Python packages are in it."""

from __future__ import annotations

import json

from kpl_lab.naming import distribution_name

_MOST_PACKAGES, _MOST_CHARACTERS = 5000, 100
# `-I`: neither the working directory nor variables of the image decide what is imported.
_PYTHON = (
    "import json,sys,importlib.metadata as m;"
    "print(json.dumps({'python':'%d.%d.%d'%sys.version_info[:3],"
    "**{d.metadata['Name']:d.version for d in m.distributions()if d.metadata['Name']}}))"
)
_LOOK = 'command -v python3 >/dev/null || exit 0; exec python3 -I -c "$0"'
COMMAND = ("/bin/sh", "-c", _LOOK, _PYTHON)
# What a shell says of a command that is not there; here: there is no shell.
NO_SHELL = 127


def packages_of(said: bytes) -> dict[str, str]:
    """Return what a look has said; nothing where it is no list of packages (the image may lie)."""
    try:
        found = json.loads(said.strip().rpartition(b"\n")[2] or b"{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        distribution_name(name): version
        for name, version in list(found.items())[:_MOST_PACKAGES]
        if isinstance(version, str) and max(len(name), len(version)) <= _MOST_CHARACTERS
    }
