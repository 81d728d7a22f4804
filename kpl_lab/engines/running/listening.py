"""On which ports the programs of a network listen, as the kernel's own tables say."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"  # of proc_net_tcp(5)
# Docker's own name server, inside every network that was made by name.
_NAME_SERVER = ipaddress.ip_address("127.0.0.11")

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Listening:
    """What listens in the network of a process.

    ``ours`` are ports of its loopback that we have put there.
    """

    pid: int
    ours: frozenset[int] = frozenset()

    def all(self) -> set[int]:
        """Return the ports, on whatever address."""
        return {port for _, port in self._sockets()}

    def on_loopback(self) -> set[int]:
        """Return the ports that are on the loopback and nowhere else."""
        sockets = self._sockets()
        return {port for ip, port in sockets if ip.is_loopback} - {
            port for ip, port in sockets if not ip.is_loopback
        }

    def _sockets(self) -> list[tuple[Ip, int]]:
        found = []
        for table in ("tcp", "tcp6"):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{self.pid}/net/{table}").read_text().splitlines()[1:]:
                    words = line.split()
                    if words[3] == _LISTEN:
                        ip, _, port = words[1].partition(":")
                        found.append((_ip(ip), int(port, 16)))
        return [
            (ip, port)
            for ip, port in found
            if ip != _NAME_SERVER and not (ip.is_loopback and port in self.ours)
        ]


def _ip(text: str) -> Ip:
    """Return an address that the kernel wrote in words of its own byte order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return ipaddress.ip_address(socket.inet_ntop(family, packed))
