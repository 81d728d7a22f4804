"""A program that tries every way it knows to call port ``$TARGET`` of the loopback.

Prints one JSON object: how each way went, ``reached`` or the name of the error.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import struct
import sys
from collections.abc import Callable

HOST = "127.0.0.1"
AF_SMC = 43
IPPROTO_SMC = 256
IPPROTO_MPTCP = 262
MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN_CONNECT = 30
NR_IO_URING_SETUP = 425
X32 = 0x40000000
NR_SENDMMSG = {"x86_64": 307, "aarch64": 269}
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
LIBC = ctypes.CDLL(None, use_errno=True)

# push rbx; mov ebx, AF_INET; mov ecx, SOCK_STREAM; mov edx, IPPROTO_MPTCP; mov eax, 359 (socket of
# i386); int 0x80; pop rbx; ret
I386_SOCKET = bytes.fromhex("53bb02000000b901000000ba06010000b867010000cd805bc3")


def answer(found: socket.socket) -> str:
    """Return whether somebody answers."""
    return "reached" if found.recv(16).startswith(b"HTTP") else "silent"


def ask(found: socket.socket, host: str, port: int) -> str:
    """Connect and ask."""
    with found:
        found.settimeout(10)
        found.connect((host, port))
        found.sendall(REQUEST)
        return answer(found)


def plain(port: int) -> str:
    """Connect as everybody does."""
    return ask(socket.socket(), HOST, port)


def mapped(port: int) -> str:
    """Connect by the address's form in IPv6."""
    return ask(socket.socket(socket.AF_INET6), f"::ffff:{HOST}", port)


def mptcp(port: int) -> str:
    """Connect by MPTCP, which falls back to TCP."""
    return ask(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP), HOST, port)


def smc(port: int) -> str:
    """Connect by SMC, which falls back to TCP."""
    return ask(socket.socket(AF_SMC, socket.SOCK_STREAM), HOST, port)


def smc_by_protocol(port: int) -> str:
    """Connect by SMC as newer kernels name it."""
    return ask(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SMC), HOST, port)


def sendto(port: int) -> str:
    """Connect by the first packet."""
    with socket.socket() as found:
        found.sendto(REQUEST, MSG_FASTOPEN, (HOST, port))
        found.settimeout(10)
        return answer(found)


def sendmsg(port: int) -> str:
    """Connect by the first message."""
    with socket.socket() as found:
        found.sendmsg([REQUEST], [], MSG_FASTOPEN, (HOST, port))
        found.settimeout(10)
        return answer(found)


def sendmmsg(port: int) -> str:
    """Connect by the first of many messages."""
    address = ctypes.create_string_buffer(
        struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(HOST), 16
    )
    data = ctypes.create_string_buffer(REQUEST)
    part = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(data), len(REQUEST)))
    # struct mmsghdr: name, its length, parts, their number, control data, its length, flags, length
    header = ctypes.create_string_buffer(
        struct.pack(
            "@PIPNPNiI", ctypes.addressof(address), 16, ctypes.addressof(part), 1, 0, 0, 0, 0
        )
    )
    with socket.socket() as found:
        number = NR_SENDMMSG[os.uname().machine]
        check(LIBC.syscall(number, found.fileno(), header, 1, MSG_FASTOPEN))
        found.settimeout(10)
        return answer(found)


def option(port: int) -> str:
    """Connect by an option that puts the connecting off until there is something to send."""
    found = socket.socket()
    found.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    return ask(found, HOST, port)


def io_uring(port: int) -> str:
    """Make a ring, whose operations no filter of system calls sees."""
    del port
    parameters = ctypes.create_string_buffer(120)
    os.close(check(LIBC.syscall(NR_IO_URING_SETUP, 4, parameters)))
    return "reached"


def x32(port: int) -> str:
    """Make an MPTCP socket by the number that another architecture gives the call."""
    number = check(LIBC.syscall(X32 | 41, socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
    return ask(socket.socket(fileno=number), HOST, port)


def i386(port: int) -> str:
    """Make an MPTCP socket as a program of 32 bits does."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as at:
        at.write(I386_SOCKET)
        entry = ctypes.c_char.from_buffer(at)
        number = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(entry))()
        del entry
    if number < 0:
        raise OSError(-number, "socket")
    return ask(socket.socket(fileno=number), HOST, port)


def check(result: int) -> int:
    """Return what a call of the C library has answered, or raise its error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return int(result)


WAYS: tuple[Callable[[int], str], ...] = (
    plain, mapped, mptcp, smc, smc_by_protocol, sendto, sendmsg, sendmmsg, option, io_uring,
)  # fmt: skip
WAYS_OF_X86 = (x32, i386)


def attempt(way: Callable[[int], str], port: int) -> str:
    """Return how one way went; in a process of its own, which the kernel may kill for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = way(port)
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, repr(error))
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said if code == 0 else f"ended with {code}"


def main() -> None:
    """Try them all."""
    ways = WAYS + (WAYS_OF_X86 if os.uname().machine == "x86_64" else ())
    port = int(os.environ["TARGET"])
    found = {way.__name__: attempt(way, port) for way in ways}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
