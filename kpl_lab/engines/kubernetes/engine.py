"""The Kubernetes engine as the platform sees it: an unprivileged client of the runner."""

from __future__ import annotations

from collections.abc import Sequence

from kpl_lab.engines.routing import Route, RouteState
from kpl_lab.engines.running.client import RunnerEngine
from kpl_lab.engines.running.protocol import decode, encode
from kpl_lab.engines.spec import Handle
from kpl_lab.settings import Home, Settings


class KubernetesEngine(RunnerEngine):
    """Runs workloads as Jobs, Deployments and Pods of a cluster.

    The platform never holds the cluster's credentials: the runner does. Its :meth:`facts` are
    ``version``, ``namespace``, ``api`` (URL of the API server), ``gate`` (how pods reach us) and
    ``gpus``, ``node_agents`` (nodes with an agent; None: there are to be none).

    Parameters
    ----------
    home
        The installation, whose ``run/runner.sock`` is called.
    patience_seconds
        How long a call waits for a runner that does not answer.
    """

    name = "kubernetes"

    def __init__(self, home: Home, *, patience_seconds: float = 15.0) -> None:
        super().__init__(home, home.kubernetes, patience_seconds=patience_seconds)

    @classmethod
    def from_settings(cls, settings: Settings) -> KubernetesEngine:
        """Return the engine of an installation; the entry point."""
        return cls(settings.home)

    async def mounting(self, handle: Handle, name: str) -> tuple[int, int] | None:
        """Return how much of a live mount's files a node has, while an agent there fetches them."""
        found = await self._call("mounting", {"name": handle.name, "mount": name})
        return None if found is None else (int(found[0]), int(found[1]))

    async def route(self, wanted: Sequence[Route]) -> Sequence[RouteState]:
        """Bring routes of the cluster to exactly these, where the options want any."""
        found = await self._call("route", {"routes": [encode(one) for one in wanted]})
        return [decode(RouteState, one) for one in found or ()]
