"""Warm start: a notebook server that runs in a fork of a process that has imported it already.

Importing JupyterLab's server takes seconds of processor time; a fork takes none of it and shares
its memory. The preloaded process holds no user's data, no thread and no connection. The fork has
become the workload (account, namespace, limits) before any code of the server runs; then the
program's own entry function is called instead of executing its script. What cannot be started so
is executed as always.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from kpl_lab.jupyter import import_for_singleuser

# Console script: module and function, as its entry point says.
PROGRAMS = {"jupyterhub-singleuser": ("jupyterhub.singleuser", "main")}
# Beside the entry points: what the server imports when it starts. Not what looks at the user's home
# or variables while it is imported (see _NEVER).
MODULES = (
    "jupyterhub.singleuser",
    "jupyterhub.singleuser.extension",
    "jupyter_server.serverapp",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server.services.kernels.kernelmanager",
    "jupyter_server.services.kernels.websocket",
    "jupyter_server.services.sessions.handlers",
    "jupyterlab.commands",
    "jupyterlab.handlers.announcements",
    "jupyterlab.handlers.build_handler",
    "jupyterlab.handlers.extension_manager_handler",
    "jupyterlab.handlers.plugin_manager_handler",
    "jupyterlab_server",
    "jupyterlab_server.handlers",
    "jupyter_server_terminals.app",
    "jupyter_server_terminals.api_handlers",
    "jupyter_lsp.serverextension",
    "jupyter_lsp.handlers",
    "notebook_shim.nbserver",
    "ipykernel.kernelspec",
    "nbformat.v4",
    "nbconvert.exporters",
    "kpl_lab.lab.extension",
    "kpl_lab.lab.panel",
)
# Their classes hold folders of the user's home from the moment of their import on.
_NEVER = ("jupyterlab.labapp", "jupyterlab.labhubapp")
# These choose other classes while the modules are imported, which is over by then.
_DECIDED_AT_IMPORT = ("JUPYTERHUB_SINGLEUSER_APP", "JUPYTERHUB_SINGLEUSER_EXTENSION")
_MAX_DESCRIPTORS = 65536

_is_preloaded = False


def preload() -> bool:
    """Import the server; False when this process must not be forked from.

    Modules that are not installed are skipped: they would only have saved time.
    """
    global _is_preloaded
    import_for_singleuser()
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            sys.stderr.write(f"warm start goes without {name}: {error}\n")
    gc.collect()
    gc.freeze()
    has_one_thread = len(list(Path("/proc/self/task").iterdir())) == 1
    is_clean = not any(name in sys.modules for name in _NEVER)
    _is_preloaded = has_one_thread and is_clean and "jupyterhub.singleuser" in sys.modules
    if not _is_preloaded:
        sys.stderr.write("warm start is not possible: servers start cold\n")
    return _is_preloaded


def can_run(argv: list[str], environment: Mapping[str, str]) -> bool:
    """Say whether this process can run a command by calling it."""
    is_plain = not any(environment.get(name) for name in _DECIDED_AT_IMPORT)
    return _is_preloaded and is_plain and argv[0] in PROGRAMS


def run(argv: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Be the program: forget everything of the supervisor, and call its entry function."""
    os.closerange(3, _MAX_DESCRIPTORS)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = list(argv)
    sys.path[:] = [path for path in sys.path if path]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    gc.enable()
    module, function = PROGRAMS[argv[0]]
    code: object = 1
    try:
        code = getattr(sys.modules[module], function)()
    except SystemExit as end:
        code = end.code
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        _leave(code)


def _leave(code: object) -> NoReturn:
    """Do what the interpreter does at its end; ours is inside a supervisor's call."""
    if isinstance(code, str):
        sys.stderr.write(code + "\n")
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 (no public name exists)
    atexit._run_exitfuncs()  # noqa: SLF001 (no public name exists)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
