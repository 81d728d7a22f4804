"""What a command finds when it starts: folders, code, inputs, a home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kpl_lab.engines.kubernetes.agent.config import AgentConfig
from kpl_lab.engines.kubernetes.agent.gateway import Gateway
from kpl_lab.engines.kubernetes.plan import INPUTS, INSIDE, OUTPUTS, WORK

_NEW_HOME = ".kpl-new"


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
    if not config.has_skeleton or not _is_new(home, config.mounts):
        return
    # Beside it, in the same volume: what was begun and not ended is begun again.
    fresh = home / _NEW_HOME
    gateway.fetch({"what": "skeleton"}, fresh)
    for path in fresh.iterdir():
        path.rename(home / path.name)
    fresh.rmdir()


def _is_new(home: Path, mounts: str | None) -> bool:
    """Say whether a home holds nothing but what a volume or we have put there."""
    ours = {"lost+found", _NEW_HOME, f".{_NEW_HOME}.part"}
    if mounts is not None:
        ours.add(Path(mounts).name)
    return not any(path.name not in ours for path in home.iterdir())
