"""The environment of a user's own, on top of the image's: what ``pip install`` goes into.

The image's is read-only, or is there anew at every start. This one lies in the home, one per image
and version of Python, so what was installed is there again after a stop. Kernels and terminals use
it; the server itself does not: what a user installs cannot keep it from starting.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import site
import sys
import sysconfig
import venv
from collections.abc import MutableMapping
from importlib.metadata import distributions
from pathlib import Path

from ipykernel.kernelspec import write_kernel_spec
from jupyter_client.kernelspec import KernelSpecManager

from kpl_lab.layers import chain, console_scripts, write_script
from kpl_lab.naming import slug

IMAGE_VARIABLE = "KPL_IMAGE_NAME"
PLACE = Path(".local", "share", "kpl-lab", "environments")
_MARKER = "kpl-lab.json"
_KERNEL = Path("share", "jupyter", "kernels", "python3")


def adopt(
    environment: MutableMapping[str, str],
    kernels: KernelSpecManager,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> Path | None:
    """Let what a server starts from now on use the user's own environment; return it.

    None outside of the platform's servers, and where the home has no room for it.
    """
    image = environment.get(IMAGE_VARIABLE)
    if not image:
        return None
    version = f"py{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path.home() / PLACE / f"{slug(image)}-{version}"
    try:
        if _made_on(folder) != sys.prefix:
            make(folder)
    except OSError as error:
        log.warning("KPL Lab: no environment of your own, so pip cannot install: %s", error)
        return None
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    environment["VIRTUAL_ENV"] = str(folder)
    kernels.kernel_dirs.insert(0, str(folder / _KERNEL.parent))
    return folder


def _made_on(folder: Path) -> str | None:
    """Return the environment below, of one that was made whole."""
    try:
        return str(json.loads((folder / _MARKER).read_text())["base"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make(folder: Path) -> None:
    """Make an environment on this interpreter's, or move it there; what is installed in it stays.

    Raises
    ------
    OSError
        There is no room, or no right to write there.
    """
    for link in (folder / "bin").glob("python*"):
        link.unlink()
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    own = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    chain(own, site.getsitepackages())
    _write_scripts(folder)
    _write_kernel(folder, Path(sys.prefix) / _KERNEL)
    fresh = folder / f"{_MARKER}.new"
    fresh.write_text(json.dumps({"base": sys.prefix}))
    fresh.replace(folder / _MARKER)


def _write_scripts(folder: Path) -> None:
    """Let commands of the image run on this interpreter, so that they find what was installed."""
    for name in ("pip", "pip3"):
        write_script(folder, name, "pip._internal.cli.main:main")
    for name, target in console_scripts(distributions()).items():
        write_script(folder, name, target)


def _write_kernel(folder: Path, base: Path) -> None:
    """Describe the kernel as the image does, on this interpreter."""
    target = folder / _KERNEL
    if base.is_dir():
        shutil.copytree(base, target, dirs_exist_ok=True)
    else:
        write_kernel_spec(str(target))
    described = json.loads((target / "kernel.json").read_text())
    described["argv"][0] = str(folder / "bin" / "python")
    (target / "kernel.json").write_text(json.dumps(described, indent=1))
