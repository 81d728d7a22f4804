"""What a command finds when it starts: folders, code, inputs, a home."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from kpl_lab.engines.kubernetes.agent.config import AgentConfig
from kpl_lab.engines.kubernetes.agent.gateway import Gateway
from kpl_lab.engines.kubernetes.plan import INPUTS, INSIDE, OUTPUTS, WORK
from kpl_lab.trees import remove_tree

_NEW_HOME = ".kpl-new"
# In a home that was filled: whoever has deleted all of it wants it empty.
_BEGUN = ".kpl-begun"
# So young is what a server has written that started a moment ago, also by another's clock.
_YOUNG_SECONDS = 600.0


def fill(config: AgentConfig, gateway: Gateway) -> None:
    """Make everything below ``/kpl`` and a new home; blocks, and may be repeated.

    Raises
    ------
    Refused
        The store no longer has what is to be fetched.
    OSError
        No room on the node.
    """
    for name in ("work", "home", "outputs"):
        Path(INSIDE, name).mkdir(exist_ok=True)
    if config.has_code:
        gateway.fetch({"what": "code"}, Path(WORK))
    for key in config.inputs:
        gateway.fetch({"what": "input", "key": key}, Path(INPUTS, key))
    _link_indices(config.inputs, Path(INPUTS))
    for key in config.outputs:
        Path(OUTPUTS, key).mkdir(exist_ok=True)
    _link_indices(config.outputs, Path(OUTPUTS))
    if config.home is not None:
        _begin_home(config, gateway, Path(config.home))


def _link_indices(keys: Sequence[str], folder: Path) -> None:
    """Lead ``<index>`` to the folder of the key: the oldest clients look there."""
    for index, key in enumerate(keys):
        link = folder / str(index)
        if str(index) not in keys and not link.is_symlink():
            link.symlink_to(key, target_is_directory=True)


def _begin_home(config: AgentConfig, gateway: Gateway, home: Path) -> None:
    """Fill a home that nobody has used yet."""
    # Beside it, in the same volume: once it is there, it is whole, and moving it is gone on with.
    fresh = home / _NEW_HOME
    if not fresh.is_dir():
        if not config.has_skeleton or not _is_new(home, config.mounts):
            return
        gateway.fetch({"what": "skeleton"}, fresh)
    (home / _BEGUN).touch()
    _move_missing(fresh, home)
    remove_tree(fresh)


def _move_missing(source: Path, target: Path) -> None:
    """Move what is not there; what the server has made meanwhile stays."""
    for path in source.iterdir():
        there = target / path.name
        if not os.path.lexists(there):
            path.rename(there)
        elif not (path.is_symlink() or there.is_symlink()) and path.is_dir() and there.is_dir():
            _move_missing(path, there)


def _is_new(home: Path, mounts: str | None) -> bool:
    """Say whether a home holds nothing but what a volume or we have put there.

    Young hidden files do not count: the server may have started already, and write some.
    """
    ours = {"lost+found", f".{_NEW_HOME}.part"}
    if mounts is not None:
        ours.add(Path(mounts).name)
    young = time.time() - _YOUNG_SECONDS
    return not any(
        path.name == _BEGUN or not path.name.startswith(".") or _is_older(path, young)
        for path in home.iterdir()
        if path.name not in ours
    )


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.lstat().st_mtime < moment
    except FileNotFoundError:  # the server has removed it meanwhile
        return False
