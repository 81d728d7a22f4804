"""A server whose home has no room is started nonetheless, so that its owner can make some.

What a notebook server and its kernels write while they start goes to a temporary folder then.
"""

from __future__ import annotations

from pathlib import Path

from kpl_lab.measures.folders import disk_of

# What tells the server that it runs so (``kpl_lab.lab.cleaning``).
CLEAN_UP_VARIABLE = "KPL_CLEAN_UP"
# Connection files, the secret of cookies, layouts of JupyterLab, histories, caches. Settings and
# kernels of the user's own are read from the home as ever.
_ELSEWHERE = {
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "IPYTHONDIR": "ipython",
    "XDG_CACHE_HOME": "cache",
    "MPLCONFIGDIR": "matplotlib",
}


def variables(home: str | Path, temporary: str) -> dict[str, str]:
    """Return what the environment of a server with this home needs beside; nothing with room.

    Parameters
    ----------
    home
        The home as the engine sees it.
    temporary
        A folder of its own as the server sees it.
    """
    try:
        is_full = disk_of(home).is_full
    except OSError:
        return {}  # there is none yet
    if not is_full:
        return {}
    places = {name: f"{temporary}/home/{folder}" for name, folder in _ELSEWHERE.items()}
    return {CLEAN_UP_VARIABLE: "1", **places}
