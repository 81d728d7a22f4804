"""Ways to a TCP connection on which Landlock is not asked, closed by a seccomp filter.

=========================================  =============================================
MPTCP and SMC sockets                      not of TCP by their number; fall back to it
``MSG_FASTOPEN``                           connects while it sends, without ``connect()``
io_uring                                   its operations pass no filter of system calls
calls of another architecture (i386, x32)  have other numbers than those looked at here
=========================================  =============================================

Refused with what a kernel without them answers, so that programs go on without. Numbers are from
``<linux/seccomp.h>``, ``<linux/audit.h>``, ``<linux/filter.h>``, ``<linux/in.h>``,
``<linux/socket.h>``, ``<asm/unistd_64.h>`` (x86_64) and ``<asm-generic/unistd.h>`` (aarch64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass

from kpl_lab.engines.local import syscalls

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SECCOMP_GET_ACTION_AVAIL = 2
_RET_ERRNO = 0x00050000
_RET_ALLOW = 0x7FFF0000

AF_SMC = 43
IPPROTO_SMC = 256
IPPROTO_MPTCP = 262
MSG_FASTOPEN = 0x20000000

# Opcodes of classic BPF: load a word of struct seccomp_data, jump, return.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_OFFSET_OF_NUMBER, _OFFSET_OF_ARCHITECTURE, _OFFSET_OF_ARGUMENTS = 0, 4, 16
_INSTRUCTION = struct.Struct("=HBBI")
_X32_FIRST = 0x40000000
_SKIPPED_BY_TRACER = 0xFFFFFFFF


@dataclass(frozen=True)
class _Numbers:
    """System calls of one architecture."""

    audit: int
    seccomp: int
    socket: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    io_uring_setup: int = 425


_MACHINES = {
    "x86_64": _Numbers(0xC000003E, 317, socket=41, sendto=44, sendmsg=46, sendmmsg=307),
    "aarch64": _Numbers(0xC00000B7, 277, socket=198, sendto=206, sendmsg=211, sendmmsg=269),
}


def _numbers() -> _Numbers | None:
    is_64_bit = sys.maxsize > 1 << 32
    return _MACHINES.get(os.uname().machine) if is_64_bit else None


def is_possible() -> bool:
    """Say whether this kernel has filters of system calls and we know its numbers."""
    numbers = _numbers()
    if numbers is None:
        return False
    action = ctypes.c_uint32(_RET_ERRNO)
    try:
        syscalls.call(
            "seccomp", numbers.seccomp, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)
        )
    except OSError:
        return False
    return True


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def enforce() -> None:
    """Put this process and all its children under the filter, for good.

    Needs no right but ``PR_SET_NO_NEW_PRIVS``.

    Raises
    ------
    OSError
        The kernel refused, or the machine is of an unknown kind.
    """
    numbers = _numbers()
    if numbers is None:
        raise OSError(errno.ENOSYS, f"no filter for {os.uname().machine}")
    code = b"".join(_INSTRUCTION.pack(*step) for step in _program(numbers))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // _INSTRUCTION.size, ctypes.addressof(buffer))
    syscalls.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


_Step = tuple[int, int, int, int]


def _program(numbers: _Numbers) -> list[_Step]:
    """Return the filter: operation, steps to skip when true, when false, operand."""
    steps = [
        (_LOAD, 0, 0, _OFFSET_OF_ARCHITECTURE),
        (_IF_EQUAL, 1, 0, numbers.audit),
        _refuse(errno.ENOSYS),
        (_LOAD, 0, 0, _OFFSET_OF_NUMBER),
        (_IF_EQUAL, 2, 0, _SKIPPED_BY_TRACER),
        (_IF_AT_LEAST, 0, 1, _X32_FIRST),
        _refuse(errno.ENOSYS),
        (_IF_EQUAL, 0, 1, numbers.io_uring_setup),
        _refuse(errno.ENOSYS),
    ]
    family, protocol = _argument(0), _argument(2)
    steps += _for_call(
        numbers.socket,
        [
            family,
            (_IF_EQUAL, 0, 1, AF_SMC),
            _refuse(errno.EAFNOSUPPORT),
            protocol,
            (_IF_EQUAL, 1, 0, IPPROTO_MPTCP),
            (_IF_EQUAL, 0, 1, IPPROTO_SMC),
            _refuse(errno.EPROTONOSUPPORT),
        ],
    )
    for number, flags in ((numbers.sendto, 3), (numbers.sendmsg, 2), (numbers.sendmmsg, 3)):
        fast_open = [
            _argument(flags),
            (_IF_ANY_BIT, 0, 1, MSG_FASTOPEN),
            _refuse(errno.EOPNOTSUPP),
        ]
        steps += _for_call(number, fast_open)
    return [*steps, (_RETURN, 0, 0, _RET_ALLOW)]


def _refuse(number: int) -> _Step:
    return (_RETURN, 0, 0, _RET_ERRNO | number)


def _argument(index: int) -> _Step:
    """Load the lower half of an argument: these are all of C's ``int``, on little-endian."""
    return (_LOAD, 0, 0, _OFFSET_OF_ARGUMENTS + 8 * index)


def _for_call(number: int, steps: list[_Step]) -> list[_Step]:
    """Take ``steps`` for one system call alone; what they do not refuse is allowed."""
    whole = [*steps, (_RETURN, 0, 0, _RET_ALLOW)]
    return [(_IF_EQUAL, 0, len(whole), number), *whole]
