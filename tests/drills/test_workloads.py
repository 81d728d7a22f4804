"""What runs for users is killed by somebody else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.drills.lab import Caller, Lab, write_code
from tests.installation import wait_for

pytestmark = [pytest.mark.drill, pytest.mark.slow, pytest.mark.timeout(90)]

TASK_YML = """
    version: 1
    image: {from_image: "python:3.11"}
    train:
      resource: {limits: {cpu: 0.5, memory: 256}}
      cmd: python3 train.py
"""


def test_a_killed_task_says_that_it_was_killed(lab: Lab, tmp_path: Path) -> None:
    code = write_code(tmp_path / "killed", TASK_YML, train="import time; time.sleep(600)")
    task = lab.kpl("task", "submit", "--code", str(code))
    lab.wait_task(task["id"], lambda found: found["state"] == "running", "the task to run")
    groups = {os.getpgid(pid) for pid in lab.processes(f"task-{task['id']}-1")}
    assert len(groups) == 1
    os.killpg(groups.pop(), signal.SIGKILL)
    ended = lab.wait_task(task["id"], lambda found: found["finished_at"], "the task to end")
    assert (ended["state"], ended["reason"]) == ("failed", "killed")
    assert "killed" in ended["message"]
    assert ended["remedy"]["action"]


def test_a_killed_replica_comes_back_while_the_others_answer(lab: Lab, tmp_path: Path) -> None:
    service = lab.deploy("half-killed", tmp_path / "serve", replicas=2)
    name = f"service-{service['id']}-1"
    other = lab.processes(name, 1)
    with Caller(lab, service["url"]) as caller:
        wait_for(lambda: len(caller.answered_by) == 2, "both replicas to answer", 20)
        killed = [psutil.Process(pid) for pid in lab.processes(name, 0)]
        for process in killed:
            process.kill()
        psutil.wait_procs(killed)
        gone_at = time.monotonic()
        found = lab.wait_service(
            service["id"], lambda s: s["ready"] == 2 and s["instances"][0]["restarts"]
        )
        wait_for(lambda: len(caller.answered_by) == 3, "the new replica to answer", 20)
    assert [one["restarts"] for one in found["instances"]] == [1, 0]
    assert lab.processes(name, 1) == other
    # Only what the killed replica was answering when it died is lost.
    assert [call.problem for call in caller.failed if call.began > gone_at] == []
    assert len(caller.failed) <= 1
    lab.kpl("service", "delete", "half-killed", "--yes")
