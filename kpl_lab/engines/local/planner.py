"""From a workload to the plan of a replica: accounts, folders, GPUs, limits, what it sees."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from kpl_lab.engines.local import environments, namespace
from kpl_lab.engines.local.accounts import PLATFORM, Account, Accounts
from kpl_lab.engines.local.cgroups import Hierarchy
from kpl_lab.engines.local.options import LocalOptions
from kpl_lab.engines.local.plan import Ceilings, Plan, RelayPlan
from kpl_lab.engines.running.checks import check_paths, check_source
from kpl_lab.engines.running.rules import (
    USER_PREFIX,
    identity_of,
    pick_gpus,
    timing_of,
    user_of,
)
from kpl_lab.engines.spec import Kind, Workload
from kpl_lab.errors import EngineError
from kpl_lab.settings import Settings


@dataclass(frozen=True)
class Machine:
    """What the runner has found possible here.

    Attributes
    ----------
    filter_obstacle
        Why workloads cannot be kept from calling replicas of services; None: they are.
    """

    hierarchy: Hierarchy
    is_namespaced: bool
    gpu_count: int
    filter_obstacle: str | None


class Planner:
    """Makes plans.

    Parameters
    ----------
    accounts
        Gives each identity its uid.
    """

    def __init__(
        self, settings: Settings, options: LocalOptions, accounts: Accounts, machine: Machine
    ) -> None:
        self._settings = settings
        self._options = options
        self.accounts = accounts
        self.machine = machine
        self.is_warm = options.warm_start
        self.service_ports = options.service_ports
        self.refused_ports = None if machine.filter_obstacle else options.service_ports
        self.platform = accounts.get(PLATFORM)

    def mark_of(self, name: str, index: int) -> str:
        """Return the word that marks the processes of a replica."""
        return f"{self._settings.instance}/{name}/{index}"

    def check(self, workload: Workload) -> None:
        """Refuse what could reach outside its folders.

        Raises
        ------
        EngineError
            A name that is no plain name, or a source outside the store.
        """
        check_paths(workload, self._settings.home.storage)
        if not (Path(workload.image) / "bin").is_dir():
            raise EngineError(
                f"The environment {workload.image!r} is not there any more; choose another image "
                "or build it again.",
                code="no_image",
            )

    def check_source(self, source: Path) -> Path:
        """Return a folder of the store, resolved; refuse what lies elsewhere or is not there."""
        return check_source(source, self._settings.home.storage)

    def plan(
        self,
        workload: Workload,
        index: int,
        gpus: list[int],
        build: Path | None,
        meeting: int | None = None,
    ) -> Plan:
        """Return what the supervisor of replica ``index`` is told."""
        home, machine = self._settings.home, self.machine
        identity = identity_of(workload, index)
        account = self.accounts.get(identity)
        return Plan(
            mark=self.mark_of(workload.name, index),
            name=workload.name,
            index=index,
            kind=workload.kind.value,
            argv=list(workload.command),
            environment=dict(workload.environment),
            templates=None if workload.templates is None else list(workload.templates),
            secrets=dict(workload.secrets),
            prefix=workload.image,
            inputs=[(one.key, self._source(one.source)) for one in workload.inputs],
            outputs=list(workload.outputs),
            code=None if workload.code is None else self._source(workload.code),
            home=None if workload.home is None else str(home.local / "homes" / workload.home),
            skeleton=workload.skeleton,
            user=user_of(identity),
            uid=account.uid,
            gid=account.gid,
            owns_uid=self._owns_uid(identity, account),
            platform_uid=self.platform.uid,
            platform_gid=self.platform.gid,
            kpl_home=str(home.root.resolve()),
            package_root=str(Path(__file__).resolve().parents[3]),
            is_namespaced=machine.is_namespaced,
            shown=[str(path) for path in self._shown(Path(workload.image))],
            relay_shown=[str(path) for path in namespace.platform_paths()],
            mounts=self._mounts(workload),
            cgroups=dict(machine.hierarchy.parents),
            cgroup_mode=machine.hierarchy.mode,
            ceilings=self._ceilings(workload, gpus),
            timing=timing_of(workload, self._options, watchdog=self._options.watchdog_seconds),
            health=workload.health,
            relay=None if workload.relay is None else RelayPlan(**asdict(workload.relay)),
            build=None if build is None else str(build),
            service_ports=(self._options.service_port_first, self._options.service_port_last),
            hosts=["127.0.0.1"] * workload.replicas,
            meeting=meeting,
        )

    def _source(self, source: str) -> str:
        return str(self.check_source(Path(source)))

    def _owns_uid(self, identity: str, account: Account) -> bool:
        """Say whether nothing else runs under a replica's account."""
        is_persons = identity.startswith(USER_PREFIX)
        return not is_persons and account != self.platform and account.uid != 0

    def _mounts(self, workload: Workload) -> str | None:
        if workload.kind is not Kind.SERVER or not self.machine.is_namespaced:
            return None
        return str(self._settings.home.local / "workloads" / workload.name / "mounts")

    def _shown(self, image: Path) -> list[Path]:
        """Return the folders that a Python environment needs, with the platform's own packages."""
        found = set(namespace.platform_paths())
        for prefix in environments.chain_of(image):
            found.update(namespace.prefix_paths(prefix))
        return sorted(found)

    def _ceilings(self, workload: Workload, gpus: list[int]) -> Ceilings:
        return Ceilings(
            cpu=workload.limits.cpu,
            memory_mb=workload.limits.memory_mb,
            shm_mb=workload.limits.shm_mb,
            processes=self._options.processes_max,
            log_bytes=self._options.log_max_bytes,
            gpus=gpus,
        )

    def pick_gpus(self, count: int, in_use: set[int]) -> list[int]:
        """Return the indices of GPUs that nobody has.

        Raises
        ------
        EngineError
            There are not that many.
        """
        return pick_gpus(count, self.machine.gpu_count, in_use)


def default_prefix(base: str) -> str:
    """Return the environment that ``base`` names; empty: the platform's own."""
    return base or sys.prefix
