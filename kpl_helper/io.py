"""Folders of a task's inputs and outputs."""

from __future__ import annotations

from kpl_helper.base import get_config
from kpl_helper.errors import InputNotFoundError


def get_input_path(key: str, default: str = "") -> str:
    """Return the folder of an input.

    Parameters
    ----------
    key
        The input's ``key`` in ``environment.yml``.
    default
        Returned outside the platform, in a notebook, and for an ``optional`` input that was not given.

    Raises
    ------
    InputNotFoundError
        On the platform, when a required input is not there.
    """
    config = get_config()
    if config.local_files:
        return default
    from pathlib import Path

    path = Path(config.input_root, str(key))
    if config.input_root and path.exists():
        return str(path)
    if str(key) in config.optional_inputs:
        return default
    raise InputNotFoundError(
        f"input {str(key)!r} is not there: {path} does not exist; "
        f"{_present(config.input_root)}. Give it when the task is submitted, "
        "or declare it `optional: true` in environment.yml"
    )


def get_output_path(key: str, default: str = "") -> str:
    """Return the folder of an output, made where it does not exist yet.

    Parameters
    ----------
    key
        The output's ``key`` in ``environment.yml``.
    default
        Returned outside the platform and in a notebook; it is not made.
    """
    config = get_config()
    if config.local_files:
        return default
    from pathlib import Path

    path = Path(config.output_root or "/", str(key))
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def _present(root: str) -> str:
    from pathlib import Path

    try:
        names = sorted(entry.name for entry in Path(root).iterdir()) if root else []
    except OSError:
        names = []
    return (
        f"the inputs of this task are: {', '.join(names)}" if names else "this task has no inputs"
    )
