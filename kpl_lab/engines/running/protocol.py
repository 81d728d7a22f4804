"""How the unprivileged side talks to the runner: JSON lines over a Unix socket.

One connection per call. A request is ``{"call": name, "args": {...}}``; the answer is any number
of ``{"item": ...}`` (calls that stream), then ``{"done": ...}`` or ``{"error": {code, message,
detail}}``. Values are checked and rebuilt by pydantic from the frozen dataclasses of
:mod:`kpl_lab.engines.spec`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

from pydantic import TypeAdapter

from kpl_lab.errors import BY_STATUS, EngineError, KplError

T = TypeVar("T")
# What JSON can hold: pydantic checks it where it is turned into a type of ours.
Json: TypeAlias = Any

MAX_LINE_BYTES = 64 * 1024 * 1024
TELEMETRY = "telemetry"
"""The call that answers with what a runner counts about itself, whatever its engine."""
# sun_path of unix(7) holds 108 bytes.
_MAX_SOCKET_PATH = 100


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def encode(value: object) -> Json:
    """Return a frozen dataclass of the engine's vocabulary as plain JSON values."""
    return _adapter(type(value)).dump_python(value, mode="json")


def decode(kind: type[T], value: Json) -> T:
    """Rebuild what :func:`encode` made; pydantic's ``ValidationError`` when it is not one."""
    return cast(T, _adapter(kind).validate_python(value))


def to_line(message: dict[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def error_message(error: KplError) -> dict[str, Any]:
    """Return the line that carries an error over."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "detail": error.detail,
            "status": error.http_status,
        }
    }


def raise_error(found: dict[str, Any]) -> None:
    """Raise the error that came over."""
    kind = BY_STATUS.get(int(found.get("status", 502)), EngineError)
    raise kind(found["message"], code=found["code"], detail=found["detail"])


@dataclass(frozen=True)
class SocketPath:
    """A socket's address, also where the path is too long for the kernel.

    Then the folder is opened and the socket named below ``/proc/self/fd``; the address is valid
    until :meth:`close`.
    """

    address: str
    folder_fd: int | None = None

    @classmethod
    def of(cls, path: Path) -> SocketPath:
        """Return the address of ``path``."""
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return cls(str(path))
        fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return cls(f"/proc/self/fd/{fd}/{path.name}", fd)

    def close(self) -> None:
        """Let go of the folder."""
        if self.folder_fd is not None:
            os.close(self.folder_fd)


def peer_uid(connection: socket.socket) -> int:
    """Return the account of the process at the other end, as the kernel knows it."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[1])
