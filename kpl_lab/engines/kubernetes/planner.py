"""From a workload to the plan of its objects: the gate, its token, timing, doors."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from kpl_lab.engines.kubernetes.agent.config import AgentConfig
from kpl_lab.engines.kubernetes.gate import token_of
from kpl_lab.engines.kubernetes.objects.parts import home_claim
from kpl_lab.engines.kubernetes.options import KubernetesOptions
from kpl_lab.engines.kubernetes.plan import Plan, Shape, home_inside
from kpl_lab.engines.kubernetes.pools import Pools
from kpl_lab.engines.local.accounts import PLATFORM, accounts_of
from kpl_lab.engines.running.checks import check_paths, check_source
from kpl_lab.engines.running.rules import doors_of, port_of, timing_of
from kpl_lab.engines.running.trees import Account
from kpl_lab.engines.spec import Kind, Workload
from kpl_lab.errors import EngineError, KplError
from kpl_lab.formats.pools_yml import PoolsFile
from kpl_lab.settings import Settings

# How often an agent looks at what its command takes, in seconds.
_MEASURE_SECONDS = 15.0


@dataclass(frozen=True)
class Way:
    """How pods reach the gate, and the key of their tokens."""

    host: str
    port: int
    key: bytes


class Planner:
    """Makes plans.

    Parameters
    ----------
    way
        To the gate.
    """

    def __init__(self, settings: Settings, options: KubernetesOptions, way: Way) -> None:
        self._settings = settings
        self._way = way
        self.options = options
        self.installation = settings.instance
        self.namespace = options.namespace
        self.shape = shape_of(options)
        self.pools = Pools(PoolsFile(settings.home.root), self.shape)
        self.platform = accounts_of(settings).get(PLATFORM)
        self.own = Account(os.geteuid(), os.getegid())
        self.way_text = f"{way.host}:{way.port}"

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

    def check_source(self, source: Path) -> Path:
        """Return a folder of the store, resolved; refuse what lies elsewhere or is not there."""
        return check_source(source, self._settings.home.storage)

    def doors(self, kind: Kind) -> list[int]:
        """Return the ports of the platform that a workload reaches on its loopback."""
        return doors_of(kind, self._settings.ports)

    def may_call(self, kind: Kind, port: int) -> bool:
        """Say whether a workload's agent may be led to a port: a task's relay calls the platform."""
        return port in (*self.doors(kind), self._settings.ports.platform)

    def port(self, workload: Workload) -> int | None:
        """Return where it listens."""
        return port_of(workload, self.doors(workload.kind))

    def claim(self, workload: Workload) -> str:
        """Return the name of the claim for its home; empty where it has none of ours."""
        if workload.home is None or workload.kind is not Kind.SERVER:
            return ""
        found = home_claim(self._plan(workload, self.shape))  # also when its pool is gone
        return "" if found is None else str(found["metadata"]["name"])

    def plan(self, workload: Workload, *, is_made: bool = False) -> Plan:
        """Return what the objects of a workload follow from.

        Parameters
        ----------
        is_made
            The objects are there already: their pods stay as they are, also when their pool is gone.

        Raises
        ------
        EngineError
            Its pool is no longer there.
        """
        try:
            shape = self.pools.shape(workload.pool)
        except KplError:
            if not is_made:
                raise
            shape = self.shape
        return self._plan(workload, shape)

    def _plan(self, workload: Workload, shape: Shape) -> Plan:
        return Plan(
            installation=self.installation,
            namespace=self.namespace,
            workload=workload,
            shape=shape,
            port=self.port(workload),
            agent=self._agent(workload).plain(),
        )

    def _agent(self, workload: Workload) -> AgentConfig:
        home = None if workload.home is None else home_inside(workload.home)
        is_server = workload.kind is Kind.SERVER
        return AgentConfig(
            workload=workload.name,
            kind=workload.kind.value,
            gate=(self._way.host, self._way.port),
            token=token_of(self._way.key, workload.name),
            inputs=[one.key for one in workload.inputs],
            outputs=list(workload.outputs),
            has_code=workload.code is not None,
            home=home,
            has_skeleton=workload.skeleton is not None,
            mounts=f"{home}/datasets" if is_server and home else None,
            doors=self.doors(workload.kind),
            relay=None if workload.relay is None else asdict(workload.relay),
            relay_port=self.options.agent_port + 1,
            platform_port=self._settings.ports.platform,
            port=self.port(workload),
            health=workload.health,
            timing=timing_of(workload, self.options, watchdog=_MEASURE_SECONDS),
        )


def shape_of(options: KubernetesOptions) -> Shape:
    """Return how an administrator wants pods to be."""
    names = [field.name for field in dataclasses.fields(Shape)]
    return Shape(**{name: getattr(options, name) for name in names})
