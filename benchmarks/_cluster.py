"""A cluster without machines (``_cluster_worker``), and the load that ``cluster_scale`` puts on it."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from sqlalchemy import func, insert, select

from benchmarks._cluster_worker import BRIEF
from benchmarks._common import ROOT, until
from kpl_lab import settings
from kpl_lab.client import Client
from kpl_lab.platform.storage.database import open_engine
from kpl_lab.platform.storage.orm.work import TaskRow
from kpl_lab.schemas.tasks import TaskCreate
from tests.installation import Installation

ALGORITHM = "code"
# Of each task: so that a machine that plays the cluster, too, can start as many pods as that has.
NODES = 4
_AT_ONCE = 8
_ON_THE_WAY = 64
# After which a notebook server tells the hub again that it is used.
_ACTIVITY_SECONDS = 300


class Cluster:
    """The cluster without machines, asked past its API."""

    def __init__(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def calls(self) -> Counter[str]:
        """Return how often the API server was asked, by verb and kind."""
        return Counter(self._http.get("/calls").json())

    def state(self) -> dict[str, int]:
        """Return how many objects there are; ``running``: pods of tasks that have not been ended."""
        found: dict[str, int] = self._http.get("/state").json()
        return found

    def gone(self) -> int:
        """Return how many Jobs were removed."""
        return int(self._http.get("/gone").json())

    def end(self, count: int) -> None:
        """Let the commands of so many tasks end, the oldest first."""
        if int(self._http.post(f"/end/{count}").json()) != count:
            raise RuntimeError(f"less than {count} tasks run")


@contextlib.contextmanager
def cluster() -> Iterator[tuple[Cluster, Path]]:
    """Run it; give it and the kubeconfig that leads to it."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "kubeconfig")
        command = [sys.executable, "-m", "benchmarks._cluster_worker", str(kubeconfig)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield Cluster(json.loads(process.stdout.readline())["control"]), kubeconfig
        finally:
            process.terminate()
            process.wait(60)


class Load:
    """What users have: servers that run, tasks of several pods that run, tasks that have ended.

    Servers are started by the hub, each for a user of its own. Tasks that ended before are only what is left
    of them: rows of the database, copied from one that did run.
    """

    def __init__(self, client: Client, found: Installation, there: Cluster) -> None:
        self._client, self._cluster = client, there
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._hub = httpx.Client(
            base_url=f"{found.url}/hub/api",
            headers={"Authorization": f"token {found.credentials['token']}"},
            timeout=120,
            trust_env=False,
        )
        self._database = open_engine(settings.load(found.environment).database_url)
        self.servers = self.tasks = self.ended = 0

    def bring(self, servers: int, tasks: int, ended: int) -> None:
        """Let there be so many servers, tasks that run, and tasks that have ended."""
        names = [_user(number) for number in range(self.servers, servers)]
        if names:
            self._hub.post("/users", json={"usernames": names}).raise_for_status()
            list(self._pool.map(self._start_server, names))
        self.servers = servers
        if not self.ended:
            self.submit(1)
            self.end(1)
        self.submit(tasks - self.tasks)
        self.settle()
        self._copy(max(0, ended - self.ended))

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the servers tell the hub that they are used, as often as they do, meanwhile."""
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            telling = pool.submit(self._tell_of_use, over)
            try:
                yield
            finally:
                over.set()
                telling.result()

    def _tell_of_use(self, over: threading.Event) -> None:
        for number in itertools.cycle(range(self.servers)):
            if over.wait(_ACTIVITY_SECONDS / self.servers):
                return
            now = dt.datetime.now(dt.UTC).isoformat()
            body = {"last_activity": now, "servers": {"": {"last_activity": now}}}
            self._hub.post(f"/users/{_user(number)}/activity", json=body).raise_for_status()

    def churn(self, seconds: float, rate: float) -> None:
        """Let tasks come and go for so long, so many a second."""
        begun, count = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            self.submit(1)
            self.end(1)
            count += 1
            time.sleep(max(0.0, begun + count / rate - time.monotonic()))

    def pass_through(self, count: int) -> None:
        """Let so many tasks of one pod each come, run for a moment and go, as fast as they are taken.

        Some dozens are on the way at any time.

        Raises
        ------
        RuntimeError
            One of them did not succeed.
        """
        body = TaskCreate(algorithm=ALGORITHM, environment={BRIEF: "1"})
        before, ended = self._cluster.gone(), self._succeeded()
        sent = passed = 0

        def further() -> int:
            found = self._cluster.gone() - before
            return found if found > passed else 0

        while passed < count:
            fresh = min(count, passed + _ON_THE_WAY) - sent
            list(self._pool.map(self._client.tasks.submit, [body] * fresh))
            sent += fresh
            passed = until(further, "the next task's end", seconds=300, pause=0.1)
        ended = self._succeeded() - ended
        if ended != count:
            raise RuntimeError(f"{count} tasks passed, and {ended} succeeded")
        self.ended += count

    def _succeeded(self) -> int:
        """Return how many tasks have ended well."""
        wanted = select(func.count()).where(TaskRow.state == "succeeded")
        with self._database.connect() as connection:
            return connection.execute(wanted).scalar_one()

    def submit(self, count: int) -> None:
        """Submit tasks."""
        self.tasks += count
        bodies = [TaskCreate(algorithm=ALGORITHM, nodes=NODES) for _ in range(count)]
        list(self._pool.map(self._client.tasks.submit, bodies))

    def end(self, count: int) -> None:
        """Let the oldest tasks end, as soon as they run."""
        pods = count * NODES
        until(lambda: self._cluster.state()["running"] >= pods, "pods", seconds=300, pause=0.2)
        self._cluster.end(pods)
        self.tasks, self.ended = self.tasks - count, self.ended + count

    def _copy(self, count: int) -> None:
        """Let there be more tasks that have ended."""
        table = TaskRow.__table__
        columns = [column for column in table.columns if column.name != "id"]
        last = select(func.max(table.c.id)).where(table.c.state == "succeeded").scalar_subquery()
        copies = select(*columns, func.generate_series(1, count)).where(table.c.id == last)
        inner = copies.subquery()
        values = select(*[inner.c[column.name] for column in columns])
        with self._database.begin() as connection:
            connection.execute(insert(table).from_select(columns, values))
        self.ended += count

    def _start_server(self, name: str) -> None:
        self._hub.post(f"/users/{name}/server").raise_for_status()
        with self._hub.stream("GET", f"/users/{name}/server/progress") as answer:
            for line in answer.iter_lines():
                event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if event.get("ready"):
                    return
                if event.get("failed"):
                    raise RuntimeError(f"the server of {name} did not start: {event}")
        raise RuntimeError(f"the hub stopped to tell how the server of {name} starts")

    def settle(self) -> None:
        """Wait until all is as it is to be, and the platform has noted it."""
        pods = self.tasks * NODES

        def is_settled() -> bool:
            found = self._cluster.state()
            return found["running"] == pods and found["Pod"] == pods + self.servers

        until(is_settled, "the cluster to settle", seconds=900, pause=1.0)
        time.sleep(10)  # what is noted a moment later


def _user(number: int) -> str:
    return f"user-{number}"
