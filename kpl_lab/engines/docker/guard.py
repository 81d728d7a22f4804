"""Rules of the machine's packet filter that keep containers from a cloud's metadata service.

Where a machine is rented, an address that only it reaches answers with its credentials; a container
behind Docker's bridges reaches it too. Docker leaves the chain ``DOCKER-USER`` to such rules and
never empties it: https://docs.docker.com/engine/network/packet-filtering-firewalls/
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
from collections.abc import Sequence

from kpl_lab.engines.docker.daemon import Daemon

log = logging.getLogger(__name__)
_PLACES = "/usr/sbin:/sbin:/usr/local/sbin"
_FORWARDED, _WITHOUT_DOCKER, _HERE = "DOCKER-USER", "FORWARD", "INPUT"
_APART = ("host", "none")  # networks without a bridge


class _Refused(Exception):
    """The packet filter has refused."""


class Guard:
    """Refuses connections to some addresses from the bridges that containers are on.

    Names may be asked for there (port 53): some clouds answer both at one address.

    Parameters
    ----------
    addresses
        Addresses or networks, as ``10.0.0.1`` or ``10.0.0.0/8``; empty: nothing is refused.
    """

    def __init__(self, daemon: Daemon, installation: str, addresses: Sequence[str]) -> None:
        self._daemon = daemon
        self._comment = f"kpl-lab-{installation}"
        self._addresses = tuple(addresses)
        self._guarded: set[str] = set()
        self._lock = asyncio.Lock()
        self._program = shutil.which("iptables", path=f"{os.environ.get('PATH', '')}:{_PLACES}")
        self.obstacle = self._obstacle()
        """Why nothing can be refused here; None: it can, as far as is known."""

    def _obstacle(self) -> str | None:
        if not self._addresses:
            return "blocked_addresses is empty"
        if os.geteuid() != 0:
            return "that needs root"
        return None if self._program else "there is no iptables on this machine"

    async def ensure(self, network: str) -> None:
        """Guard the bridge of a network, if that was not done yet.

        What hinders it is told once and by :attr:`obstacle`; containers run all the same.
        """
        if self.obstacle is not None or network in _APART or network in self._guarded:
            return
        async with self._lock:
            bridge = await self._daemon.bridge_of(network)
            try:
                if bridge is not None:
                    await self._add_rules(bridge)
            except _Refused as error:
                self.obstacle = str(error)
                log.warning("containers can reach a metadata service: %s", error)
            else:
                self._guarded.add(network)

    async def lower(self) -> None:
        """Take our rules away."""
        if self._program is None or os.geteuid() != 0:
            return
        async with self._lock:
            self._guarded.clear()
            for chain in (_FORWARDED, _WITHOUT_DOCKER, _HERE):
                try:
                    await self._clear(chain)
                except _Refused as error:
                    log.debug("no rules of %s are removed: %s", chain, error)

    async def _add_rules(self, bridge: str) -> None:
        try:
            await self._call("-S", _FORWARDED)
            forwarded = _FORWARDED
        except _Refused:
            forwarded = _WITHOUT_DOCKER
        for chain in (forwarded, _HERE):
            for address in self._addresses:
                rule = [
                    *("-i", bridge, "-d", address, "-p", "tcp", "!", "--dport", "53"),
                    *("-m", "comment", "--comment", self._comment),
                    *("-j", "REJECT", "--reject-with", "tcp-reset"),
                ]
                try:
                    await self._call("-C", chain, *rule)
                except _Refused:
                    await self._call("-I", chain, *rule)

    async def _clear(self, chain: str) -> None:
        for line in (await self._call("-S", chain)).splitlines():
            words = shlex.split(line)
            if words[:1] == ["-A"] and self._comment in words:
                await self._call("-D", *words[1:])

    async def _call(self, *words: str) -> str:
        """Run iptables, waiting for others that hold its lock."""
        process = await asyncio.create_subprocess_exec(
            str(self._program), "-w", "5", *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, errors = await process.communicate()
        if process.returncode:
            raise _Refused(errors.decode(errors="replace").strip().partition("\n")[0])
        return said.decode(errors="replace")
