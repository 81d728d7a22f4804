"""What is mounted, as a process sees it: ``/proc/self/mountinfo``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


@dataclass(frozen=True)
class Mount:
    """A mount.

    Attributes
    ----------
    id
        Of the mount, as in ``/proc/self/fdinfo``.
    device
        Of its file system.
    root
        What of the file system it shows.
    """

    id: int
    device: str
    root: Path
    point: Path
    is_read_only: bool


def mounts() -> list[Mount]:
    """Return every mount that this process sees, innermost last."""
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        number, _, device, root, point, options, *_ = line.split(b" ")
        is_read_only = b"ro" in options.split(b",")
        found.append(
            Mount(int(number), device.decode(), _path(root), _path(point), is_read_only),
        )
    return found


def _path(text: bytes) -> Path:
    # Spaces and other characters are written as three octal digits, the rest as it is: other
    # people's mount points need not be text.
    return Path(os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), text)))


def mount_id(fd: int) -> int:
    """Return the id of the mount that a descriptor leads to."""
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return int(value)
    raise OSError(f"the kernel does not say which mount descriptor {fd} leads to")
