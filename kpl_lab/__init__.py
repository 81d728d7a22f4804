"""KPL Lab: JupyterLab as the front door of a machine-learning platform."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab where the built front end lies."""
    return [{"src": "labextension", "dest": "kpl-lab"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server which application serves the panels."""
    from kpl_lab.lab.extension import KplLabExtension

    return [{"module": "kpl_lab.lab.extension", "app": KplLabExtension}]
