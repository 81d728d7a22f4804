"""1,000 users' servers, 5,000 pods and 10,000 Jobs on a cluster without machines: what do our processes take?

The API server is a double in a process of its own, pods are only told of; hub, API, controller, runner and PostgreSQL
are real. Measured at a tenth, at half and at all of the load: while nothing changes, and while tasks come and go. At a
tenth and at all of it, tasks of one pod then pass through as fast as they are taken.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from benchmarks._cluster import ALGORITHM, NODES, Cluster, Load, cluster
from benchmarks._common import LeftOutError, Row, emit, run_program, sized
from benchmarks._installation import installation
from benchmarks._tasks import project
from kpl_lab.client import Client
from tests import postgresql
from tests.installation import Installation, running_installation
from tests.places import passable

USERS, PODS = sized(1000, 20), sized(5000, 60)
# Tasks of one pod that pass through at these shares of the load, and tasks that ended before the last of them.
PASSING = {0.1: sized(400, 10), 1.0: sized(1200, 30)}
ENDED = sized(7800, 60)
SHARES = (0.1, 0.5, 1.0)
SECONDS = sized(40, 5)
CHURN_RATE = 1.0
LISTS, PAGE = sized(30, 3), 100
PARTS = {"runner": "runner", "controller": "controller", "platform": "API", "hub": "hub"}
# Those that have to do with Jobs.
WORKING = ("runner", "controller", "platform")
ENGINE = """
c.KubernetesOptions.reach = "pods"
c.KubernetesOptions.connect_host = "127.0.0.1"
"""


@dataclass(frozen=True)
class Use:
    """What was taken in a while: MiB before and after it, CPU seconds, and calls to the API server."""

    minutes: float
    before: dict[str, float]
    memory: dict[str, float]
    cpu: dict[str, float]
    calls: Counter[str]


class Stage:
    """An installation with a part of the load."""

    def __init__(self, found: Installation, there: Cluster) -> None:
        pids = found.pids()
        self._there = there
        self._processes = {name: psutil.Process(pids[name]) for name in PARTS}

    def use(self, work: Callable[[], Any]) -> Use:
        """Return what our processes take while something goes on."""
        before = self._memory()
        cpu, calls, begun = self._cpu(), self._there.calls(), time.monotonic()
        work()
        minutes = (time.monotonic() - begun) / 60
        after, called = self._cpu(), self._there.calls() - calls
        taken = {name: value - cpu[name] for name, value in after.items()}
        return Use(minutes, before, self._memory(), taken, called)

    def _memory(self) -> dict[str, float]:
        return {name: one.memory_info().rss / 2**20 for name, one in self._processes.items()}

    def _cpu(self) -> dict[str, float]:
        times = {name: one.cpu_times() for name, one in self._processes.items()}
        return {name: found.user + found.system for name, found in times.items()}


@dataclass(frozen=True)
class Passing:
    """What tasks of one pod took that passed through, and what is taken while nothing changes."""

    count: int
    use: Use
    idle: Use

    def cpu(self, part: str) -> float:
        """Return the CPU seconds that one of them took, without what goes on anyway."""
        anyway = self.idle.cpu[part] / self.idle.minutes * self.use.minutes
        return (self.use.cpu[part] - anyway) / self.count


@dataclass(frozen=True)
class Measured:
    """A part of the load: what nothing takes, what tasks take that come and go, seconds of a list."""

    share: float
    idle: Use
    churn: Use
    lists: list[float]
    passing: Passing | None


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Give a PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="kpl-pg-") as folder:
        try:
            with postgresql.server(passable(Path(folder))) as url:
                yield url
        except pytest.skip.Exception as why:
            raise LeftOutError(str(why)) from None


def lists(client: Client) -> list[float]:
    """Return the seconds that a page of the list of tasks took."""
    took = []
    for _ in range(LISTS):
        began = time.perf_counter()
        client.tasks.list(limit=PAGE)
        took.append(time.perf_counter() - began)
    return took


def measured(share: float, load: Load, stage: Stage, client: Client) -> Measured:
    """Bring the installation to a share of the load, and measure."""
    begun = time.monotonic()
    tasks = round((PODS - USERS) / NODES * share)
    load.bring(round(USERS * share), tasks, round(ENDED * share))
    loaded = time.monotonic() - begun
    with load.in_use():
        idle = stage.use(lambda: time.sleep(SECONDS))
        churn = stage.use(lambda: load.churn(SECONDS, CHURN_RATE))
    took = lists(client)
    passed = passing(PASSING[share], idle, load, stage) if share in PASSING else None
    found = Measured(share, idle, churn, took, passed)
    told = f"{share:.0%}, loaded in {loaded:.0f} s, {time.monotonic() - begun:.0f} s in all"
    print(f"{told}: {found}", file=sys.stderr, flush=True)
    return found


def passing(count: int, idle: Use, load: Load, stage: Stage) -> Passing:
    """Measure what so many tasks take that pass through."""
    load.settle()
    return Passing(count, stage.use(lambda: load.pass_through(count)), idle)


def rows(first: Measured, found: Measured) -> Iterator[Row]:
    """Yield what a part of the load takes beside the first part."""

    def row(what: str, unit: str, value: float, before: float) -> Row:
        # Nothing at all is no measurement: less than the smallest that is shown.
        least = {"calls/min": 1.0}.get(unit, 0.01)
        name, peer = f"cluster at {found.share:.0%} of its load: {what}", f"at {first.share:.0%}"
        ours, theirs = max(value, least), max(before, least)
        return Row(name, peer, unit, ours, theirs, lower_is_better=unit != "Jobs/min")

    for part, name in PARTS.items():
        yield row(f"memory of the {name}", "MiB", found.idle.memory[part], first.idle.memory[part])
    for what, now, then in (
        ("nothing changes", found.idle, first.idle),
        (f"{CHURN_RATE:g} task/s of {NODES} pods comes and goes", found.churn, first.churn),
    ):
        for part, name in PARTS.items():
            values = [use.cpu[part] / use.minutes for use in (now, then)]
            yield row(f"CPU of the {name}, {what}", "s/min", *values)
        values = [use.calls.total() / use.minutes for use in (now, then)]
        yield row(f"calls to the API server, {what}", "calls/min", *values)
    values = [1000 * median(one.lists) for one in (found, first)]
    yield row(f"a page of {PAGE} tasks, median", "ms", *values)
    both = (found.passing, first.passing)
    if both[0] is not None and both[1] is not None:
        yield from passing_rows(row, both[0], both[1])


def passing_rows(row: Callable[..., Row], found: Passing, first: Passing) -> Iterator[Row]:
    """Yield what Jobs take that pass through, beside those at the first part of the load."""
    what, both = "passing through", (found, first)
    rates = [one.count / one.use.minutes for one in both]
    yield row(f"Jobs of one pod {what}", "Jobs/min", *rates)
    for part in WORKING:
        values = [1000 * one.cpu(part) for one in both]
        yield row(f"CPU of the {PARTS[part]}, a Job {what}", "ms", *values)
    values = [one.use.calls.total() / one.count for one in both]
    yield row(f"calls to the API server, a Job {what}", "calls", *values)
    for part in WORKING:
        after, before = found.use.memory[part], found.use.before[part]
        name = f"memory of the {PARTS[part]}, {found.count:,} Jobs {what}"
        yield replace(row(name, "MiB", after, before), peer="before them")


def main() -> None:
    with database() as url, cluster() as (there, kubeconfig):
        variables = {
            "KPL_ENGINE": "kubernetes",
            "KUBECONFIG": str(kubeconfig),
            "KPL_DATABASE_URL": url,
        }
        files = {"kubernetes_engine.py": ENGINE}
        running = running_installation("kpl-bench-", variables=variables, files=files)
        with installation(running) as (client, found), project() as code:
            client.algorithms.publish(code, ALGORITHM)
            load, stage = Load(client, found, there), Stage(found, there)
            first, *others = [measured(share, load, stage, client) for share in SHARES]
    for other in others:
        for one in rows(first, other):
            emit(one)


if __name__ == "__main__":
    run_program(main)
