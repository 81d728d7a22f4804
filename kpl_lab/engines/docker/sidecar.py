"""The relay beside a task: a container in the task's network, with a folder and a gate."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict

from kpl_lab.engines.docker.daemon import Daemon, NoImage
from kpl_lab.engines.docker.gate import Gate
from kpl_lab.engines.docker.names import Address, Role
from kpl_lab.engines.docker.plan import (
    GATE_FILE,
    INSIDE,
    PORT_FILE,
    READY_FOLDER,
    RELAY_FOLDER,
    Plan,
    relay_config,
)
from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.trees import Account, remove_tree
from kpl_lab.engines.spec import RelayTarget
from kpl_lab.errors import EngineError


class Sidecar:
    """One relay.

    Parameters
    ----------
    image
        What it runs in.
    """

    def __init__(
        self, daemon: Daemon, plan: Plan, place: Place, *, installation: str, image: str
    ) -> None:
        assert plan.relay is not None  # noqa: S101 (whoever makes one has looked)
        self._daemon = daemon
        self._plan = plan
        self._place = place
        self._target: RelayTarget = plan.relay
        self._installation = installation
        self._image = image
        owner = Account(plan.platform_uid, plan.platform_gid)
        self._gate = Gate(place.relay / GATE_FILE, plan.relay.url, owner)
        self._is_open = False
        self._is_stopping = False
        self._gone = asyncio.Event()
        address = Address(plan.address.workload, plan.address.index, Role.RELAY)
        self.name = address.container(installation)

    def prepare(self) -> None:
        """Make its folder; what it has not yet delivered stays."""
        plan, folder = self._plan, self._place.relay
        ready = folder / READY_FOLDER
        remove_tree(ready)
        for one in (folder / "spool", ready):
            one.mkdir(parents=True, exist_ok=True)
        config = {
            **asdict(self._target),
            "spool": f"{RELAY_FOLDER}/spool",
            "outputs": f"{INSIDE}/outputs",
            "port": plan.relay_port,
            "port_file": f"{RELAY_FOLDER}/{READY_FOLDER}/{PORT_FILE}",
            "gate": f"{RELAY_FOLDER}/{GATE_FILE}",
        }
        path = folder / "config.json"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(config, file)
        folder.chmod(0o700)
        ready.chmod(0o755)
        for one in (folder, folder / "spool", ready, path):
            os.chown(one, plan.platform_uid, plan.platform_gid)

    async def open(self) -> None:
        """Open the gate; again is fine."""
        if not self._is_open:
            self._is_open = True
            await self._gate.open()

    async def start(self, command: str) -> None:
        """Start it beside the running container ``command``; no-op when it runs.

        Raises
        ------
        EngineError
            It cannot be started.
        """
        plan, place = self._plan, self._place
        await self.open()
        config = relay_config(plan, place, self._installation, command, self._image)
        try:
            await self._daemon.start(await self._daemon.create(self.name, config))
        except NoImage as error:
            raise EngineError(
                f"The relay beside a task runs in the image {self._image}, which Docker does not "
                "have; make it (`make images`) or name another in DockerOptions.base_image.",
                code="no_relay_image",
            ) from error

    def has_ended(self) -> None:
        """Note that its container has ended; before it was asked to, Docker starts it again."""
        if self._is_stopping:
            self._gone.set()

    async def stop(self) -> None:
        """Ask it to deliver what is left and end; no-op when it is not there."""
        self._is_stopping = True
        if not await self._is_running():
            self._gone.set()
            return
        await self.open()
        await self._daemon.kill(self.name, "SIGTERM")

    async def _is_running(self) -> bool:
        info = await self._daemon.inspect(self.name)
        return info is not None and bool(info["State"]["Running"])

    async def wait(self, seconds: float) -> bool:
        """Wait for its end, at most so long; True when it has come, and nothing is left of it."""
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            # A daemon that was restarted tells of no ends before.
            if await self._is_running():
                return False
        await self._daemon.remove(self.name)
        return True

    async def close(self) -> None:
        """Close the gate."""
        await self._gate.close()
