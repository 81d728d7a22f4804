"""What runs beside a command: containers in its network, with a folder and gates.

The *relay* of a task keeps and forwards what its clients send. The *doors* of a service or server
are the platform's own ports on its loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kpl_lab.engines.docker import plan as plans
from kpl_lab.engines.docker.daemon import Daemon, NoImage
from kpl_lab.engines.docker.gate import Gate
from kpl_lab.engines.docker.names import Address, Role
from kpl_lab.engines.docker.plan import BESIDE, INSIDE, PORT_FILE, READY_FOLDER, Plan
from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.trees import Account
from kpl_lab.errors import EngineError
from kpl_lab.trees import remove_tree

_READY_FILE = f"{BESIDE}/{READY_FOLDER}/{PORT_FILE}"


class Sidecar:
    """One container beside a command.

    Parameters
    ----------
    config
        What its program is told.
    gates
        Address of the machine's loopback by the name of the socket that leads there.
    image
        What it runs in.
    """

    def __init__(
        self,
        what: plans.Sidecar,
        plan: Plan,
        *,
        config: Mapping[str, Any],
        gates: Mapping[str, str],
        image: str,
        installation: str,
    ) -> None:
        self._what, self._plan = what, plan
        self._config = config
        self._installation, self._image = installation, image
        owner = Account(plan.platform_uid, plan.platform_gid)
        self._gates = [Gate(what.folder / name, url, owner) for name, url in gates.items()]
        self._is_open = False
        self._is_stopping = False
        self._gone = asyncio.Event()
        address = Address(plan.address.workload, plan.address.index, what.role)
        self.role = what.role
        self.name = address.container(installation)

    def prepare(self) -> None:
        """Make its folder; what a relay has not yet delivered stays."""
        plan, folder = self._plan, self._what.folder
        ready = folder / READY_FOLDER
        remove_tree(ready)
        for one in (folder / "spool", ready):
            one.mkdir(parents=True, exist_ok=True)
        path = folder / "config.json"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(self._config, file)
        folder.chmod(0o700)
        ready.chmod(0o755)
        for one in (folder, folder / "spool", ready, path):
            os.chown(one, plan.platform_uid, plan.platform_gid)

    async def reset(self, daemon: Daemon) -> None:
        """Remove what was beside an earlier run, whose network has gone with it."""
        await daemon.remove(self.name)
        (self._what.folder / READY_FOLDER / PORT_FILE).unlink(missing_ok=True)

    async def open(self) -> None:
        """Open the gates; again is fine."""
        if not self._is_open:
            self._is_open = True
            for gate in self._gates:
                await gate.open()

    async def start(self, daemon: Daemon, command: str) -> None:
        """Start it beside the running container ``command``; no-op when it runs.

        Raises
        ------
        EngineError
            It cannot be started.
        """
        await self.open()
        config = plans.sidecar_config(
            self._plan, self._what, self._installation, command, self._image
        )
        try:
            await daemon.start(await daemon.create(self.name, config))
        except NoImage as error:
            raise EngineError(
                f"What runs beside a {self._plan.kind} runs in the image {self._image}, which "
                "Docker does not have; make it (`make images`) or name another one in "
                "DockerOptions.base_image.",
                code="no_base_image",
            ) from error

    def has_ended(self) -> None:
        """Note that its container has ended; before it was asked to, Docker starts it again."""
        if self._is_stopping:
            self._gone.set()

    async def stop(self, daemon: Daemon) -> None:
        """Ask it to deliver what is left and end; no-op when it is not there."""
        self._is_stopping = True
        if not await self._is_running(daemon):
            self._gone.set()
            return
        await self.open()
        await daemon.kill(self.name, "SIGTERM")

    async def _is_running(self, daemon: Daemon) -> bool:
        info = await daemon.inspect(self.name)
        return info is not None and bool(info["State"]["Running"])

    async def wait(self, daemon: Daemon, seconds: float) -> bool:
        """Wait for its end, at most so long; True when it has come, and nothing is left of it."""
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            # A daemon that was restarted tells of no ends before.
            if await self._is_running(daemon):
                return False
        await daemon.remove(self.name)
        return True

    async def close(self) -> None:
        """Close the gates."""
        for gate in self._gates:
            await gate.close()


def sidecars(plan: Plan, place: Place, *, image: str, installation: str) -> list[Sidecar]:
    """Return what runs beside the command of a plan."""
    found = []
    if plan.relay is not None:
        config = {
            **asdict(plan.relay),
            "spool": f"{BESIDE}/spool",
            "outputs": f"{INSIDE}/outputs",
            "port": plan.relay_port,
            "port_file": _READY_FILE,
            "gate": f"{BESIDE}/gate.sock",
        }
        relay = plans.Sidecar(
            role=Role.RELAY,
            module="kpl_lab.engines.local.relay",
            folder=plans.folder_of(place, Role.RELAY),
            shown={f"{INSIDE}/outputs": place.outputs},
        )
        found.append((relay, config, {"gate.sock": plan.relay.url}))
    if plan.doors:
        config = {
            "doors": [{"port": port, "gate": f"{BESIDE}/{port}.sock"} for port in plan.doors],
            "port_file": _READY_FILE,
        }
        doors = plans.Sidecar(
            role=Role.DOORS,
            module="kpl_lab.engines.docker.doors",
            folder=plans.folder_of(place, Role.DOORS),
            shown={},
        )
        gates = {f"{port}.sock": f"http://127.0.0.1:{port}" for port in plan.doors}
        found.append((doors, config, gates))
    return [
        Sidecar(what, plan, config=config, gates=gates, image=image, installation=installation)
        for what, config, gates in found
    ]
