"""Algorithms that install the original clients run unmodified, also through the platform's death."""

from __future__ import annotations

from typing import Any

import pytest

from tests.installation import wait_for
from tests.originals.conftest import Lab

pytestmark = [pytest.mark.originals, pytest.mark.slow, pytest.mark.timeout(590)]
STEPS = 80  # of the drill: a minute, for two processes to die and come back
INPUT = ("--input", "data=dataset:fruit")


def has_ended(task: Any) -> bool:
    return bool(task["state"] in ("succeeded", "failed", "stopped"))


def curve(lab: Lab, id: str, title: str, name: str) -> tuple[Any, Any]:
    """Return the points of a series; fails where there is more than one of that name."""
    figures = [c for c in lab.kpl("task", "metrics", id)["curves"] if c["title"] == title]
    (series,) = [s for figure in figures for s in figure["series"] if s["name"] == name]
    return series["x"], series["y"]


def succeeded(lab: Lab, id: str) -> Any:
    task = lab.until(id, has_ended, f"the task {id} to end")
    assert task["state"] == "succeeded", f"{task['message']}\n{lab.log(id)}"
    return task


def test_the_newest_originals_run_unmodified(lab: Lab) -> None:
    id = lab.submit("newest", *INPUT, "--param", "optimizer.lr=0.5")
    task = succeeded(lab, id)
    log = lab.log(id)
    assert "/environments/" in log.split("client: ")[1].splitlines()[0], log
    assert "classes: ['apple', 'pear'] lr: 0.5" in log
    assert "Traceback" not in log, log
    assert task["progress"] == 1.0
    metrics = lab.kpl("task", "metrics", id)
    (series,) = [s for f in metrics["curves"] if f["title"] == "loss" for s in f["series"]]
    assert series["x"] == list(range(30))
    assert series["y"] == pytest.approx([1 / (n + 1) for n in range(30)])
    assert task["outputs"][0]["kind"] == "model"


def test_what_the_newest_originals_saved_is_there(lab: Lab) -> None:
    for noun, name in (
        ("model", "saved-model"),
        ("dataset", "saved-dataset"),
        ("dataset", "saved-files"),
        ("algorithm", "saved-algorithm"),
    ):

        def is_ready(noun: str = noun, name: str = name) -> bool:
            return bool(lab.kpl(noun, "show", name)["state"] == "ready")

        wait_for(is_ready, f"{noun} {name}")
    assert lab.kpl("dataset", "show", "saved-dataset")["records"] == 4
    assert lab.kpl("model", "show", "saved-model")["description"] == "one file"


def test_a_program_of_the_newest_originals_ends_itself(lab: Lab) -> None:
    id = lab.submit("newest", *INPUT, "--param", "kill=true", "--param", "steps=2")
    task = lab.until(id, has_ended, "the task to end itself")
    assert (task["state"], task["reason"]) == ("stopped", "stopped_itself"), lab.log(id)


def test_the_oldest_originals_run_unmodified(lab: Lab) -> None:
    id = lab.submit("oldest", *INPUT)
    task = succeeded(lab, id)
    log = lab.log(id)
    assert "/environments/" in log.split("client: ")[1].splitlines()[0], log
    assert "records: 6" in log
    assert "ERROR" not in log, log
    xs = list(range(1, 31))
    assert curve(lab, id, "训练", "loss") == (xs, pytest.approx([1 / x for x in xs]))
    assert curve(lab, id, "训练", "top1") == (xs, pytest.approx([x / 30 for x in xs]))
    metrics = lab.kpl("task", "metrics", id)
    assert metrics["scalars"] == {"top1": 0.92, "top5": 0.98}
    assert metrics["results"][0]["title"] == "ROC"
    assert metrics["results"][0]["data"] == [[0.0, 0.0], [0.5, 0.9], [1.0, 1.0]]
    assert [(o["kind"], o["name"]) for o in task["outputs"]] == [
        ("model", "oldest"),
        ("model", "oldest-other"),
    ]


@pytest.mark.drill
@pytest.mark.parametrize("name", ["newest", "oldest"])
def test_they_go_on_while_platform_and_controller_are_killed(lab: Lab, name: str) -> None:
    id = lab.submit(name, *INPUT, "--param", f"steps={STEPS}", "--param", "seconds=0.75")
    lab.until(id, lambda t: (t["progress"] or 0) > 0, "progress")
    for process in ("platform", "controller"):
        before = lab.installation.pids()[process]
        lab.kill(process)

        def is_back(process: str = process, before: int | None = before) -> bool:
            now = lab.installation.pids()[process]
            return now is not None and now != before

        wait_for(is_back, f"the {process} to come back")
        wait_for(lambda: lab.installation.get("/kpl/api/v1/me") == 200, "the platform to answer")
    assert lab.task(id)["state"] == "running", "the task was over before the platform died"
    task = succeeded(lab, id)
    assert task["attempt"] == 1
    assert task["progress"] == 1.0
    title, series = ("loss", "save") if name == "newest" else ("训练", "loss")
    start = 0 if name == "newest" else 1
    xs, ys = curve(lab, id, title, series)
    assert xs == list(range(start, start + STEPS))
    assert ys == pytest.approx([1 / (x + 1 - start) for x in xs])
