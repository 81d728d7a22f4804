"""A command's output: from its pipe to the log file, whole, in order, with bounded memory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

_PIPE_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024
F_SETPIPE_SZ = 1031


class LogPump:
    """Moves what the command prints into ``log``.

    Parameters
    ----------
    path
        The log file; appended to.
    max_bytes
        Where it ends; the rest is dropped and the last line says so.
    gid
        Group that may read the file.
    """

    def __init__(self, path: Path, *, max_bytes: int, gid: int) -> None:
        self.is_full_disk = False
        self._max_bytes = max_bytes
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._log = os.open(path, flags, 0o640)
        if os.geteuid() == 0:
            os.fchown(self._log, 0, gid)
        self._size = os.fstat(self._log).st_size
        self._is_capped = self._size >= max_bytes
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        # Over the account's share of pipe memory, the default size works too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.writer, F_SETPIPE_SZ, _PIPE_BYTES)

    def pump(self) -> bool:
        """Move what is there now; False when there was nothing."""
        try:
            data = os.read(self.reader, _READ_BYTES)
        except BlockingIOError:
            return False
        self._append(data)
        return bool(data)

    def drain(self) -> None:
        """Move all that is left after the processes have ended."""
        while self.pump():
            pass

    def note(self, text: str) -> None:
        """Add a line of our own."""
        self._append(f"[kpl] {text}\n".encode())

    def close(self) -> None:
        """Let go of the pipe and the file."""
        for fd in (self.reader, self.writer, self._log):
            os.close(fd)

    def _append(self, data: bytes) -> None:
        if self._is_capped:
            return
        room = self._max_bytes - self._size
        if len(data) > room:
            self._is_capped = True
            whole = data[:room].rpartition(b"\n")
            data = whole[0] + whole[1] + self._last_line()
        self._write(data)

    def _last_line(self) -> bytes:
        return (
            f"[kpl] The log ends here: it has reached its limit of {self._max_bytes} bytes; the "
            "program goes on and its further output is dropped.\n"
        ).encode()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._log, view)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self.is_full_disk = True
                return
            self._size += written
            view = view[written:]
