"""What runs under a build's own account: the environment, its lines, its lock.

``python -m kpl_lab.engines.local.build_steps`` with ``KPL_BUILD`` holding JSON: ``folder``,
``base``, ``runs`` and ``files``, which lie in the working directory. Standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kpl_lab.engines.local.environments import LOCK
from kpl_lab.layers import chain, write_script

_ASK = "import json, site, sysconfig; print(json.dumps([sysconfig.get_path('purelib'), site.getsitepackages()]))"
# What is there is asked before we can be found: we are no part of the environment.
_ENTRY_POINTS = (
    "import json, sys; from importlib.metadata import distributions; found = list(distributions()); "
    f"sys.path.append({str(Path(__file__).parents[3])!r}); "
    "from kpl_lab.layers import console_scripts; print(json.dumps(console_scripts(found)))"
)


class BuildFailed(Exception):
    """A step has failed; the text is for the log."""


def say(text: str) -> None:
    """Print a line of our own."""
    print(f"[kpl] {text}", flush=True)  # noqa: T201 (standard output is the build's log)


def python_of(prefix: Path) -> Path:
    """Return the interpreter of an environment."""
    for name in ("python", "python3"):
        if (prefix / "bin" / name).exists():
            return prefix / "bin" / name
    raise BuildFailed(f"{prefix} has no Python interpreter; choose another base image.")


def ask(python: Path, program: str) -> str:
    """Return what a small program prints in an environment."""
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildFailed(f"{python} does not work: {done.stderr.strip()}")
    return done.stdout


def create(folder: Path, base: Path) -> Path:
    """Make the venv in ``folder`` and chain it to ``base``; return its site-packages."""
    say(f"creating an environment on {base}")
    base_python = python_of(base)
    subprocess.run(
        [str(base_python), "-m", "venv", "--without-pip", str(folder)],
        check=True,
    )
    base_sites = json.loads(ask(base_python, _ASK))[1]
    own_site = Path(json.loads(ask(python_of(folder), _ASK))[0])
    chain(own_site, base_sites)
    if subprocess.run([str(python_of(folder)), "-c", "import pip"], check=False).returncode:
        say("the base has no pip; adding one")
        subprocess.run([str(python_of(folder)), "-m", "ensurepip"], check=True)
    for name in ("pip", "pip3"):
        write_script(folder, name, "pip._internal.cli.main:main")
    return own_site


def run_lines(folder: Path, runs: list[str]) -> None:
    """Run each line in a shell with the environment first on PATH."""
    environment = {
        **os.environ,
        "PATH": f"{folder}/bin:{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": str(folder),
    }
    for number, line in enumerate(runs, 1):
        say(f"{number}/{len(runs)}: {line}")
        done = subprocess.run(["/bin/sh", "-c", line], env=environment, check=False)
        if done.returncode != 0:
            raise BuildFailed(
                f"line {number} of image.runs ended with exit code {done.returncode}: {line}"
            )


def lock(folder: Path, own_site: Path) -> None:
    """Write down what the lines have added, with versions."""
    command = [str(folder / "bin" / "python"), "-m", "pip", "freeze", "--path", str(own_site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildFailed(f"pip freeze failed: {done.stderr.strip()}")
    (folder / LOCK).write_text(done.stdout)
    say(f"locked {len(done.stdout.splitlines())} packages")


def main() -> int:
    """Make the environment that ``KPL_BUILD`` describes."""
    steps = json.loads(os.environ.pop("KPL_BUILD"))
    os.environ.pop("PYTHONPATH", None)  # it was for this program alone
    folder = Path(steps["folder"])
    try:
        own_site = create(folder, Path(steps["base"]))
        for name, text in steps["files"].items():
            Path(name).write_text(text)
        run_lines(folder, steps["runs"])
        lock(folder, own_site)
        # Commands of the base would else run on the base's interpreter, without the new packages.
        python = folder / "bin" / "python"
        for name, target in json.loads(ask(python, _ENTRY_POINTS)).items():
            write_script(folder, name, target)
    except (BuildFailed, OSError, subprocess.CalledProcessError) as error:
        say(f"the build has failed: {error}")
        return 1
    say("the environment is ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
