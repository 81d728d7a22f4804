"""Pins the newest versions that ``pyproject.toml`` allows: ``make lock``.

Writes ``requirements/lock.txt`` (what running needs) and ``requirements/dev.txt`` (that and what
testing needs). Names no index: whoever installs uses the one of their machine. What newer Pythons
alone can install is bounded by ``requirements/constraints.in``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
    "--constraint=requirements/constraints.in",
    # The extras name ourselves; the checkout is installed by itself.
    "--unsafe-package=kpl-lab",
)


def main() -> None:
    """Write both lock files."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "-q", PIP_TOOLS], check=True)
        _compile(python, "lock.txt", "--extra", "all")
        _compile(python, "dev.txt", "--extra", "dev", "-c", "requirements/lock.txt")


def _compile(python: Path, name: str, *options: str) -> None:
    command = [str(python), "-m", "piptools", "compile", *OPTIONS, *options]
    command += ["-o", f"requirements/{name}", "requirements/build.in", "pyproject.toml"]
    environment = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


if __name__ == "__main__":
    main()
