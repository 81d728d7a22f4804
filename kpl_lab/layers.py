"""A Python environment on top of another: its own packages come first, those below follow.

The upper one is a venv whose site-packages have one more file, which adds the folders of the lower.
So nothing is copied, what is installed goes into the upper one, and an algorithm that installs the
original ``kpl-helper`` gets the original. Standard library only: builds run it under an account of
their own, servers at their start.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

_SHEBANG_MAX_BYTES = 127
_PTH_NAME = "kpl-base.pth"


def chain(own_site: Path, base_sites: Iterable[str]) -> None:
    """Let an environment's site-packages be followed by those of another."""
    # addsitedir and not plain paths: the base's own .pth files (editable installs) count too.
    calls = "; ".join(f"site.addsitedir({path!r})" for path in base_sites)
    (own_site / _PTH_NAME).write_text(f"import site; {calls}\n")


def first_lines(python: Path) -> str:
    """Return how a script names its interpreter, also where ``#!`` cannot.

    The kernel ends the path at a space and after 127 bytes; a shell does neither, and Python takes
    the shell's line for a string.
    """
    plain = f"#!{python}\n"
    if " " not in plain and len(plain.encode()) < _SHEBANG_MAX_BYTES:
        return plain
    quoted = str(python).replace('"', '\\"')
    return f"""#!/bin/sh\n'''exec' "{quoted}" "$0" "$@"\n' '''\n"""


def write_script(folder: Path, name: str, target: str) -> None:
    """Write a console script of the environment in ``folder``, unless it has one of that name."""
    path = folder / "bin" / name
    module, _, attribute = target.partition(":")
    if path.exists() or not attribute:
        return
    first = attribute.partition(".")[0]
    path.write_text(
        f"{first_lines(folder / 'bin' / 'python')}"
        "import sys\n"
        f"from {module} import {first}\n"
        'if __name__ == "__main__":\n'
        f"    sys.exit({attribute}())\n"
    )
    path.chmod(0o755)


def console_scripts(distributions: Iterable[Distribution]) -> dict[str, str]:
    """Return name and target of every console script, the first where there are several."""
    found: dict[str, str] = {}
    for one in distributions:
        for point in one.entry_points:
            if point.group == "console_scripts":
                found.setdefault(point.name, point.value.split("[")[0].strip())
    return found
