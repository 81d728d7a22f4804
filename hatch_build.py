"""Builds what a wheel holds beyond Python: the compiled decoder, and JupyterLab's extension.

The extension is taken where `npm run build:prod` has left it, so that whoever installs the wheel
needs no Node.

The decoder is optional. Without a C compiler or Python's headers the wheel is pure Python, reads
the same records, and only takes longer. With them, the wheel is for Python 3.11 and later (one
binary, by the stable ABI) on this platform. ``KPL_BUILD_PURE=1`` builds without on purpose.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "kpl_dataset/_decoder.c"
TARGET = "kpl_dataset/_decoder.abi3.so"
EXTENSION = "kpl_lab/labextension"


def compile_decoder(root: Path) -> str:
    """Compile the decoder in place; return why not, or an empty string.

    Parameters
    ----------
    root
        The repository's folder.
    """
    if os.environ.get("KPL_BUILD_PURE"):
        return "KPL_BUILD_PURE is set"
    if sys.platform == "win32":
        return "no rule for this platform"
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(command[0]) is None:
        return f"there is no compiler {command[0]!r}"
    flags = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{sysconfig.get_path('include')}"]
    if sys.platform == "darwin":
        flags += ["-undefined", "dynamic_lookup"]
    flags += shlex.split(os.environ.get("CFLAGS", ""))
    # Where it is loaded already, the old binary must not change under its users.
    draft = root / f"{TARGET}.new"
    arguments = [*command, *flags, str(root / SOURCE), "-o", str(draft)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        draft.unlink(missing_ok=True)
        return f"the compiler failed: {done.stderr.strip()[-400:]}"
    draft.replace(root / TARGET)
    return ""


def wheel_tag() -> str:
    """Return the tag of a wheel with the decoder: this platform, Python 3.11 and later."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"cp311-abi3-{platform}"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # as in hatchling's manual
    """Compiles the decoder before a wheel (or an editable install) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; go on without the decoder where that fails."""
        if version != "editable":
            self._add_extension(build_data["shared_data"])
        failure = compile_decoder(Path(self.root))
        if failure:
            (Path(self.root) / TARGET).unlink(missing_ok=True)
            self.app.display_warning(f"kpl_dataset is built without its decoder: {failure}")
            return
        build_data["artifacts"].append(TARGET)
        if version != "editable":
            build_data["pure_python"] = False
            build_data["tag"] = wheel_tag()

    def _add_extension(self, shared: dict[str, str]) -> None:
        """Put the built extension where JupyterLab looks for it."""
        if not (Path(self.root) / EXTENSION / "package.json").is_file():
            self.app.display_warning(f"{EXTENSION} is not built: the wheel has no panels.")
            return
        folder = "share/jupyter/labextensions/kpl-lab"
        shared[EXTENSION] = folder
        shared["install.json"] = f"{folder}/install.json"
