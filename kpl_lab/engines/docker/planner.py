"""From a workload to the plan of a replica: account, folders, limits, network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.names import Address
from kpl_lab.engines.docker.network import name_for
from kpl_lab.engines.docker.options import DockerOptions
from kpl_lab.engines.docker.plan import INSIDE, Plan
from kpl_lab.engines.local.accounts import PLATFORM, Accounts
from kpl_lab.engines.running.checks import check_paths, check_source
from kpl_lab.engines.running.rules import (
    doors_of,
    identity_of,
    pick_gpus,
    port_of,
    timing_of,
    user_of,
)
from kpl_lab.engines.spec import Kind, Limits, Workload
from kpl_lab.errors import EngineError
from kpl_lab.settings import Settings


@dataclass(frozen=True)
class Machine:
    """What the runner has found: cores of the daemon, GPUs, and whether it may make mounts."""

    cores: float
    gpu_count: int
    can_mount: bool


class Planner:
    """Makes plans.

    Parameters
    ----------
    accounts
        Gives each identity its uid.
    """

    def __init__(
        self, settings: Settings, options: DockerOptions, accounts: Accounts, machine: Machine
    ) -> None:
        self._settings = settings
        self.options = options
        self.accounts = accounts
        self.machine = machine
        self.installation = settings.instance
        self.platform = accounts.get(PLATFORM)
        self.network = options.network or names.network(settings.instance)

    def check(self, workload: Workload) -> None:
        """Refuse what could reach outside its folders, or has no image.

        Raises
        ------
        EngineError
            With what is wrong.
        """
        check_paths(workload, self._settings.home.storage)
        if not workload.image or any(letter.isspace() for letter in workload.image):
            raise EngineError(
                f"{workload.image!r} is no reference of an image; choose one of the catalog.",
                code="no_image",
            )

    def plan(self, workload: Workload, index: int, gpus: list[int]) -> Plan:
        """Return what replica ``index`` is to be."""
        options = self.options
        identity = identity_of(workload, index)
        account = self.accounts.get(identity)
        doors = doors_of(workload.kind, self._settings.ports)
        return Plan(
            address=Address(workload.name, index),
            labels=workload.labels,
            kind=workload.kind.value,
            image=workload.image,
            argv=workload.command,
            environment=workload.environment,
            secrets=workload.secrets,
            inputs=[(one.key, str(Path(one.source).resolve())) for one in workload.inputs],
            outputs=workload.outputs,
            code=workload.code and str(Path(workload.code).resolve()),
            home=workload.home and str(self._settings.home.docker / "homes" / workload.home),
            inner_home=f"/home/{workload.home}" if workload.home else f"{INSIDE}/home",
            skeleton=workload.skeleton,
            user=user_of(identity),
            uid=account.uid,
            gid=account.gid,
            platform_uid=self.platform.uid,
            platform_gid=self.platform.gid,
            mounts=self._mounts(workload),
            limits=self._limits(workload),
            gpus=gpus,
            processes=options.processes_max,
            log_bytes=options.log_max_bytes,
            network=name_for(self.installation, workload, self.options.network),
            port=port_of(workload, doors),
            timing=timing_of(workload, options, watchdog=options.measure_seconds),
            health=workload.health,
            relay=workload.relay,
            relay_port=options.relay_port,
            doors=doors,
            templates=workload.templates,
            hosts=[
                Address(workload.name, one).container(self.installation)
                for one in range(workload.replicas)
            ],
        )

    def check_source(self, source: Path) -> Path:
        """Return a folder of the store, resolved; refuse what lies elsewhere or is not there."""
        return check_source(source, self._settings.home.storage)

    def pick_gpus(self, count: int, in_use: set[int]) -> list[int]:
        """Return the indices of GPUs that nobody has."""
        return pick_gpus(count, self.machine.gpu_count, in_use)

    def _mounts(self, workload: Workload) -> str | None:
        if workload.kind is not Kind.SERVER or not self.machine.can_mount:
            return None
        return str(self._settings.home.docker / "workloads" / workload.name / "mounts")

    def _limits(self, workload: Workload) -> Limits:
        # The daemon refuses more cores than it has; the platform admits by shares.
        cpu = min(workload.limits.cpu, self.machine.cores)
        return dataclasses.replace(workload.limits, cpu=cpu)
