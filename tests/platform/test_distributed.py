"""Tasks of several processes: what they hold, how they are started, and how their end is told."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.fake import Script
from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain import distributed, launcher
from tests.platform.running import CODE, Site

WAITS = Script(run_seconds=None, log=b"epoch 1\n")
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


async def test_each_node_is_a_replica_and_holds_the_limits(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    made = await alice.submit(nodes=3, processes=2, resources={"cpu": 0.5, "memory": 100})
    task = await alice.until(f"tasks/{made['id']}", "running")
    assert (task["nodes"], task["processes"], task["launch"]) == (3, 2, "process")
    workload = site.engine.workloads[f"task-{made['id']}-1"]
    assert (workload.replicas, workload.meeting_ports) == (3, 7)
    assert workload.command[0] == "python3"
    assert workload.command[-3:-1] == ("/bin/sh", "-c")
    given = workload.environment
    assert (given["WORLD_SIZE"], given["NNODES"], given["NPROC_PER_NODE"]) == ("6", "3", "2")
    assert given["NODE_RANK"] == "{{replica}}"
    assert {"NODE_RANK", "MASTER_PORT", "VC_WORKER_HOSTS"} <= set(workload.templates or ())
    capacity = await alice.get("capacity")
    assert capacity["memory"]["used"] == 300


async def test_what_can_never_fit_counts_all_nodes(site: Site) -> None:
    alice = site.user()
    answer = await alice.http.post(
        "tasks",
        json={"upload": await alice.code(CODE), "nodes": 9, "resources": {"memory": 4000}},
    )
    assert answer.json()["code"] == "never_fits"
    assert "36000 MiB" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"nodes": 0}, "nodes"),
        ({"nodes": 1024, "processes": 256}, "262144 processes"),
        ({"launch": "torchrun"}, "launch"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    site: Site, body: dict[str, Any], words: str
) -> None:
    alice = site.user()
    answer = await alice.http.post("tasks", json={"upload": await alice.code(CODE), **body})
    assert answer.status_code == 422
    assert words in answer.text


async def test_it_runs_once_all_nodes_do_and_ends_when_all_have(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit(nodes=2)
    await alice.until(f"tasks/{task['id']}", "running")
    name = f"task-{task['id']}-1"
    await site.engine.finish(name, replica=0)
    await asyncio.sleep(0.1)
    assert (await alice.get(f"tasks/{task['id']}"))["state"] == "running"
    await site.engine.finish(name, replica=1)
    assert (await alice.ended(task))["state"] == "succeeded"


async def test_the_node_that_failed_is_named_and_every_log_is_kept(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit(nodes=2)
    await alice.until(f"tasks/{task['id']}", "running")
    name = f"task-{task['id']}-1"
    trace = b'Traceback (most recent call last):\n  File "t.py", line 1\nValueError: odd shard\n'
    await site.engine.say(name, trace, replica=1)
    await site.engine.finish(name, replica=1, exit_code=1)
    done = await alice.ended(task)
    assert (done["state"], done["exit_code"]) == ("failed", 1)
    assert done["message"].startswith("Node 1 failed first. ")
    assert "odd shard" in done["message"]
    logs = [(await alice.get(f"tasks/{task['id']}/log", node=node))["text"] for node in (0, 1)]
    assert logs == ["epoch 1\n", "epoch 1\n" + trace.decode()]
    answer = await alice.http.get(f"tasks/{task['id']}/log", params={"node": 2})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_node")


async def test_a_stopped_one_is_stopped_whole(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit(nodes=2)
    await alice.until(f"tasks/{task['id']}", "running")
    await alice.post(f"tasks/{task['id']}/stop", {})
    assert (await alice.ended(task))["state"] == "stopped"


async def test_one_that_was_killed_says_where(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit(nodes=2)
    await alice.until(f"tasks/{task['id']}", "running")
    await site.engine.finish(f"task-{task['id']}-1", replica=1, exit_code=-9, cause=Cause.KILLED)
    done = await alice.ended(task)
    assert (done["state"], done["reason"]) == ("failed", "killed")
    assert done["message"].startswith("Node 1 failed first. ")


@pytest.mark.parametrize(
    ("command", "way"),
    [
        ("python train.py", "process"),
        ("torchrun train.py", "node"),
        ("cd x && torchrun --nproc-per-node 2 train.py", "node"),
        ("python -m torch.distributed.run train.py", "node"),
        ("python -m torch.distributed.launch train.py", "node"),
        ("accelerate launch train.py", "node"),
        ("mpirun -n 4 ./train", "node"),
        ("python torchrun.py", "process"),
        ("python my_torchrun train.py", "process"),
    ],
)
def test_the_command_says_who_starts_the_processes(command: str, way: str) -> None:
    assert distributed.way_of(command, None) == way
    assert distributed.way_of(command, "process") == "process"


# --- the launcher, as it runs inside ------------------------------------------------------------


def given(nodes: int = 1, node: int = 0, processes: int = 1, launch: str = "process") -> Any:
    return {
        **os.environ,
        "NNODES": str(nodes), "NODE_RANK": str(node), "NPROC_PER_NODE": str(processes),
        "VC_WORKER_HOSTS": ",".join(["127.0.0.1"] * nodes), "MASTER_PORT": "29500",
        "KPL_LAUNCH": launch,
    }  # fmt: skip


def launched(line: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        distributed.command(line), env=given(**how), capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip


def test_each_process_knows_its_place() -> None:
    done = launched(f"python3 -c '{SHOW}'", nodes=2, node=1, processes=2)
    found = {one["RANK"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert sorted(found) == ["2", "3"]
    assert found["3"]["LOCAL_RANK"] == "1"
    assert found["3"]["MASTER_ADDR"] == "127.0.0.1"
    assert found["3"]["OMP_NUM_THREADS"] == "1"
    assert json.loads(found["3"]["TF_CONFIG"]) == {
        "cluster": {"worker": [f"127.0.0.1:{29501 + rank}" for rank in range(4)]},
        "task": {"type": "worker", "index": 3},
    }


def test_a_command_that_starts_processes_itself_runs_once_and_finds_torchruns_options() -> None:
    done = launched(f"python3 -c '{SHOW}'", nodes=2, node=1, processes=2, launch="node")
    (one,) = map(json.loads, done.stdout.splitlines())
    assert (one["RANK"], one["LOCAL_RANK"]) == ("2", "0")
    assert (one["PET_NNODES"], one["PET_NODE_RANK"], one["PET_NPROC_PER_NODE"]) == ("2", "1", "2")
    assert (one["PET_MASTER_ADDR"], one["PET_MASTER_PORT"]) == ("127.0.0.1", "29500")


def test_the_first_failure_ends_the_others_and_is_told() -> None:
    since = time.monotonic()
    done = launched("[ $LOCAL_RANK = 1 ] && exit 7; exec sleep 60", processes=3)
    assert done.returncode == 7
    assert time.monotonic() - since < 20
    assert "process 1 (node 0, local rank 1) ended with exit code 7" in done.stderr


@pytest.mark.parametrize("name", ["SEGV", "KILL", "TERM"])
def test_a_signal_that_ends_one_ends_the_launcher(name: str) -> None:
    done = launched(f"[ $LOCAL_RANK = 0 ] && kill -{name} $$; exec sleep 60", processes=2)
    assert done.returncode == -signal.Signals[f"SIG{name}"]
    assert "Traceback" not in done.stderr


def test_a_command_finds_signals_as_they_are_elsewhere() -> None:
    ignored = "grep SigIgn /proc/self/status"
    both = {launched(ignored, nodes=2).stdout, launched(ignored, processes=2).stdout[:24] + "\n"}
    assert len(both) == 1


def test_a_list_of_workers_that_no_variable_holds_is_left_out() -> None:
    many = {**given(nodes=1024, processes=4), "VC_WORKER_HOSTS": ",".join(["n" * 40] * 1024)}
    assert "TF_CONFIG" not in launcher.environment_of(0, many)


def test_a_polite_stop_reaches_all_and_their_ends_are_awaited(tmp_path: Path) -> None:
    line = f"trap 'touch {tmp_path}/$LOCAL_RANK; exit 0' TERM; touch {tmp_path}/up$LOCAL_RANK; "
    line += "while :; do sleep 0.05; done"
    process = subprocess.Popen(distributed.command(line), env=given(processes=2))
    until = time.monotonic() + 20
    while len(list(tmp_path.glob("up*"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=20) == 0
    assert {"0", "1"} <= {one.name for one in tmp_path.iterdir()}


def test_nodes_without_a_name_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks: list[str] = []

    def find(host: str, port: object) -> list[object]:
        looks.append(host)
        if host == "late" and looks.count("late") < 3:
            raise socket.gaierror
        return []

    monkeypatch.setattr(socket, "getaddrinfo", find)
    launcher.await_hosts(["first", "late"], tell_after=0.0)
    assert looks == ["first", "late", "late", "late"]
    assert "waiting for node 2 of 2 (late)" in capsys.readouterr().err
    looks.clear()
    launcher.await_hosts(["late", "never asked for"], give_up_after=0.0)
    assert looks == ["late"]
    assert "node 1 of 2 (late) is not there; going on without it" in capsys.readouterr().err


def test_the_launcher_is_written_for_python_3_7() -> None:
    ast.parse(Path(launcher.__file__).read_text("utf-8"), feature_version=(3, 7))
