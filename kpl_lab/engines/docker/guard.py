"""Rules of the machine's packet filter that keep containers from a cloud's metadata service.

Where a machine is rented, an address that only it reaches answers with its credentials; a container
behind Docker's bridges reaches it too. Docker leaves the chain ``DOCKER-USER`` to such rules and
never empties it: https://docs.docker.com/engine/network/packet-filtering-firewalls/
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import shlex
import shutil
from collections.abc import Sequence

from kpl_lab.engines.docker.daemon import Daemon

log = logging.getLogger(__name__)
_PLACES = "/usr/sbin:/sbin:/usr/local/sbin"
_FORWARDED, _WITHOUT_DOCKER, _HERE = "DOCKER-USER", "FORWARD", "INPUT"
_CLOSED = "none"  # the network that leads nowhere
_NO_CHAIN = "No chain/target/match by that name"


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
        self._addresses = [str(ipaddress.ip_network(one, strict=False)) for one in addresses]
        self._program = shutil.which("iptables", path=f"{os.environ.get('PATH', '')}:{_PLACES}")
        self._lacking = self._what_is_lacking()
        self._failures: dict[str, str] = {}  # by network, of the last try

    def _what_is_lacking(self) -> str | None:
        if not self._addresses:
            return "blocked_addresses is empty"
        if os.geteuid() != 0:
            return "that needs root"
        return None if self._program else "there is no iptables on this machine"

    @property
    def obstacle(self) -> str | None:
        """Why something can be reached; None: nothing is known of that kind."""
        return self._lacking or next(iter(self._failures.values()), None)

    async def ensure(self, network: str) -> None:
        """Guard the bridge of a network; rules that are there already are left.

        What hinders it is noted for :attr:`obstacle`; containers run all the same.
        """
        if self._lacking is not None or network == _CLOSED:
            return
        try:
            await self._add_rules(await self._bridge_of(network))
        except _Refused as error:
            if self._failures.get(network) != str(error):
                log.warning("containers can reach a metadata service: %s", error)
            self._failures[network] = str(error)
        else:
            self._failures.pop(network, None)

    async def forget(self, network: str) -> None:
        """Take away the rules of a network that is about to be removed."""
        self._failures.pop(network, None)
        if self._lacking is not None or await self._daemon.network(network) is None:
            return
        try:
            bridge = await self._bridge_of(network)
            for chain in (_FORWARDED, _WITHOUT_DOCKER, _HERE):
                for rule in await self._rules(chain) or ():
                    if rule[rule.index("-i") + 1] == bridge:
                        await self._call("-D", *rule)
        except _Refused as error:
            log.warning("a rule of the packet filter stays: %s", error)

    async def _bridge_of(self, network: str) -> str:
        found = await self._daemon.network(network)
        if found is None or found["Driver"] != "bridge":
            raise _Refused(f"the network {network} has no bridge of Docker's")
        given = (found["Options"] or {}).get("com.docker.network.bridge.name")
        return str(given or f"br-{found['Id'][:12]}")

    async def lower(self) -> None:
        """Take our rules away."""
        if self._program is None or os.geteuid() != 0:
            return
        for chain in (_FORWARDED, _WITHOUT_DOCKER, _HERE):
            for rule in await self._rules(chain) or ():
                try:
                    await self._call("-D", *rule)
                except _Refused as error:
                    log.warning("a rule of the packet filter stays: %s", error)

    async def _add_rules(self, bridge: str) -> None:
        forwarded = _FORWARDED
        if await self._rules(forwarded) is None:
            forwarded = _WITHOUT_DOCKER
        for chain in (forwarded, _HERE):
            there = {
                (rule[rule.index("-i") + 1], rule[rule.index("-d") + 1])
                for rule in await self._rules(chain) or ()
            }
            for address in self._addresses:
                if (bridge, address) not in there:
                    await self._call(
                        *(
                            "-I",
                            chain,
                            "-i",
                            bridge,
                            "-d",
                            address,
                            "-p",
                            "tcp",
                            "!",
                            "--dport",
                            "53",
                        ),
                        *("-m", "comment", "--comment", self._comment),
                        *("-j", "REJECT", "--reject-with", "tcp-reset"),
                    )

    async def _rules(self, chain: str) -> list[list[str]] | None:
        """Return our rules of a chain, without ``-A``; None: there is no such chain."""
        try:
            said = await self._call("-S", chain)
        except _Refused as error:
            if _NO_CHAIN in str(error):
                return None
            raise
        split = [shlex.split(line) for line in said.splitlines()]
        return [words[1:] for words in split if words[0] == "-A" and self._comment in words]

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
