"""A runner on the double of an API server, in the tests' own process, and agents that tests play."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from kpl_lab import settings as settings_module
from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.access import Access
from kpl_lab.engines.kubernetes.agent.config import AgentConfig
from kpl_lab.engines.kubernetes.agent.gateway import Gateway, Link
from kpl_lab.engines.kubernetes.agent.report import Phase, Report
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.engine import KubernetesEngine
from kpl_lab.engines.kubernetes.options import load_options
from kpl_lab.engines.kubernetes.plan import CONFIG_FILE
from kpl_lab.engines.kubernetes.runner import serve_cluster
from kpl_lab.engines.kubernetes.transport import Patience
from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, Handle, Kind, Workload
from tests.doubles import kubernetes_play as play
from tests.doubles.kubernetes import TOKEN, Server
from tests.doubles.kubernetes_store import Json
from tests.engines.harness import Bench, task
from tests.engines.kubernetes import rights

NS = "kpl-lab"
KINDS = ("Job", "Deployment", "Pod", "Secret", "Service")
_SECONDS = 20.0


async def until(condition: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """Wait until something is there; return it. Fails when it does not come."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):  # noqa: ASYNC110 (what is waited for knows nothing of us)
            await asyncio.sleep(0.005)
    return found


class Agent:
    """What the agent of a pod says, and the orders that it gets; over a real connection."""

    def __init__(self, config: AgentConfig, pod: str) -> None:
        self.report = Report()
        self.orders: list[Json] = []
        self.config = config
        self.gateway = Gateway(config, pod)
        self._link = Link(self.gateway, self.report.plain, self.orders.append)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Agent:
        self._task = asyncio.create_task(self._link.run(5.0))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def say(self, phase: Phase, doom: Doom | None = None, **changes: Any) -> None:
        """Tell the runner how far the command is; returns when it has heard it."""
        self.report.phase, self.report.doom = phase, doom or self.report.doom
        for name, value in changes.items():
            setattr(self.report, name, value)
        assert await self._link.settle(_SECONDS)

    async def ordered(self, what: str) -> Json:
        """Wait for an order."""
        found: list[Json] = await until(lambda: [one for one in self.orders if one["do"] == what])
        return found[-1]


@dataclasses.dataclass
class Doubled(Bench):
    """An engine whose runner speaks to the double."""

    server: Server = dataclasses.field(kw_only=True)
    settings: settings_module.Settings = dataclasses.field(kw_only=True)
    # What the runner shows to the cluster: the kubeconfig.
    token: str = TOKEN
    _runner: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the runner."""
        self._runner = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        async def source() -> Access:
            return Access(host=self.server.url, authorization=f"Bearer {self.token}")

        options = load_options(self.settings.home, self.settings.cluster)
        patience = Patience(first=0.01, longest=0.05, total=0.5)
        cluster = await Cluster.of(source, options.namespace, patience=patience)
        try:
            await serve_cluster(self.settings, options, cluster)
        finally:
            await cluster.close()

    async def crash(self) -> None:
        """End the runner wherever it is: what it had begun is not finished."""
        assert self._runner is not None
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)
        self._runner = None

    async def restart(self) -> None:
        """End the runner, and start it again."""
        await self.crash()
        self.start()

    async def run(self, workload: Workload) -> Handle:
        """Run a workload; return the complete handle."""
        return [handle async for handle in self.engine.run(workload)][-1]

    @property
    def folder_of_runner(self) -> Path:
        """Where the runner keeps what it knows."""
        return self.settings.home.kubernetes

    def replica_outputs(self, name: str, index: int = 0) -> Path:
        """Return where outputs of a replica lie."""
        root = self.folder_of_runner / "workloads" / name / "replicas" / str(index)
        return Place(root).outputs

    def log_of(self, name: str, index: int = 0) -> Path:
        """Return the log of a replica."""
        return self.replica_outputs(name, index).parents[1] / "log"

    # --- the cluster

    def object_name(self, workload: str) -> str:
        """Return the name of a workload's objects."""
        return names.object_name(self.settings.instance, workload)

    def objects(self, *kinds: str) -> list[str]:
        """Return kind and name of every object of ours."""
        return [
            f"{kind}/{one['metadata']['name']}"
            for kind in kinds or KINDS
            for one in self.server.store.all(kind, NS)
        ]

    def pods(self, workload: str) -> list[Json]:
        """Return the pods of a workload that stay, the oldest first."""
        label = names.label_value(workload)
        found = [
            pod
            for pod in self.server.store.all("Pod", NS)
            if (pod["metadata"].get("labels") or {}).get(names.WORKLOAD) == label
            and "deletionTimestamp" not in pod["metadata"]
        ]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    async def pod(self, workload: str, number: int = 0) -> Json:
        """Wait for a pod of a workload."""
        return dict((await until(lambda: self.pods(workload)[number : number + 1]))[0])

    async def running(self, workload: str, number: int = 0) -> Json:
        """Wait for a pod of a workload, and let its command run."""
        pod = await self.pod(workload, number)
        play.place(self.server.store, pod)
        return play.run(self.server.store, pod)

    def secret(self, workload: str) -> dict[str, str]:
        """Return what stands in the Secret of a workload."""
        found = self.server.store.get("Secret", NS, self.object_name(workload))
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def agent(self, workload: str, pod: Json) -> Agent:
        """Return the agent of a pod, as the pod's Secret tells it to be."""
        told = self.folder_of_runner.parent / "agent.json"
        told.write_text(self.secret(workload)[CONFIG_FILE])
        return Agent(AgentConfig.read(told), pod["metadata"]["name"])

    def says(self, pod: Json, text: str, *, ends: bool = False) -> None:
        """Let the command of a pod print something."""
        log = self.server.logs.of(pod["metadata"]["name"], names.COMMAND_CONTAINER)
        log.write(text)
        if ends:
            log.end()

    def ends(self, pod: Json, exit_code: int = 0, **more: str) -> Json:
        """Let the command of a pod end."""
        self.says(pod, "", ends=True)
        return play.end(self.server.store, pod, exit_code, **more)


def service(name: str, **changes: Any) -> Workload:
    """Return a service."""
    found = task(name, "serve", kind=Kind.SERVICE, port=9000, identity=f"service:{name}")
    return dataclasses.replace(found, **changes)


def server(name: str, **changes: Any) -> Workload:
    """Return a server with a home."""
    found = task(name, "lab", kind=Kind.SERVER, home="alice", identity="user:alice")
    return dataclasses.replace(found, **changes)


@contextlib.asynccontextmanager
async def doubled(
    root: Path,
    *,
    has_controllers: bool = True,
    make: type[Doubled] = Doubled,
    **options: object,
) -> AsyncIterator[Doubled]:
    """Give a runner on a double whose controllers are played, where there are any.

    It fails in the end where the runner has done what the platform's account may not.
    """
    home = root / "kpl"
    home.mkdir()
    given = {"connect_host": "127.0.0.1", "reach": "pods", "restarts_max": 2, **options}
    lines = [f"c.KubernetesOptions.{name} = {value!r}" for name, value in given.items()]
    (home / "kubernetes_engine.py").write_text("\n".join(lines) + "\n")
    settings = settings_module.load({"KPL_HOME": str(home), "KPL_ENGINE": "kubernetes"})
    settings.home.storage.mkdir(exist_ok=True)
    api = Server()
    await api.start()
    engine = KubernetesEngine(settings.home, patience_seconds=20)
    bench = make(engine, settings.home.storage, "double", server=api, settings=settings)
    bench.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            if has_controllers:
                await stack.enter_async_context(play.playing(api.store))
            yield bench
        has = rights.of_running(str(given.get("routes", "frontdoor")))
        beyond = api.used - rights.AT_FIRST - has
        assert not beyond, f"the platform's account may not {sorted(beyond)}"
    finally:
        if bench._runner is not None:
            await bench.crash()
        await api.stop()


STOPPED = Doom(Cause.STOPPED)
