"""Folders of a replica before its command starts; run by its supervisor, again after a crash."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from kpl_lab import trees
from kpl_lab.engines.local.namespace import Bind, View
from kpl_lab.engines.local.plan import Place, Plan


def prepare(plan: Plan, place: Place) -> None:
    """Make everything below ``inside``, and a new persistent home.

    Raises
    ------
    OSError
        No room, or a source is not there.
    """
    trees.remove_tree(place.inside)
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


def _link_inputs(plan: Plan, place: Place) -> None:
    """Make ``<inputs>/<key>`` a mount point, or a link where there are no namespaces."""
    for key, source in plan.inputs:
        if plan.is_namespaced:
            (place.inputs / key).mkdir()
        else:
            (place.inputs / key).symlink_to(source, target_is_directory=True)
    _link_indices([key for key, _ in plan.inputs], place.inputs)


def _make_outputs(plan: Plan, place: Place) -> None:
    for key in plan.outputs:
        _folder(place.outputs / key, plan.uid, plan.gid, 0o755)
    _link_indices(plan.outputs, place.outputs)


def _link_indices(keys: list[str], folder: Path) -> None:
    """Lead ``<index>`` to the folder of the key: the oldest clients look there."""
    for index, key in enumerate(keys):
        if str(index) not in keys:
            (folder / str(index)).symlink_to(key, target_is_directory=True)


def _make_home(plan: Plan, home: Path) -> None:
    if home.exists():
        return
    fresh = home.parent / f".new-{home.name}"
    trees.remove_tree(fresh)
    if plan.skeleton is not None and Path(plan.skeleton).is_dir():
        shutil.copytree(plan.skeleton, fresh, symlinks=True)
    else:
        fresh.mkdir(parents=True)
    give(fresh, plan.uid, plan.gid, writable=True)
    fresh.chmod(0o700)
    fresh.rename(home)


def _make_mount_root(plan: Plan, folder: Path) -> None:
    """Make the folder of the mounts where the user has not put something else."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
        os.chown(folder, plan.uid, plan.gid, follow_symlinks=False)


def give(root: Path, uid: int, gid: int, *, writable: bool) -> None:
    """Hand a tree to an account; links themselves, never what they lead to."""
    for entry in trees.below(root, open_up=writable):
        os.chown(entry.name, uid, gid, dir_fd=entry.folder, follow_symlinks=False)
        if writable and not stat.S_ISLNK(entry.facts.st_mode):
            # Never setuid or setgid, which the change of the owner has taken away.
            wanted = entry.facts.st_mode & 0o777 | (0o700 if entry.is_folder else 0o600)
            os.chmod(entry.name, wanted, dir_fd=entry.folder)
    os.chown(root, uid, gid, follow_symlinks=False)


def view_of(plan: Plan, place: Place) -> View:
    """Return what the workload sees: its own folders, and of the platform nothing else."""
    home = Path(plan.home) if plan.home else None
    writable = [
        place.inside,
        *([home] if home else []),
        *([Path(plan.build)] if plan.build else []),
    ]
    binds = [
        *(Bind(source=Path(source), target=place.inputs / key) for key, source in plan.inputs),
        Bind(source=place.tmp, target=Path("/tmp"), read_only=False),  # noqa: S108 (made private)
    ]
    if plan.mounts is not None and home is not None and (home / "datasets").is_dir():
        binds.append(Bind(source=Path(plan.mounts), target=home / "datasets", read_only=False))
    return View(
        read_only=tuple(Path(path) for path in plan.shown),
        writable=tuple(writable),
        hidden=(Path(plan.kpl_home),),
        binds=tuple(binds),
        shm_mb=plan.ceilings.shm_mb,
    )
