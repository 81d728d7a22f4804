"""Pins the newest versions that ``pyproject.toml`` allows: ``make lock``.

Writes ``requirements/lock.txt`` (what running needs), ``requirements/dev.txt`` (that and what
testing needs), and the locks of ``images/``, with the platform's versions where both have a
package; with names of images as arguments, theirs alone. Names no index: whoever installs uses the
one of their machine. What newer Pythons alone can install is bounded by
``requirements/constraints.in``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_TOOLS = "pip-tools==7.6.2"
OPTIONS = (
    "--quiet",
    "--upgrade",
    "--strip-extras",
    "--no-emit-index-url",
    "--no-emit-trusted-host",
    "--no-emit-find-links",
    # The extras name ourselves; the checkout is installed by itself.
    "--unsafe-package=kpl-lab",
)
PLATFORM = "requirements/lock.txt"
BASE = ("images/base/requirements.txt", "images/base/requirements-examples.txt")


def main(images: Sequence[str]) -> None:
    """Write the lock files."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "-q", PIP_TOOLS], check=True)
        if not images:
            bounds = ("--constraint=requirements/constraints.in",)
            sources = ("requirements/build.in", "pyproject.toml")
            _compile(python, PLATFORM, *bounds, "--extra=all", *sources)
            _compile(
                python, "requirements/dev.txt", *bounds, "--extra=dev", "-c", PLATFORM, *sources
            )
        for name in images or _images():
            _lock_image(python, name)


def _images() -> list[str]:
    """Return the images there are; those on the base come after it."""
    found = sorted(path.parent.name for path in ROOT.glob("images/*/requirements.in"))
    return sorted(found, key=lambda name: name != "base")


def _lock_image(python: Path, name: str) -> None:
    if name == "base":
        own = ("--allow-unsafe", "pyproject.toml", "images/base/requirements.in")
        _compile(python, BASE[0], "-c", PLATFORM, "--extra=lab", *own)
        _compile(python, BASE[1], "-c", PLATFORM, "--extra=examples", "pyproject.toml")
        return
    bounds = [word for path in (*BASE, PLATFORM) for word in ("-c", path)]
    folder = f"images/{name}"
    _compile(
        python, f"{folder}/requirements.txt", "--allow-unsafe", *bounds, f"{folder}/requirements.in"
    )


def _compile(python: Path, target: str, *words: str) -> None:
    command = [str(python), "-m", "piptools", "compile", *OPTIONS, "-o", target, *words]
    environment = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


if __name__ == "__main__":
    main(sys.argv[1:])
