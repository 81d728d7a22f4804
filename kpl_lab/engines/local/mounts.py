"""Live mounts: a folder of the store shown read-only in a server that runs.

The server's mount root is a shared mount of its own, of which the server's namespace has a slave
copy; what the runner binds below the root arrives there. Read-only must be set before the bind
arrives (a later remount does not reach the copy): a private bind is remounted read-only, and *that*
is bound into the root. Without CAP_SYS_ADMIN a link is all there can be.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from kpl_lab.engines.local import namespace, syscalls
from kpl_lab.engines.local.syscalls import MountFlag
from kpl_lab.errors import EngineError
from kpl_lab.mountinfo import mounts


def mount_points() -> list[Path]:
    """Return every mount point that this process sees, innermost last."""
    return [one.point for one in mounts()]


def make_root(root: Path) -> None:
    """Make ``root`` a mount whose mounts arrive in namespaces made from now on; repeatable."""
    root.mkdir(exist_ok=True)
    if root in mount_points():
        return
    syscalls.mount(root, root, None, MountFlag.BIND)
    syscalls.mount(None, root, None, MountFlag.PRIVATE)
    syscalls.mount(None, root, None, MountFlag.SHARED)


def add(root: Path, source: Path, name: str) -> None:
    """Show ``source`` read-only as ``name`` below the root; no-op when it is there.

    Raises
    ------
    EngineError
        The kernel refused.
    """
    target = root / name
    if target in mount_points():
        return
    target.mkdir(exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=root.parent))
    try:
        syscalls.mount(source, staging, None, MountFlag.BIND)
        try:
            syscalls.mount(None, staging, None, MountFlag.PRIVATE)
            namespace.make_read_only(staging)
            syscalls.mount(staging, target, None, MountFlag.BIND)
        finally:
            syscalls.unmount(staging)
    except OSError as error:
        with contextlib.suppress(OSError):
            target.rmdir()
        raise EngineError(
            f"{name} could not be mounted: {error}.", code="mount_failed", detail={"name": name}
        ) from error
    finally:
        staging.rmdir()


def remove(root: Path, name: str) -> None:
    """Take ``name`` away; no-op when it is not there."""
    target = root / name
    if target in mount_points():
        syscalls.unmount(target)
    with contextlib.suppress(OSError):
        target.rmdir()


def remove_root(root: Path) -> None:
    """Take everything away, the root too; repeatable."""
    for point in reversed(mount_points()):
        if point == root or root in point.parents:
            with contextlib.suppress(OSError):
                syscalls.unmount(point)
    if root.is_dir():
        for left in root.iterdir():
            if not os.path.ismount(left):
                with contextlib.suppress(OSError):
                    left.rmdir()


def link(folder: Path, source: Path, name: str) -> None:
    """Show ``source`` as a link where there are no mounts; no-op when it is there.

    The folder is the user's: were it a link itself, ours would be made where that leads to.

    Raises
    ------
    EngineError
        The user has something else of this name, or instead of the folder.
    """
    target = folder / name
    if target.is_symlink() and target.readlink() == source:
        return
    if target.exists() or target.is_symlink():
        raise EngineError(
            f"The server has something of its own called {name!r} in {folder.name}; rename it.",
            code="name_taken",
        )
    folder.mkdir(exist_ok=True)
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise EngineError(
            f"The server has something of its own called {folder.name!r}; rename it, and datasets "
            "can be mounted there.",
            code="name_taken",
        ) from error
    try:
        os.symlink(source, name, target_is_directory=True, dir_fd=opened)
    finally:
        os.close(opened)


def unlink(folder: Path, name: str) -> Path | None:
    """Take a link away and return where it led; what is no link stays."""
    target = folder / name
    if not target.is_symlink():
        return None
    source = target.readlink()
    target.unlink()
    return source
