"""``kpl-lab down`` with everything running, and what the next ``up`` makes of it; two at once."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from kpl_lab.engines.local import processes
from tests.drills.lab import API, Lab, write_code
from tests.installation import NAMES, processes_of

pytestmark = [pytest.mark.drill, pytest.mark.slow, pytest.mark.timeout(240)]

CGROUPS = Path("/sys/fs/cgroup")
TASK_YML = """
    version: 1
    image: {from_image: "python:3.11"}
    train: {cmd: python3 train.py}
"""


def submit(lab: Lab, folder: Path, name: str, program: str, memory: int) -> Any:
    code = write_code(folder, TASK_YML, train=program)
    words = ("--code", str(code), "--name", name, "--memory", str(memory), "--cpu", "0.2")
    return lab.kpl("task", "submit", *words)


def ports_of(lab: Lab) -> set[int]:
    """Return the ports on which processes of this installation listen."""
    ours = processes_of(lab.installation.home)
    return processes.listening_ports([process.pid for process in ours])


def cgroups_of(lab: Lab) -> list[Path]:
    return list(CGROUPS.rglob(f"kpl-{lab.instance}*")) if CGROUPS.is_dir() else []


def is_taken(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return False
    return True


def assert_nothing_left(lab: Lab, ports: set[int]) -> None:
    home = lab.installation.home
    assert [" ".join(process.cmdline()) for process in processes_of(home)] == []
    mounts = Path("/proc/mounts").read_text().splitlines()
    assert [line for line in mounts if str(home) in line] == []
    assert [port for port in ports if is_taken(port)] == []
    assert cgroups_of(lab) == []


def test_down_ends_everything_in_words_and_up_goes_on(lab: Lab, tmp_path: Path) -> None:
    total = int(lab.ask(f"{API}/capacity")["memory"]["limit"])
    service = lab.deploy("comes-back", tmp_path / "serve", replicas=2)
    running = submit(lab, tmp_path / "long", "runs", "import time; time.sleep(600)", 1024)
    lab.wait_task(running["id"], lambda t: t["state"] == "running", "the task to run")
    queued = submit(lab, tmp_path / "waits", "waits", "print('it was my turn')", total - 768)
    assert queued["state"] == "queued"
    data = tmp_path / "data"
    data.mkdir()
    (data / "one.txt").write_text("one")
    lab.kpl("dataset", "create", "mounted", "--from", str(data))
    server = lab.kpl("server", "start")
    assert lab.kpl("dataset", "mount", "mounted")["state"] == "mounted"
    before, ports = lab.processes(f"service-{service['id']}-1"), ports_of(lab)
    assert before
    assert len(ports) >= 6  # the front door's two, hub, platform, two replicas, the notebook server

    lab.installation.down()
    assert_nothing_left(lab, ports)
    assert cgroups_of(lab) == []
    up_at = dt.datetime.now(dt.UTC)
    lab.installation.up()

    stopped = lab.kpl("task", "show", str(running["id"]))
    assert (stopped["state"], stopped["reason"]) == ("stopped", "platform_down")
    assert stopped["message"]
    had_its_turn = lab.wait_task(queued["id"], lambda t: t["finished_at"], "the queued task")
    assert (had_its_turn["state"], had_its_turn["attempt"]) == ("succeeded", 1)
    assert dt.datetime.fromisoformat(had_its_turn["started_at"]) > up_at
    found = lab.wait_service(service["id"], lambda s: s["state"] == "running")
    assert found["url"] == service["url"]
    assert lab.installation.get(found["url"].removeprefix(lab.installation.url)) == 200
    states = [s["state"] for s in lab.kpl("server", "list")["items"] if s["id"] == server["id"]]
    assert states in ([], ["stopped"])
    lab.kpl("service", "delete", "comes-back", "--yes")


def test_two_ups_at_once_leave_one_installation(lab: Lab) -> None:
    lab.installation.down()
    both = [lab.installation.start("kpl-lab", "up") for _ in range(2)]
    said = [process.communicate(timeout=80) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    pids = lab.installation.pids()
    assert set(pids) == set(NAMES)
    assert all(pids.values())
    modules = Counter(_module(process) for process in processes_of(lab.installation.home))
    expected = ("supervisor", "hub", "platform", "controller", "runner", "frontdoor")
    assert {name: modules[name] for name in expected} == dict.fromkeys(expected, 1)
    assert lab.installation.get(f"{API}/me") == 200


MODULES = {
    "kpl_lab.supervisor": "supervisor",
    "kpl_lab.jupyter": "hub",
    "kpl_lab.platform": "platform",
    "kpl_lab.platform.runtime": "controller",
    "kpl_lab.engines.local.runner": "runner",
}


def _module(process: psutil.Process) -> str:
    words = process.cmdline()
    if "traefik" in Path(words[0]).name:
        return "frontdoor"
    if "-m" not in words:
        return words[0]
    module = words[words.index("-m") + 1]
    return MODULES.get(module, module)
