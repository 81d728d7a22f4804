"""Every part is killed, one after the other, while a task and a service run."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.drills.lab import Caller, Lab, write_code

pytestmark = [pytest.mark.drill, pytest.mark.slow, pytest.mark.timeout(120)]

PARTS = ("platform", "controller", "hub", "frontdoor", "runner", "supervisor")
POINTS = 200
# A front door that died is started again within two seconds, and reads its routes.
DOOR_SECONDS = 5.0

TRAIN_YML = """
    version: 1
    image: {from_image: "python:3.11"}
    train:
      resource: {limits: {cpu: 0.5, memory: 256}}
      outputs:
        - {key: save, name: Starts, kind: model}
      cmd: python3 train.py
"""
TRAIN = f"""
    import time
    from pathlib import Path

    import kpl_helper

    kpl_helper.ready()
    output = Path(kpl_helper.get_output_path("save"))
    output.mkdir(parents=True, exist_ok=True)
    with (output / "starts").open("a") as file:
        file.write("started\\n")
    print("started", flush=True)
    figure = kpl_helper.metric.MetricFigure("loss", "train")
    for number in range({POINTS}):
        figure.push_metric(number, number * 0.5)
        time.sleep(0.2)
    kpl_helper.done()
"""


def replicas(lab: Lab, service: int) -> list[set[int]]:
    """Return the processes of both replicas."""
    return [lab.processes(f"service-{service}-1", index) for index in range(2)]


def kill_all(lab: Lab, parts: list[str]) -> dict[str, tuple[float, float]]:
    """Kill each part once; return when each was killed and when it was back."""
    found = {}
    for part in parts:
        began = time.monotonic()
        lab.kill_and_wait(part)
        found[part] = (began, time.monotonic())
    return found


def bad_calls(caller: Caller, killed: dict[str, tuple[float, float]]) -> tuple[list[Any], float]:
    """Return the calls that failed while the front door was there, and for how long it was not."""
    down, back = killed["frontdoor"]
    # It is noted before the kill, so that calls may be answered between the two.
    gone = min((c.began for c in caller.failed if c.ended >= down), default=down)
    answered = [c.ended for c in caller.calls if c.began > gone and not c.problem]
    first = min(answered, default=back)
    others = [c for c in caller.failed if not (c.ended >= down and c.began <= first)]
    return others, first - down


def test_a_task_and_a_service_go_on_whatever_is_killed(
    lab: Lab, chance: random.Random, tmp_path: Path
) -> None:
    service = lab.deploy("outlives", tmp_path / "serve", replicas=2)
    code = write_code(tmp_path / "train", TRAIN_YML, train=TRAIN)
    words = ("--code", str(code), "--save-as", "save=model:starts")
    task = lab.kpl("task", "submit", *words)
    lab.wait_task(task["id"], lambda found: found["state"] == "running", "the task to run")
    before = replicas(lab, service["id"])
    parts = chance.sample(PARTS, len(PARTS))
    with Caller(lab, service["url"]) as caller:
        killed = kill_all(lab, parts)
        ended = lab.wait_task(task["id"], lambda found: found["finished_at"], "the task to end")
    unexpected, without_door = bad_calls(caller, killed)
    assert unexpected == [], f"killed in this order: {', '.join(parts)}"
    assert without_door < DOOR_SECONDS
    assert len(caller.answered_by) == 2
    assert replicas(lab, service["id"]) == before
    assert (ended["state"], ended["attempt"]) == ("succeeded", 1)
    curves = lab.kpl("task", "metrics", str(task["id"]))["curves"]
    series = curves[0]["series"][0]
    assert series["total"] == POINTS
    assert series["x"] == [float(number) for number in range(POINTS)]
    assert series["y"] == [number * 0.5 for number in range(POINTS)]
    log = lab.kpl("task", "logs", str(task["id"]))["text"]
    assert log.count("started\n") == 1
    saved = tmp_path / "starts"
    lab.kpl("model", "download", "starts:1", "--to", str(saved))
    assert (saved / "starts").read_text() == "started\n"
    lab.kpl("service", "delete", "outlives", "--yes")
