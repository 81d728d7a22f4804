"""The calls of the Kubernetes runner: one small function each, over ledger, keeper and cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

from kpl_lab.engines.kubernetes import names, resources
from kpl_lab.engines.kubernetes.behind import Behind
from kpl_lab.engines.kubernetes.builds import Builder, check_not_building
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.images import Inspector
from kpl_lab.engines.kubernetes.keeper import Keeper
from kpl_lab.engines.kubernetes.ledger import Entry, Ledger
from kpl_lab.engines.kubernetes.life import Tools
from kpl_lab.engines.kubernetes.live_mounts import LiveMounts
from kpl_lab.engines.kubernetes.making import have_objects, remove_objects
from kpl_lab.engines.kubernetes.nodes import Nodes
from kpl_lab.engines.kubernetes.objects.workloads import QUEUE_API
from kpl_lab.engines.kubernetes.plan import home_inside
from kpl_lab.engines.kubernetes.planner import Planner
from kpl_lab.engines.kubernetes.pods import Pods
from kpl_lab.engines.kubernetes.reach import Reach
from kpl_lab.engines.kubernetes.routes import Routes
from kpl_lab.engines.kubernetes.usage import told_by_agent, told_by_cluster
from kpl_lab.engines.routing import Route
from kpl_lab.engines.running.calls import Answer, Message, Stream
from kpl_lab.engines.running.checks import check_digest, check_name, check_segment
from kpl_lab.engines.running.protocol import Json, decode, encode
from kpl_lab.engines.running.rules import pick_gpus
from kpl_lab.engines.running.trees import Account
from kpl_lab.engines.running.workload_calls import Grounds, WorkloadCalls
from kpl_lab.engines.spec import (
    Capacity,
    Kind,
    MountResult,
    Recipe,
    RegistryLogin,
    Usage,
    Workload,
)
from kpl_lab.errors import EngineError, KplError, Unavailable
from kpl_lab.settings import Settings

log = logging.getLogger(__name__)

_SYNC_SECONDS = 10.0
_MEASURE_SECONDS = 2.0
_GONE_SECONDS = 20.0


class _OneAccount:
    """Identities that are all ours: what pods send is written by the runner."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def get(self, identity: str) -> Account:
        """Return our account."""
        del identity
        return self._account

    def free_all(self, identity: str) -> None:
        """Nothing was given."""


class Calls(WorkloadCalls[Entry]):
    """Everything that a caller may ask for, and what agents find behind the gate."""

    def __init__(self, settings: Settings, planner: Planner, cluster: Cluster) -> None:
        self._planner = planner
        self._cluster = cluster
        self._folder = settings.home.kubernetes
        self._ledger = Ledger(self._folder / "workloads")
        grounds = Grounds(
            engine="kubernetes",
            storage=settings.home.storage,
            accounts=_OneAccount(planner.own),
            platform=planner.platform,
        )
        super().__init__(self._ledger, grounds)
        self.pods = Pods(planner.installation, self._on_change)
        self._reach = Reach(planner.options.reach, lambda caller: self._keeper.line(caller))
        tools = Tools(
            cluster=cluster,
            planner=planner,
            pods=self.pods,
            publish=self.publish,
            reach=self._reach,
        )
        self._keeper = Keeper(self._ledger, tools)
        self._builder = Builder(
            planner.installation, planner.options, settings.home.storage, cluster
        )
        self._nodes = Nodes(self._ledger, self.pods, planner.installation, settings.home.storage)
        self._live_mounts = LiveMounts(
            self._keeper.orders, self._nodes, has_node_agents=planner.options.has_node_agents
        )
        self.behind = Behind(
            self._ledger, planner, self._builder, self._keeper, self._reach, self._nodes
        )
        self._inspector = Inspector(cluster, planner)
        self._routes = Routes(cluster, planner, self._ledger, self.pods)
        self._synced = asyncio.Event()
        self._trouble: dict[str, KplError] = {}

    def begin(self) -> None:
        """Read the folders."""
        for name in ("", "workloads"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
            (self._folder / name).chmod(0o711)
        self._ledger.load()

    def synced(self) -> None:
        """Adopt what runs: the cluster has told of everything."""
        if not self._synced.is_set():
            self._keeper.adopt()
            self._synced.set()
            self._nodes.synced()

    def troubled(self, what: str, error: KplError | None) -> None:
        """Note what keeps us from seeing the cluster; None: it is over."""
        before = self._trouble.pop(what, None)
        if error is not None:
            self._trouble[what] = error
            if before is None or before.message != error.message:
                log.warning("%s: %s", what, error.message)

    async def _until_synced(self) -> None:
        """Wait until the cluster has told of everything.

        Raises
        ------
        KplError
            What keeps it from that.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SYNC_SECONDS):
                await self._synced.wait()
                return
        raise next(
            iter(self._trouble.values()),
            Unavailable("The cluster has not answered yet; try again.", code="cluster_unreachable"),
        )

    async def close(self) -> None:
        """Let go; what runs goes on."""
        self._reach.close()
        await self._keeper.close()

    def _on_change(self, workload: str) -> None:
        self._keeper.wake(workload)
        self._nodes.changed(workload)

    def streams(self) -> Mapping[str, Stream]:
        """Return the calls that answer with items."""
        return {"run": self._run, "build": self._build}

    def answers(self) -> Mapping[str, Answer]:
        """Return the calls that answer once."""
        return {
            "stop": self._stop_all,
            "delete": self._delete,
            "usage": self._usage,
            "capacity": self._capacity,
            "collect": self._collect,
            "mount": self._mount,
            "unmount": self._unmount,
            "mounting": self._mounting,
            "find_image": self._find_image,
            "remove_image": self._remove_image,
            "inspect_image": self._inspect_image,
            "facts": self._facts,
            "route": self._route,
        }

    async def _watch(self) -> AsyncIterator[Json]:
        # Before the cluster has told of everything, what runs would be missed.
        await self._synced.wait()
        async for item in super()._watch():
            yield item

    async def _run(self, workload: Message) -> AsyncIterator[Json]:
        wanted = decode(Workload, workload)
        self._planner.check(wanted)
        await self._until_synced()
        await self._check_gpus(wanted)
        entry = self._ledger.entries.get(wanted.name) or self._ledger.create(wanted)
        async for item in self._have(entry, wanted):
            yield item

    async def _have(self, entry: Entry, wanted: Workload) -> AsyncIterator[Json]:
        yield self._handle(wanted.name)
        # Said at once: a delete holds the lock for as long as it takes.
        _check_stays(entry)
        async with entry.lock:
            _check_stays(entry)
            await self._bring(entry, wanted)
        yield self._handle(wanted.name, started=True)

    async def _check_gpus(self, wanted: Workload) -> None:
        """Refuse more GPUs than all its nodes have: no wait would bring them."""
        if wanted.limits.gpu and not self._planner.options.node_autoscaling:
            shape = self._planner.pools.shape(wanted.pool)
            there = await resources.capacity(self._cluster, shape)
            pick_gpus(wanted.limits.gpu, there.gpu, set())

    async def _bring(self, entry: Entry, wanted: Workload) -> None:
        """Make the objects, or bring a service to its replicas."""
        if wanted.secrets != entry.workload.secrets and entry.is_adopted:
            # The cluster's own account of it holds no secrets: objects made of it would lack them.
            entry.workload, entry.is_adopted = wanted, False
            entry.save()
        if entry.workload.replicas != wanted.replicas:
            entry.with_replicas(wanted.replicas)
            entry.save()
        returning = [index for index in list(entry.statuses) if entry.may_return(index)]
        for index in returning:
            entry.place(index).stop.unlink(missing_ok=True)
            entry.statuses.pop(index)
        if not entry.is_made or returning or wanted.kind is Kind.SERVICE:
            plan = self._planner.plan(entry.workload, is_made=entry.is_made)
            if wanted.kind is Kind.BUILD:
                await self._builder.write(entry)
                plan = replace(plan, build=self._builder.build(entry.recipe))
            await have_objects(self._cluster, plan, entry.still_wanted)
            entry.is_made = True
            entry.save()
        self._keeper.begin(entry)

    def _object_name(self, entry: Entry) -> str:
        return names.object_name(self._planner.installation, entry.name)

    def _scale(self, entry: Entry) -> None:
        self._keeper.begin(entry)

    def _ask_to_stop(self, entry: Entry, index: int, grace_seconds: float | None) -> None:
        if entry.ask_to_stop(index, grace_seconds):
            self._keeper.wake(entry.name)

    async def _stop_all(self, name: str, grace_seconds: float | None = None) -> None:
        await self._stop(name, grace_seconds)
        entry = self._ledger.entries.get(name)
        if entry is not None and entry.workload.kind is Kind.SERVICE:
            none = {"spec": {"replicas": 0}}
            await self._cluster.patch("Deployment", self._object_name(entry), none)

    async def _delete(self, name: str) -> None:
        if name not in self._ledger.entries:
            # It may be one that only the cluster knows.
            await self._until_synced()
        entry = self._ledger.entries.get(name)
        if entry is None:
            return
        entry.is_deleting = True
        async with entry.lock:
            await self._keeper.end(entry)
            await remove_objects(self._cluster, self._planner.installation, entry.workload)
            await self._until_gone(entry)
            await asyncio.to_thread(self._ledger.remove, entry)
        self.publish_gone(entry)

    async def _until_gone(self, entry: Entry) -> None:
        """Wait a while until nothing of a workload is left: its name may be used again."""
        deadline = asyncio.get_running_loop().time() + _GONE_SECONDS
        kind = entry.workload.kind
        while self.pods.of(entry.name) or self.pods.object_of(entry.name, kind) is not None:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.05)

    async def _usage(self, name: str, replica: int = 0) -> Json:
        entry, life = self._ledger.entries.get(name), self._keeper.life(name)
        status = entry.statuses.get(replica) if entry else None
        if life is None or status is None or status.is_final or status.started_at is None:
            return None
        line = life.line(replica)
        if line is not None:
            line.order({"do": "measure"})
        found = await self._measured(name, replica)
        if found is None and status.pod is not None:
            wanted = names.workload_selector(self._planner.installation, name)
            selector = ",".join(f"{key}={value}" for key, value in wanted.items())
            found = await told_by_cluster(self._cluster, selector, status.pod)
        return None if found is None else encode(found)

    async def _measured(self, name: str, replica: int) -> Usage | None:
        deadline = asyncio.get_running_loop().time() + _MEASURE_SECONDS
        while (life := self._keeper.life(name)) is not None:
            report = life.report(replica)
            is_late = asyncio.get_running_loop().time() > deadline
            if report is not None and (report["processes"] or is_late):
                return told_by_agent(report)
            if is_late:
                return None
            await asyncio.sleep(0.05)
        return None

    async def _capacity(self) -> Json:
        return encode(await self._there())

    async def _there(self) -> Capacity:
        pools = self._planner.pools.all()
        found = await resources.capacity(self._cluster, self._planner.shape, pools)
        return replace(found, varies=True, grows=self._planner.options.node_autoscaling)

    async def _facts(self) -> Message:
        """Return what rests on this cluster; ``kpl-lab doctor`` tells it."""
        version = await self._cluster.version()
        try:
            gpus = (await self._there()).gpu
        except EngineError as error:
            if error.code != resources.NO_CAPACITY:
                raise
            gpus = 0  # doctor asks for the capacity as well
        queues = self._planner.pools.queues()
        is_led = not queues or await self._cluster.serves_api(QUEUE_API)
        return {
            "version": version.get("gitVersion", ""),
            "namespace": self._planner.namespace,
            "api": self._cluster.host,
            "gate": self._planner.way_text,
            "gpus": gpus,
            "dead_queues": [] if is_led else queues,
            "mounts": True,
            "node_agents": self._nodes.present if self._planner.options.has_node_agents else None,
        }

    async def _route(self, routes: list[Message]) -> Json:
        wanted = [decode(Route, one) for one in routes]
        await self._until_synced()
        return [encode(one) for one in await self._routes.bring(wanted)]

    async def _mount(self, name: str, source: str, mount: str) -> Json:
        check_segment(mount, "name of a mount")
        folder = self._planner.check_source(Path(source))
        await self._until_synced()
        entry = self.entry(name)
        home = self._home_of(entry)
        async with entry.lock:
            note = await self._live_mounts.mount(entry, mount, folder)
        path = f"{home_inside(home)}/datasets/{mount}"
        return encode(MountResult(path=path, enforced=True, note=note))

    async def _mounting(self, name: str, mount: str) -> Json:
        entry = self._ledger.entries.get(name)
        return None if entry is None else self._nodes.progress(entry, mount)

    async def _unmount(self, name: str, mount: str) -> None:
        check_segment(mount, "name of a mount")
        await self._until_synced()
        entry = self._ledger.entries.get(name)
        if entry is not None:
            async with entry.lock:
                await self._live_mounts.unmount(entry, mount)

    async def _build(self, name: str, recipe: Message) -> AsyncIterator[Json]:
        wanted = decode(Recipe, recipe)
        check_name(name)
        check_digest(wanted.digest)
        self._builder.check(wanted)
        await self._until_synced()
        workload = self._builder.workload(name, wanted)
        entry = self._ledger.entries.get(name)
        if entry is None:
            check_not_building(self._ledger.entries.values(), wanted.digest)
            entry = self._ledger.create(workload, recipe=wanted)
        elif entry.recipe is None:
            entry.recipe = wanted
            entry.save()
        async for item in self._have(entry, workload):
            yield item

    async def _find_image(self, digest: str) -> str | None:
        return await self._builder.find(check_digest(digest))

    async def _remove_image(self, reference: str) -> bool:
        if any(entry.workload.image == reference for entry in self._ledger.entries.values()):
            return False
        return await self._builder.remove(reference)

    async def _inspect_image(self, reference: str, login: Message | None = None) -> Json:
        given = None if login is None else decode(RegistryLogin, login)
        return encode(await self._inspector.inspect(reference, given))


def _check_stays(entry: Entry) -> None:
    if entry.is_deleting:
        raise EngineError(f"{entry.name} is being deleted.", code="deleting")
