"""A cluster without machines, for ``cluster_scale``: the double of an API server, and pods that are only told of.

Jobs get pods as a cluster gives them; pods run at once, their agents connect to the gate and say so, those of
notebook servers answer each request with nothing, all at one address; and they go on until ``POST /end/<n>`` ends so many of the Jobs' ones; those of tasks with the variable ``BRIEF``
end by themselves. ``GET /calls`` tells how often the API server was asked, by verb and kind; ``GET /state``
how many objects there are, ``GET /gone`` how many Jobs were removed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jupyterhub
from aiohttp import web

from kpl_lab.engines.kubernetes.agent.report import Phase, Report
from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER, KIND
from kpl_lab.engines.kubernetes.plan import CONFIG_FILE
from kpl_lab.engines.kubernetes.wire import BEAT_SECONDS, to_line
from tests.doubles import kubernetes_play as play
from tests.doubles.kubernetes import Server, api_server
from tests.doubles.kubernetes_store import Json, Refusal, Store

# All pods have it; of the loopback, as the hub asks its servers whether they are there.
ADDRESS = "127.0.0.20"
NODES = 100
# Variable of a task whose command ends by itself, a moment after it began.
BRIEF = "BRIEF"
BRIEF_SECONDS = 0.2
# After which an agent comes back that the gate has refused or left.
RETRY_SECONDS = 2.0
# What the engine calls a pod that only tells what is in an image.
_LOOK = "look"
_PACKAGES = '{"python": "3.11.2", "jupyterlab": "4.6.4", "kpl-lab": "0.1.0"}\n'


class Pod:
    """A pod whose command does nothing, and its agent."""

    def __init__(self, cluster: Cluster, pod: Json) -> None:
        self._cluster, self._pod = cluster, pod
        self.name = str(pod["metadata"]["name"])
        self.runs = False
        self.is_task = bool(pod["metadata"].get("ownerReferences"))
        self._task = asyncio.create_task(self._live())
        self._ended = asyncio.Event()
        variables = [v["name"] for c in pod["spec"]["containers"] for v in c.get("env", ())]
        self._is_brief = BRIEF in variables
        self._report = Report(memory_mb=100, memory_peak_mb=120, cpu=0.1, processes=2)

    async def _live(self) -> None:
        store, server = self._cluster.server.store, self._cluster.server
        play.place(store, self._pod)
        if self._pod["metadata"]["labels"].get(KIND) == _LOOK:
            log = server.logs.of(self.name, COMMAND_CONTAINER)
            log.write(_PACKAGES)
            log.end()
            play.end(store, self._pod)
            return
        config = self._config()
        if not self.is_task:
            await self._cluster.answer(config["port"])
        play.run(store, self._pod, ip=ADDRESS)
        server.logs.of(self.name, COMMAND_CONTAINER).write("it runs\n")
        self.runs = True
        self._report.phase = Phase.RUNNING if self.is_task else Phase.READY
        while not await self._has_told(config):
            pass  # it comes back
        server.logs.of(self.name, COMMAND_CONTAINER).end()
        with contextlib.suppress(Refusal):
            play.end(store, self._pod)

    async def _has_told(self, config: Json) -> bool:
        """Be its agent over one connection; say whether it has told of its end, else after a while."""
        with contextlib.suppress(OSError):
            await self._stay(config)
        has_told = self._report.phase is Phase.SENT
        await asyncio.sleep(0 if has_told else RETRY_SECONDS)
        return has_told

    async def _stay(self, config: Json) -> None:
        """Tell the gate how it is until its end, or until the gate has closed the connection."""
        reader, writer = await asyncio.open_connection(*config["gate"])
        keys = ("token", "workload")
        hello = {"call": "stay", "pod": self.name, "args": {}} | {k: config[k] for k in keys}
        writer.write(to_line(hello))
        listening = asyncio.create_task(self._listen(reader))
        ending = asyncio.create_task(self._ended.wait())
        if self._is_brief:
            asyncio.get_running_loop().call_later(BRIEF_SECONDS, self.end)
        try:
            while not (ending.done() or listening.done()):
                writer.write(to_line({"report": self._report.plain()}))
                self._report.cpu_seconds += BEAT_SECONDS / 10
                both, first = {listening, ending}, asyncio.FIRST_COMPLETED
                await asyncio.wait(both, timeout=BEAT_SECONDS, return_when=first)
            if not listening.done():
                self._report.phase = Phase.SENT
                writer.write(to_line({"report": self._report.plain()}))
                await writer.drain()
        finally:
            listening.cancel()
            ending.cancel()
            writer.close()

    def _config(self) -> Json:
        """Return what the agent is told; its Secret has the name of the workload's object."""
        metadata = self._pod["metadata"]
        owner = next(iter(metadata.get("ownerReferences") or ()), metadata)
        key = ("Secret", metadata["namespace"], owner["name"])
        found = self._cluster.server.store.get(*key)
        config: Json = json.loads(base64.b64decode(found["data"][CONFIG_FILE]))
        return config

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            order = json.loads(line).get("order") or {}
            if order.get("do") == "stop":
                self.end()

    @property
    def is_ending(self) -> bool:
        """Whether its end was asked for."""
        return self._ended.is_set()

    def end(self) -> None:
        """Let the command end well."""
        self._ended.set()

    def gone(self) -> None:
        """Let go of it: it is in the cluster no more."""
        self._task.cancel()
        self._cluster.server.logs.forget(self.name, COMMAND_CONTAINER)


class Cluster:
    """All pods."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pods: dict[str, Pod] = {}
        self._answering: dict[int, asyncio.Task[int]] = {}
        self._gone = 0
        for number in range(NODES):
            server.store.create(_node(number))

    async def follow(self) -> None:
        """Be the kubelets of all nodes."""
        store = self.server.store
        seen = store.version
        while True:
            changed = store.changed
            for change in list(store.since(seen)):
                seen = change.version
                kind, _, name = change.key
                self._gone += kind == "Job" and change.new is None
                if kind != "Pod":
                    continue
                if change.new is None:
                    if name in self.pods:
                        self.pods.pop(name).gone()
                elif change.old is None:
                    self.pods[name] = Pod(self, change.new)
                elif "deletionTimestamp" in change.new["metadata"]:
                    _let_go(store, change.new)
            if changed is store.changed:
                await changed.wait()

    async def answer(self, port: int) -> None:
        """Be all notebook servers that listen on a port."""
        if port not in self._answering:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", _nothing)
            self._answering[port] = asyncio.create_task(_listen(app, ADDRESS, port))
        await self._answering[port]

    async def calls(self, _request: web.Request) -> web.Response:
        """Tell how often the API server was asked."""
        counted = Counter(f"{verb} {kind}" for verb, kind in self.server.calls)
        return web.json_response(counted)

    async def state(self, _request: web.Request) -> web.Response:
        """Tell what there is."""
        store = self.server.store
        kinds = {kind: len(store.all(kind)) for kind in ("Pod", "Job", "Secret")}
        running = sum(pod.is_task and pod.runs and not pod.is_ending for pod in self.pods.values())
        return web.json_response({**kinds, "running": running})

    async def gone(self, _request: web.Request) -> web.Response:
        """Tell how many Jobs were removed."""
        return web.json_response(self._gone)

    async def end(self, request: web.Request) -> web.Response:
        """Let the oldest pods of Jobs end."""
        tasks = [
            pod for pod in self.pods.values() if pod.is_task and pod.runs and not pod.is_ending
        ]
        wanted = int(request.match_info["count"])
        for pod in tasks[:wanted]:
            pod.end()
        return web.json_response(len(tasks[:wanted]))


def _let_go(store: Store, pod: Json) -> None:
    metadata = pod["metadata"]
    if not metadata.get("finalizers"):
        store.remove("Pod", metadata["namespace"], metadata["name"])


def _node(number: int) -> Json:
    ready = {"type": "Ready", "status": "True"}
    room = {"cpu": "1000", "memory": "4000Gi", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{number}"},
        "status": {"conditions": [ready], "allocatable": room, "capacity": room},
    }


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response(headers={"X-JupyterHub-Version": jupyterhub.__version__})


async def _listen(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> int:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return int(runner.addresses[0][1])


async def main(kubeconfig: Path) -> None:
    """Be the cluster until ended; the way to it is written to ``kubeconfig``."""
    async with api_server() as server, play.playing(server.store, kubelet=False):
        server.watch_seconds = 3600.0
        cluster = Cluster(server)
        following = asyncio.create_task(cluster.follow())
        control = web.Application()
        control.router.add_get("/calls", cluster.calls)
        control.router.add_get("/state", cluster.state)
        control.router.add_get("/gone", cluster.gone)
        control.router.add_post("/end/{count}", cluster.end)
        address: dict[str, Any] = {"control": await _listen(control)}
        server.kubeconfig(kubeconfig)
        print(json.dumps(address), flush=True)
        await following


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
