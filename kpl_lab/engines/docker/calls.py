"""The calls of the Docker runner: one small function each, over ledger, keeper and daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from kpl_lab.engines.docker import builds, names, recipes, vitals
from kpl_lab.engines.docker.daemon import Daemon
from kpl_lab.engines.docker.guard import Guard
from kpl_lab.engines.docker.images import Inspector
from kpl_lab.engines.docker.keeper import Keeper
from kpl_lab.engines.docker.ledger import Entry, Ledger
from kpl_lab.engines.docker.life import Tools
from kpl_lab.engines.docker.names import Address
from kpl_lab.engines.docker.network import Network
from kpl_lab.engines.docker.planner import Planner
from kpl_lab.engines.local import mounts
from kpl_lab.engines.running.calls import Answer, Message, Stream
from kpl_lab.engines.running.checks import check_digest, check_name, check_segment
from kpl_lab.engines.running.dockerfiles import check_base
from kpl_lab.engines.running.protocol import Json, decode, encode
from kpl_lab.engines.running.workload_calls import Grounds, WorkloadCalls
from kpl_lab.engines.spec import (
    Capacity,
    MountResult,
    Recipe,
    RegistryLogin,
    Usage,
    Workload,
)
from kpl_lab.errors import EngineError
from kpl_lab.settings import Settings

_CPU_SAMPLE_SECONDS = 0.2
_MIB = 1 << 20


class Calls(WorkloadCalls[Entry]):
    """Everything that a caller may ask for."""

    def __init__(self, settings: Settings, planner: Planner, daemon: Daemon) -> None:
        self._planner = planner
        self._daemon = daemon
        self._folder = settings.home.docker
        self._ledger = Ledger(self._folder / "workloads")
        super().__init__(
            self._ledger,
            Grounds(
                engine="docker",
                storage=settings.home.storage,
                accounts=planner.accounts,
                platform=planner.platform,
            ),
        )
        chosen = planner.options.network
        self._guard = Guard(daemon, planner.installation, planner.options.blocked_addresses)
        self._network = Network(daemon, planner.installation, self._guard, chosen)
        tools = Tools(daemon, planner, self._network, self.publish)
        self._inspector = Inspector(daemon, planner.options, planner.installation, tools.sending)
        self._keeper = Keeper(self._ledger, tools)

    def begin(self) -> None:
        """Read the folders and adopt what runs."""
        for name in ("", "workloads", "homes"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
            (self._folder / name).chmod(0o711)
        self._ledger.load()
        self._keeper.begin()

    async def close(self) -> None:
        """Let go; what runs goes on."""
        await self._keeper.close()
        await self._network.remove_if_empty()

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
            "inspect_image": self._inspect_image,
            "remove_image": self._remove_image,
            "facts": self._facts,
        }

    async def _inspect_image(self, reference: str, login: Message | None = None) -> Json:
        check_base(reference)
        given = None if login is None else decode(RegistryLogin, login)
        return encode(await self._inspector.inspect(reference, given))

    async def _run(self, workload: Message) -> AsyncIterator[Json]:
        wanted = decode(Workload, workload)
        self._planner.check(wanted)
        async for item in self._run_workload(wanted, None):
            yield item

    async def _run_workload(self, workload: Workload, recipe: Recipe | None) -> AsyncIterator[Json]:
        entry = self._ledger.entries.get(workload.name)
        if entry is None:
            entry = self._ledger.create(workload, recipe=recipe)
        async for item in self._bring_up(entry, workload):
            yield item

    def _scale(self, entry: Entry) -> None:
        if self._planner.machine.can_mount and entry.workload.home is not None:
            mounts.make_root(entry.mounts)
        for index in range(entry.workload.replicas):
            status = entry.statuses.get(index)
            if entry.may_return(index):
                restarts = 0 if status is None else status.restarts
                self._keeper.start(entry, index, restarts=restarts)
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
            await asyncio.to_thread(self._ledger.remove, entry)
        self._free_accounts(entry)
        await self._network.left(entry.workload, lambda: not self._ledger.entries)
        self.publish_gone(entry)

    async def _usage(self, name: str, replica: int = 0) -> Json:
        entry = self._ledger.entries.get(name)
        status = entry.statuses.get(replica) if entry else None
        if entry is None or status is None or status.is_final or status.started_at is None:
            return None
        container = Address(name, replica).container(self._planner.installation)
        first = vitals.measured(await self._daemon.stats(container))
        begin = time.monotonic()
        await asyncio.sleep(_CPU_SAMPLE_SECONDS)
        second = vitals.measured(await self._daemon.stats(container))
        if first is None or second is None:
            return None
        cores = max(0.0, second.cpu_seconds - first.cpu_seconds) / (time.monotonic() - begin)
        return encode(
            Usage(
                cpu=round(cores, 2),
                cpu_seconds=second.cpu_seconds,
                memory_mb=second.memory_mb,
                memory_peak_mb=max(second.memory_peak_mb, status.memory_peak_mb or 0),
                processes=second.processes,
            )
        )

    async def _capacity(self) -> Json:
        info = await self._daemon.info()
        return encode(
            Capacity(
                cpu=float(info["NCPU"]),
                memory_mb=int(info["MemTotal"]) // _MIB,
                gpu=self._planner.machine.gpu_count,
            )
        )

    async def _facts(self) -> Message:
        """Return what limits and views rest on here; ``kpl-lab doctor`` tells it."""
        info = await self._daemon.info()
        return {
            "version": info["ServerVersion"],
            "cgroups": f"v{info.get('CgroupVersion', '1')}",
            "live_restore": bool(info.get("LiveRestoreEnabled")),
            "init": info.get("InitBinary", ""),
            "gpus": self._planner.machine.gpu_count,
            "mounts": self._planner.machine.can_mount,
            "network": self._planner.network,
            "unguarded": self._guard.obstacle or _why_unguarded(info),
        }

    async def _mount(self, name: str, source: str, mount: str) -> Json:
        check_segment(mount, "name of a mount")
        folder = self._planner.check_source(Path(source))
        entry = self.entry(name)
        home = self._home_of(entry)
        if not self._planner.machine.can_mount:
            raise EngineError(
                "The runner has not the right to mount (CAP_SYS_ADMIN); run it as root, or mount "
                "at the server's next start.",
                code="cannot_mount",
            )
        async with entry.lock:
            await asyncio.to_thread(mounts.add, entry.mounts, folder, mount)
        return encode(MountResult(path=f"/home/{home}/datasets/{mount}", enforced=True))

    async def _unmount(self, name: str, mount: str) -> None:
        check_segment(mount, "name of a mount")
        entry = self._ledger.entries.get(name)
        if entry is None:
            return
        async with entry.lock:
            await asyncio.to_thread(mounts.remove, entry.mounts, mount)

    async def _build(self, name: str, recipe: Message) -> AsyncIterator[Json]:
        wanted = decode(Recipe, recipe)
        check_name(name)
        check_digest(wanted.digest)
        recipes.check(wanted, self._planner.options, self._grounds.storage)
        entry = self._ledger.entries.get(name)
        if entry is None:
            self._check_not_building(wanted.digest)
            workload = builds.workload_of(name, wanted)
        else:
            workload = entry.workload
        async for item in self._run_workload(workload, wanted):
            yield item

    def _check_not_building(self, digest: str) -> None:
        for entry in self._ledger.entries.values():
            is_same = entry.recipe is not None and entry.recipe.digest == digest
            if is_same and not all(status.is_final for status in entry.statuses.values()):
                raise EngineError(
                    f"{entry.name} builds this environment already; wait for it.",
                    code="build_running",
                    detail={"name": entry.name},
                )

    async def _find_image(self, digest: str) -> str | None:
        # By our name and not by labels: an image that was made elsewhere has any labels it likes.
        reference = names.image(self._planner.installation, check_digest(digest))
        return reference if await self._daemon.has_image(reference) else None

    async def _remove_image(self, reference: str) -> bool:
        digest = check_digest(reference.rpartition(":")[2])
        if reference != names.image(self._planner.installation, digest):
            raise EngineError(f"{reference} was not made here; it stays.", code="not_ours")
        return await self._daemon.remove_image(reference, force=False)


def _why_unguarded(info: Mapping[str, Any]) -> str:
    is_rootless = any("rootless" in option for option in info.get("SecurityOptions") or ())
    return "the Docker daemon runs without root, behind a network of its own" if is_rootless else ""
