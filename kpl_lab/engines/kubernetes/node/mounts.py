"""Read-only bind mounts into the pods of a node.

What a pod may write is never followed: every step of a path is opened by its own, without links, and what is
mounted and unmounted is named by a descriptor. Which mounts there are, the kernel alone says, so that an agent
that was killed finds what it has made.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kpl_lab import mountinfo
from kpl_lab.engines.kubernetes.plan import CONFIG_VOLUME, MOUNTS_VOLUME
from kpl_lab.engines.local import namespace, syscalls
from kpl_lab.engines.local.syscalls import MountFlag
from kpl_lab.engines.running.checks import check_segment
from kpl_lab.errors import EngineError

# Below the folder of a pod, as kubelets lay volumes out.
_VOLUMES = "volumes"
_MOUNTS = (_VOLUMES, "kubernetes.io~empty-dir", MOUNTS_VOLUME)
_CONFIG = (_VOLUMES, "kubernetes.io~secret", CONFIG_VOLUME)
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STAGING = ".staging-"
DATA = "data"


class CannotMount(EngineError):
    """A version cannot be shown there, in a sentence."""

    default_code = "mount_failed"


@dataclass(frozen=True)
class Shown:
    """A mount of ours.

    Attributes
    ----------
    name
        Folder of the live mounts that it is; empty where it lies somewhere else: it was moved.
    is_read_only
        False for what nobody has made in our way.
    """

    uid: str
    name: str
    version: str
    mount: mountinfo.Mount

    @property
    def is_read_only(self) -> bool:
        """Whether nobody can write through it."""
        return self.mount.is_read_only


class Mounts:
    """The mounts of one node.

    Parameters
    ----------
    pods
        The kubelet's folder of pods; what is mounted below it has to reach the node.
    cache
        Folder with a folder of each version, whose ``data`` is shown.
    """

    def __init__(self, pods: Path, cache: Path) -> None:
        self._pods = pods.resolve()
        self._cache = cache.resolve()

    def shown(self) -> list[Shown]:
        """Return all that is shown now."""
        known = mountinfo.mounts()
        under = _under(self._cache, known)
        base = under.root / self._cache.relative_to(under.point)
        return [
            shown
            for one in known
            if one.device == under.device and (shown := self._ours(one, base)) is not None
        ]

    def _ours(self, found: mountinfo.Mount, base: Path) -> Shown | None:
        if base not in found.root.parents or self._pods not in found.point.parents:
            return None
        version, *rest = found.root.relative_to(base).parts
        uid, *place = found.point.relative_to(self._pods).parts
        is_in_place = tuple(place[:-1]) == _MOUNTS and rest == [DATA]
        return Shown(uid, place[-1] if is_in_place else "", version, found)

    def is_going(self, uid: str) -> bool:
        """Say whether a kubelet clears a pod away: it has taken what the pod's agent is told.

        The kubelet cannot remove a folder in which something is mounted, and says nobody why.
        """
        try:
            with self._walk((_check_uid(uid), *_CONFIG)):
                return False
        except FileNotFoundError:
            return True

    def show(self, uid: str, name: str, version: str) -> None:
        """Show a version in a pod, read-only.

        Raises
        ------
        CannotMount
            There is no such pod, something else is in the way, or the kernel refused.
        """
        check_segment(name, "name of a mount")
        try:
            with self._walk((_check_uid(uid), *_MOUNTS)) as folder:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=folder)
                with _opened(name, folder) as target:
                    self._bind(self._cache / version / DATA, target)
        except OSError as error:
            raise CannotMount(_why(error, uid, name)) from error

    def _bind(self, source: Path, target: int) -> None:
        """Bind read-only: set before the bind arrives, as a later change does not reach copies."""
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=self._cache))
        try:
            syscalls.mount(source, staging, None, MountFlag.BIND)
            try:
                syscalls.mount(None, staging, None, MountFlag.PRIVATE)
                namespace.make_read_only(staging, MountFlag.NOSUID | MountFlag.NODEV)
                syscalls.mount(staging, f"/proc/self/fd/{target}", None, MountFlag.BIND)
            finally:
                syscalls.unmount(staging)
        finally:
            staging.rmdir()

    def hide(self, shown: Shown) -> None:
        """Take a mount away, and the empty folder that it was in.

        Raises
        ------
        OSError
            It was moved meanwhile, or the kernel refused.
        """
        *above, last = shown.mount.point.relative_to(self._pods).parts
        with self._walk(tuple(above)) as folder:
            with _opened(last, folder) as target:
                if mountinfo.mount_id(target) != shown.mount.id:
                    raise OSError(errno.ESTALE, "another mount lies there now", last)
                syscalls.unmount(f"/proc/self/fd/{target}")
            with contextlib.suppress(OSError):
                os.rmdir(last, dir_fd=folder)

    def clear(self) -> None:
        """Remove what an agent that was killed has left of its own work."""
        for left in self._cache.glob(f"{STAGING}*"):
            with contextlib.suppress(OSError):
                syscalls.unmount(left)
            with contextlib.suppress(OSError):
                left.rmdir()

    @contextlib.contextmanager
    def _walk(self, parts: tuple[str, ...]) -> Iterator[int]:
        """Open a folder below that of the pods."""
        here = os.open(self._pods, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                below = os.open(part, _STEP, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)


@contextlib.contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    found = os.open(name, _STEP, dir_fd=folder)
    try:
        yield found
    finally:
        os.close(found)


def _check_uid(uid: str) -> str:
    if not _UID.fullmatch(uid):
        raise CannotMount(f"{uid[:60]!r} is not the UID of a pod.", code="unknown_pod")
    return uid


def _under(folder: Path, known: list[mountinfo.Mount]) -> mountinfo.Mount:
    """Return the mount that a folder lies in: of several at one place the last."""
    holding = [one for one in known if one.point in (folder, *folder.parents)]
    return max(enumerate(holding), key=lambda found: (len(found[1].point.parts), found[0]))[1]


def _why(error: OSError, uid: str, name: str) -> str:
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return f"The server has something of its own called {name!r} there; rename it."
    if error.errno == errno.ENOENT:
        return f"This node has no pod {uid} with a folder for datasets."
    return f"The node refused the mount: {error.strerror or error}."
