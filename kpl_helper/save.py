"""Datasets, models and algorithms that a task or notebook keeps on the platform.

The three ``save_…`` functions behave as the original ones: a failure is reported, in the log and on the
task, and the script goes on. With ``raise_errors=True``, or through `upload`, it is raised.
"""

from __future__ import annotations

import os

from kpl_helper._sender import get_sender
from kpl_helper.base import get_config, logger
from kpl_helper.errors import KplHelperError

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from typing import Any

ROUTES = {
    "dataset": "/dataset/upload",
    "dataset_fs": "/dataset_fs/upload",
    "model": "/model/upload",
    "algorithm": "/algorithm/upload",
}


def upload(
    kind: str, path: str | os.PathLike[str], name: str, description: str | None
) -> dict[str, Any] | None:
    """Save one thing and return what the platform says about it (``None`` outside the platform).

    Parameters
    ----------
    kind
        A key of `ROUTES`: ``dataset`` is a folder or archive in KPL format, ``dataset_fs`` plain files.
    path
        File or folder. A folder is packed on the way, without a temporary file; a single file is
        packed too unless it is a .tar, .tar.gz or .zip, or a model.
    name
        A name that is taken becomes the next version.
    description
        Shown beside it.

    Raises
    ------
    SaveError
        When the path is missing, unreadable or, for an algorithm, too large.
    NotOnPlatformError, PlatformUnreachableError, PlatformRefusedError
        When the platform cannot be asked, does not answer, or says no.
    """
    config = get_config()
    if not config.inner:
        logger.info("[kpl-helper]: not on the platform; %s is not saved", path)
        return None
    from pathlib import Path

    from kpl_helper._upload import Parcel, is_archive, send

    source = Path(path).absolute()
    # `..` and `.` go, so that the archive's top entry has the folder's name.
    source = Path(os.path.normpath(source))
    pack = source.is_dir() if kind == "model" else not is_archive(source)
    parcel = Parcel(source, pack, is_code=kind == "algorithm")
    fields = {"name": str(name), "description": "" if description is None else str(description)}
    data = send(config, ROUTES[kind], fields, parcel)
    return data if isinstance(data, dict) else {}


def save_dataset(
    path: str | os.PathLike[str],
    name: str,
    description: str,
    as_serialized: bool = False,
    *,
    raise_errors: bool = False,
) -> dict[str, Any] | None:
    """Save a dataset.

    Parameters
    ----------
    path, name, description
        As in `upload`.
    as_serialized
        Whether it is in KPL format already.
    raise_errors
        Whether failures are raised, as `upload` raises them, or reported.

    Returns
    -------
    dict or None
        What the platform says about the new version, maybe empty; ``None`` after a failure and outside the platform.
    """
    kind = "dataset" if as_serialized else "dataset_fs"
    return _save(kind, path, name, description, raise_errors)


def save_model(
    path: str | os.PathLike[str], name: str, description: str, *, raise_errors: bool = False
) -> dict[str, Any] | None:
    """Save a model, a single file or a folder; parameters and result as in `save_dataset`."""
    return _save("model", path, name, description, raise_errors)


def save_algorithm(
    path: str | os.PathLike[str], name: str, description: str, *, raise_errors: bool = False
) -> dict[str, Any] | None:
    """Save an algorithm's code; parameters and result as in `save_dataset`.

    Left out are ``__pycache__``, ``.git``, ``.ipynb_checkpoints`` and what ``.kplignore`` names.
    """
    return _save("algorithm", path, name, description, raise_errors)


def _save(
    kind: str, path: str | os.PathLike[str], name: str, description: str | None, raise_errors: bool
) -> dict[str, Any] | None:
    try:
        return upload(kind, path, name, description)
    except (KplHelperError, OSError, ValueError, TypeError, RuntimeError) as error:
        if raise_errors:
            raise
        what = f"save {'dataset' if kind == 'dataset_fs' else kind} {name}"
        logger.exception("[kpl-helper]: %s failed: %s", what, error)
        _report(what, str(error))
        return None


def _report(what: str, message: str) -> None:
    """Show a failure on the task, where there is one."""
    sender = get_sender()
    if sender is not None:
        sender.add_event("failure", what, message)
        sender.nudge()
