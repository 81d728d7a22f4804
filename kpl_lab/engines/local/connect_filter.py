"""What keeps a workload from calling a service's replica past the front door: a Landlock rule.

Replicas are programs that somebody wrote and that ask nobody for a secret. They listen on ports of
a range of their own, and every workload is started in a Landlock domain that may open connections
to all ports but these. Landlock asks at ``connect()`` alone: :mod:`~kpl_lab.engines.local.
socket_filter` closes the ways around that. The platform's own processes are in no domain.

Numbers are from ``<linux/landlock.h>`` and ``<asm-generic/unistd.h>``; see
``Documentation/userspace-api/landlock.rst`` of the kernel.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from kpl_lab.engines.local import socket_filter, syscalls

# Of the range that IANA assigns to nobody, above what Linux gives to outgoing connections: the
# connections of workloads to other machines are refused on these ports too.
SERVICE_PORTS = range(62_000, 64_000)
_ALL_PORTS = range(65_536)

_NR_CREATE_RULESET = 444
_NR_ADD_RULE = 445
_NR_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1
_RULE_NET_PORT = 2
_ACCESS_NET_CONNECT_TCP = 1 << 1
_NETWORK_ABI = 4
# struct landlock_ruleset_attr of version 4: handled_access_fs, handled_access_net.
_RULESET = struct.Struct("=QQ")
# struct landlock_net_port_attr: allowed_access, port.
_RULE = struct.Struct("=QQ")

_PROC_NET = Path("/proc/sys/net/ipv4")


class ConnectFilter:
    """The rule, for the processes that are to be under it: 0.1 s to make, 0.02 s to enforce.

    Landlock knows allowed ports only, and no ranges: the rule is 63,536 entries, 4 MiB of the
    kernel's memory, and as much again for each process that enforces it itself. Processes that it
    forks share its domain and cost nothing.

    Parameters
    ----------
    refused
        Ports to which no TCP connection can be opened.

    Raises
    ------
    OSError
        The kernel has no network rules (see :func:`obstacle`).
    """

    def __init__(self, refused: range) -> None:
        self._refused = refused
        self._missing = (port for port in _ALL_PORTS if port not in refused)
        attributes = _RULESET.pack(0, _ACCESS_NET_CONNECT_TCP)
        # Not inherited by a program that is executed.
        self._ruleset = syscalls.call(
            "landlock_create_ruleset", _NR_CREATE_RULESET, attributes, _RULESET.size, 0
        )

    def again(self) -> ConnectFilter:
        """Return another one for the same ports."""
        return ConnectFilter(self._refused)

    def grow(self, count: int | None = None) -> bool:
        """Make the next ``count`` entries of the rule, or all that are missing; False: no more."""
        port = None
        for port in islice(self._missing, count):
            self.allow(port)
        return port is not None

    def allow(self, port: int) -> None:
        """Let ``port`` pass, also one of the refused: a replica may call itself."""
        rule = _RULE.pack(_ACCESS_NET_CONNECT_TCP, port)
        syscalls.call("landlock_add_rule", _NR_ADD_RULE, self._ruleset, _RULE_NET_PORT, rule, 0)

    def enforce(self) -> None:
        """Put this process and all its children under it, for good.

        Needs no right but ``PR_SET_NO_NEW_PRIVS`` (see ``namespace.drop_to``).

        Raises
        ------
        OSError
            The kernel refused.
        """
        self.grow()
        syscalls.call("landlock_restrict_self", _NR_RESTRICT_SELF, self._ruleset, 0)
        socket_filter.enforce()

    def close(self) -> None:
        """Let go of the rule; who is under it stays there, who has a copy keeps it."""
        os.close(self._ruleset)


def landlock_abi() -> int:
    """Return which version of Landlock this kernel has; 0: none."""
    with contextlib.suppress(OSError):
        return syscalls.call(
            "landlock_create_ruleset", _NR_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION
        )
    return 0


def obstacle(ports: range, own: Iterable[int], *, proc_net: Path = _PROC_NET) -> str | None:
    """Return, as a sentence, why workloads cannot be kept from ``ports`` here; None: they can.

    Parameters
    ----------
    own
        Ports of the platform, which workloads have to reach.
    """
    if os.geteuid() != 0:
        return "everything runs under one account; start KPL Lab as root."
    if landlock_abi() < _NETWORK_ABI or not socket_filter.is_possible():
        return (
            "the kernel has no network rules of Landlock, or no seccomp; it takes Linux 6.7 or "
            "later, with landlock among the active security modules."
        )
    crossed = sorted(set(own) & set(ports))
    if crossed:
        return (
            f"port {crossed[0]} of the platform lies among those of services; choose another "
            "KPL_PORT or c.LocalOptions.service_port_first."
        )
    if _given_to_connections(proc_net) & set(ports):
        return (
            "the kernel gives ports of services to outgoing connections; run sysctl -w "
            f"net.ipv4.ip_local_reserved_ports={ports[0]}-{ports[-1]}."
        )
    return None


def _given_to_connections(proc_net: Path) -> set[int]:
    """Return the ports that programs get which ask for any."""
    first, last = (proc_net / "ip_local_port_range").read_text().split()
    reserved: set[int] = set()
    for part in (proc_net / "ip_local_reserved_ports").read_text().strip().split(","):
        low, _, high = part.partition("-")
        if low:
            reserved.update(range(int(low), int(high or low) + 1))
    return set(range(int(first), int(last) + 1)) - reserved
