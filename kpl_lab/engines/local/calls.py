"""The calls of the runner: one small function each, over ledger, keeper and planner."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from kpl_lab.engines.local import (
    builds,
    cgroups,
    environments,
    machine,
    meeting,
    mounts,
    processes,
)
from kpl_lab.engines.local.access import Passes
from kpl_lab.engines.local.cgroups import Group
from kpl_lab.engines.local.keeper import Keeper
from kpl_lab.engines.local.ledger import Entry, Ledger
from kpl_lab.engines.local.planner import Planner
from kpl_lab.engines.running.calls import Answer, Message, Stream
from kpl_lab.engines.running.checks import check_digest, check_segment
from kpl_lab.engines.running.protocol import Json, decode, encode
from kpl_lab.engines.running.rules import identity_of
from kpl_lab.engines.running.workload_calls import Grounds, WorkloadCalls
from kpl_lab.engines.spec import MountResult, Recipe, Usage, Workload
from kpl_lab.errors import EngineError
from kpl_lab.settings import Settings
from kpl_lab.trees import remove_tree

_CPU_SAMPLE_SECONDS = 0.2


class Calls(WorkloadCalls[Entry]):
    """Everything that a caller may ask for."""

    def __init__(self, settings: Settings, planner: Planner) -> None:
        self._planner = planner
        self._local = settings.home.local
        self._ledger = Ledger(self._local / "workloads")
        self._passes = Passes(self._ledger, settings.home.storage.resolve())
        super().__init__(
            self._ledger,
            Grounds(
                engine="local",
                storage=settings.home.storage,
                accounts=planner.accounts,
                platform=planner.platform,
            ),
        )
        self._keeper = Keeper(self._ledger, planner, self.publish)

    def begin(self) -> None:
        """Read the folders and adopt what runs."""
        for name in ("", "workloads", "homes", "environments"):
            (self._local / name).mkdir(parents=True, exist_ok=True)
            (self._local / name).chmod(0o711)
        self._ledger.load()
        self._keeper.begin()

    def close(self) -> None:
        """Let go; what runs goes on."""
        self._keeper.close()
        cgroups.forget(self._planner.machine.hierarchy)

    def streams(self) -> Mapping[str, Stream]:
        """Return the calls that answer with items."""
        return {"run": self._run, "build": self._build}

    def answers(self) -> Mapping[str, Answer]:
        """Return the calls that answer once."""
        return {
            "stop": self._stop,
            "delete": self._delete,
            "usage": self._usage,
            "capacity": self._capacity,
            "collect": self._collect,
            "mount": self._mount,
            "unmount": self._unmount,
            "find_image": self._find_image,
            "remove_image": self._remove_image,
            "facts": self._facts,
        }

    async def _run(self, workload: Message) -> AsyncIterator[Json]:
        async for item in self._run_workload(decode(Workload, workload), None):
            yield item

    async def _run_workload(self, workload: Workload, build: Path | None) -> AsyncIterator[Json]:
        self._planner.check(workload)
        entry = self._ledger.entries.get(workload.name)
        if entry is None:
            entry = self._ledger.create(workload, build=build, meeting=self._meeting(workload))
        async for item in self._bring_up(entry, workload):
            yield item

    def _meeting(self, workload: Workload) -> int | None:
        if not workload.meeting_ports:
            return None
        others = [(e.meeting, e.workload.meeting_ports) for e in self._ledger.entries.values()]
        taken = [range(first, first + count) for first, count in others if first is not None]
        return meeting.pick(workload.meeting_ports, self._planner.service_ports, taken)

    def _scale(self, entry: Entry) -> None:
        if self._planner.machine.is_namespaced and entry.workload.home is not None:
            mounts.make_root(entry.mounts)
        for index in range(entry.workload.replicas):
            for one in entry.workload.inputs:
                self._give_pass(entry, index, self._planner.check_source(Path(one.source)))
            status = entry.statuses.get(index)
            if entry.may_return(index):
                gpus = self._keeper.gpus_of(entry, index)
                restarts = 0 if status is None else status.restarts
                self._keeper.start(entry, index, gpus=gpus, restarts=restarts)
        for index in list(entry.statuses):
            if index >= entry.workload.replicas:
                self._keeper.retire(entry, index)

    def _ask_to_stop(self, entry: Entry, index: int, grace_seconds: float | None) -> None:
        self._keeper.ask_to_stop(entry, index, grace_seconds)

    async def _delete(self, name: str) -> None:
        entry = self._ledger.entries.get(name)
        if entry is None:
            return
        entry.is_deleting = True
        async with entry.lock:
            for index in list(entry.statuses):
                await self._keeper.destroy(entry, index)
            await asyncio.to_thread(mounts.remove_root, entry.mounts)
            await asyncio.to_thread(self._remove_links, entry)
            if entry.build is not None:
                await asyncio.to_thread(environments.discard, entry.build)
            await asyncio.to_thread(self._passes.take, entry)
            await asyncio.to_thread(self._ledger.remove, entry)
        self._free_accounts(entry)
        self.publish_gone(entry)

    async def _usage(self, name: str, replica: int = 0) -> Json:
        entry = self._ledger.entries.get(name)
        status = entry.statuses.get(replica) if entry else None
        if entry is None or status is None or status.is_final or status.shim is None:
            return None
        if status.started_at is None or not status.shim.is_alive():
            return None
        first = await asyncio.to_thread(self._measure, entry, replica)
        begin = time.monotonic()
        await asyncio.sleep(_CPU_SAMPLE_SECONDS)
        second = await asyncio.to_thread(self._measure, entry, replica)
        cores = max(0.0, second.cpu_seconds - first.cpu_seconds) / (time.monotonic() - begin)
        return encode(
            Usage(
                cpu=round(cores, 2),
                cpu_seconds=second.cpu_seconds,
                memory_mb=second.memory_mb,
                memory_peak_mb=max(second.memory_mb, status.memory_peak_mb or 0),
                processes=second.processes,
            )
        )

    def _measure(self, entry: Entry, replica: int) -> Usage:
        status = entry.statuses[replica]
        if status.cgroups:
            group = Group(self._planner.machine.hierarchy.mode, status.cgroups)
            pids, memory, cpu = group.pids(), group.memory_mb(), group.cpu_seconds() or 0.0
        else:
            relay = set() if status.relay is None else {status.relay.pid}
            shim = status.shim
            pids = [] if shim is None else processes.descendants(shim.pid, without=relay)
            memory, cpu = processes.memory_mb(pids), processes.cpu_seconds(pids)
        return Usage(
            cpu=0.0,
            cpu_seconds=cpu,
            memory_mb=memory,
            memory_peak_mb=memory,
            processes=len(pids),
        )

    async def _capacity(self) -> Json:
        found = await asyncio.to_thread(machine.capacity, self._planner.machine.gpu_count)
        return encode(found)

    async def _facts(self) -> Message:
        """Return what limits and views rest on here; ``kpl-lab doctor`` tells it."""
        found = self._planner.machine
        return {
            "cgroups": found.hierarchy.mode,
            "controllers": sorted(found.hierarchy.parents),
            "namespaces": found.is_namespaced,
            "root": os.geteuid() == 0,
            "gpus": found.gpu_count,
            "warm": self._keeper.is_warm(),
            "replicas_refuse": found.filter_obstacle is None,
            "replicas_refuse_why_not": found.filter_obstacle,
        }

    async def _mount(self, name: str, source: str, mount: str) -> Json:
        check_segment(mount, "name of a mount")
        folder = self._planner.check_source(Path(source))
        entry = self.entry(name)
        home = self._home(entry)
        shown = home / "datasets" / mount
        async with entry.lock:
            if self._planner.machine.is_namespaced:
                await asyncio.to_thread(mounts.add, entry.mounts, folder, mount)
                return encode(MountResult(path=str(shown), enforced=True))
            self._give_pass(entry, 0, folder)
            await asyncio.to_thread(mounts.link, shown.parent, folder, mount)
            entry.note_link(mount)
        return encode(MountResult(path=str(shown), enforced=False))

    async def _unmount(self, name: str, mount: str) -> None:
        check_segment(mount, "name of a mount")
        entry = self._ledger.entries.get(name)
        if entry is None:
            return
        async with entry.lock:
            if self._planner.machine.is_namespaced:
                await asyncio.to_thread(mounts.remove, entry.mounts, mount)
            else:
                source = mounts.unlink(self._home(entry) / "datasets", mount)
                if source is not None:
                    await asyncio.to_thread(self._passes.take, entry, source)

    def _give_pass(self, entry: Entry, index: int, source: Path) -> None:
        """Let a replica reach what it has a link to; what is mounted needs no pass."""
        uid = self._account_of(entry, index).uid
        if not self._planner.machine.is_namespaced and uid != self._planner.platform.uid:
            self._passes.give(entry, uid, source)

    def _home(self, entry: Entry) -> Path:
        return self._local / "homes" / self._home_of(entry)

    def _remove_links(self, entry: Entry) -> None:
        for name in entry.links():
            mounts.unlink(self._home(entry) / "datasets", name)

    async def _build(self, name: str, recipe: Message) -> AsyncIterator[Json]:
        wanted = decode(Recipe, recipe)
        folder = self._environment(wanted.digest)
        if name in self._ledger.entries:
            workload, build = self._ledger.entries[name].workload, self._ledger.entries[name].build
        elif environments.is_usable(folder):
            workload, build = builds.nothing_to_build(name, wanted), None
        else:
            self._check_not_building(folder)
            workload, build = builds.build_workload(name, wanted, folder), folder
            await asyncio.to_thread(self._make_environment, workload, folder)
        async for item in self._run_workload(workload, build):
            yield item

    def _make_environment(self, workload: Workload, folder: Path) -> None:
        remove_tree(folder)
        folder.mkdir()
        account = self._planner.accounts.get(identity_of(workload, 0))
        os.chown(folder, account.uid, account.gid)

    def _check_not_building(self, folder: Path) -> None:
        for entry in self._ledger.entries.values():
            if entry.build == folder and not all(s.is_final for s in entry.statuses.values()):
                raise EngineError(
                    f"{entry.name} builds this environment already; wait for it.",
                    code="build_running",
                    detail={"name": entry.name},
                )

    def _environment(self, digest: str) -> Path:
        return self._local / "environments" / check_digest(digest)

    async def _find_image(self, digest: str) -> str | None:
        folder = self._environment(digest)
        return str(folder) if environments.is_usable(folder) else None

    async def _remove_image(self, reference: str) -> bool:
        folder = self._environment(Path(reference).name)
        if str(folder) != reference:
            raise EngineError(f"{reference} was not made here; it stays.", code="not_ours")
        if folder in self._environments_in_use():
            return False
        environments.retire(folder)
        await asyncio.to_thread(environments.discard, folder)
        return True

    def _environments_in_use(self) -> set[Path]:
        """Return the environments that something runs in or stands on, and what these stand on."""
        made = [
            one for one in (self._local / "environments").iterdir() if environments.is_usable(one)
        ]
        used = {base for one in made if (base := environments.base_of(one)) is not None}
        for entry in self._ledger.entries.values():
            if not all(status.is_final for status in entry.statuses.values()):
                used |= set(environments.chain_of(Path(entry.workload.image)))
        return used
