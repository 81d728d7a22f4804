"""Folders of a replica before its command starts; repeated after a crash."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.trees import give
from kpl_lab.trees import remove_tree


class Wanted(Protocol):
    """What of a replica's plan its folders follow from."""

    @property
    def uid(self) -> int:
        """Account of the workload."""

    @property
    def gid(self) -> int:
        """Its group."""

    @property
    def platform_gid(self) -> int:
        """Group of the platform, which may look in."""

    @property
    def code(self) -> str | None:
        """Folder to copy; None: none."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """Files to write."""

    @property
    def inputs(self) -> Sequence[tuple[str, str]]:
        """Key and folder."""

    @property
    def outputs(self) -> Sequence[str]:
        """Keys."""

    @property
    def home(self) -> str | None:
        """Persistent home; None: a private one."""

    @property
    def skeleton(self) -> str | None:
        """What a new persistent home begins with."""

    @property
    def is_namespaced(self) -> bool:
        """Whether inputs are mounted; else they are links."""


def prepare(plan: Wanted, place: Place) -> None:
    """Make everything below ``inside``, and a new persistent home.

    Raises
    ------
    OSError
        No room, or a source is not there.
    """
    remove_tree(place.inside)
    # The platform's account may look in: the relay reads event files among the outputs.
    _folder(place.inside, plan.uid, plan.platform_gid, 0o750)
    for folder in (place.home, place.inputs, place.secrets, place.tmp):
        _folder(folder, plan.uid, plan.gid, 0o700)
    _folder(place.outputs, plan.uid, plan.platform_gid, 0o750)
    if plan.code is None:
        _folder(place.work, plan.uid, plan.gid, 0o755)
    else:
        shutil.copytree(plan.code, place.work, symlinks=True)
        give(place.work, plan.uid, plan.gid, writable=True)
    _link_inputs(plan, place)
    _make_outputs(plan, place)
    for name, value in plan.secrets.items():
        fd = os.open(place.secrets / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(value)
            os.fchown(file.fileno(), plan.uid, plan.gid)
    if plan.home is not None:
        _make_home(plan, Path(plan.home))
        _make_mount_root(plan, Path(plan.home) / "datasets")


def _folder(path: Path, uid: int, gid: int, mode: int) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(mode)
    os.chown(path, uid, gid)


def _link_inputs(plan: Wanted, place: Place) -> None:
    """Make ``<inputs>/<key>`` a mount point, or a link where there are no namespaces."""
    for key, source in plan.inputs:
        if plan.is_namespaced:
            (place.inputs / key).mkdir()
        else:
            (place.inputs / key).symlink_to(source, target_is_directory=True)
    _link_indices([key for key, _ in plan.inputs], place.inputs)


def _make_outputs(plan: Wanted, place: Place) -> None:
    for key in plan.outputs:
        _folder(place.outputs / key, plan.uid, plan.gid, 0o755)
    _link_indices(plan.outputs, place.outputs)


def _link_indices(keys: Sequence[str], folder: Path) -> None:
    """Lead ``<index>`` to the folder of the key: the oldest clients look there."""
    for index, key in enumerate(keys):
        if str(index) not in keys:
            (folder / str(index)).symlink_to(key, target_is_directory=True)


def _make_home(plan: Wanted, home: Path) -> None:
    if home.exists():
        return
    fresh = home.parent / f".new-{home.name}"
    remove_tree(fresh)
    if plan.skeleton is not None and Path(plan.skeleton).is_dir():
        shutil.copytree(plan.skeleton, fresh, symlinks=True)
    else:
        fresh.mkdir(parents=True)
    give(fresh, plan.uid, plan.gid, writable=True)
    fresh.chmod(0o700)
    fresh.rename(home)


def _make_mount_root(plan: Wanted, folder: Path) -> None:
    """Make the folder of the mounts where the user has not put something else."""
    try:
        folder.mkdir(mode=0o755)
    except FileExistsError:
        return
    except OSError as error:
        # A home without room: its owner gets in without mounts, and can make some.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return
    os.chown(folder, plan.uid, plan.gid, follow_symlinks=False)
