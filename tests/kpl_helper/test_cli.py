"""The command ``khelper``, as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpl_helper.cli import main


@pytest.fixture
def khelper(as_task: Any, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    import os

    root = str(Path(__file__).resolve().parents[2])

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kpl_helper.cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_saves_by_long_and_short_options(platform: Any, khelper: Any, tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_text("weights")
    calls = [
        ("dataset", "--name", "d", "--desc", "of d", "--path", "m.pt", "--as_serialized"),
        ("dataset", "-n", "d", "-p", "m.pt"),
        ("model", "-n", "m", "-d", "x", "-p", "m.pt"),
        ("algorithm", "-n", "a", "-p", "m.pt"),
    ]
    for call in calls:
        ended = khelper("save", *call)
        assert ended.returncode == 0, ended
    routes = [request["path"] for request in platform.requests]
    assert routes == ["/dataset/upload", "/dataset_fs/upload", "/model/upload", "/algorithm/upload"]
    descriptions = [request["form"]["description"] for request in platform.requests]
    assert descriptions == ["of d", "", "x", ""]


def test_a_failed_save_ends_with_0_as_before_and_with_1_on_request(
    platform: Any, khelper: Any
) -> None:
    ended = khelper("save", "model", "-n", "m", "-p", "nowhere")
    assert ended.returncode == 0
    assert "nowhere does not exist" in ended.stdout
    assert platform.latest("failures")[0]["what"] == "save model m"
    ended = khelper("save", "model", "-n", "m", "-p", "nowhere", "--raise_errors")
    assert ended.returncode == 1
    assert ended.stderr.startswith("khelper: ")


def test_kill_asks_the_platform_to_stop_the_task(platform: Any, khelper: Any) -> None:
    assert khelper("kill").returncode == 0
    (request,) = platform.requests
    assert (request["path"], request["json"]) == ("/task/stop", {"task_id": 7})
    assert khelper("kill", KPL_ENV="notebook").returncode == 0
    platform.misbehaviour += [{"code": "Forbidden", "msg": "not yours", "data": None}]
    ended = khelper("kill")
    assert (ended.returncode, "not yours" in ended.stderr) == (1, True)


def test_write_puts_the_parameters_into_a_file(khelper: Any, tmp_path: Path) -> None:
    ended = khelper("write", "new/parameter.yml", KPL_ENV_PARAMETER='{"lr": 0.1}')
    assert ended.returncode == 0
    assert json.loads((tmp_path / "new" / "parameter.yml").read_text()) == {"lr": 0.1}


@pytest.mark.parametrize("arguments", [[], ["save"]])
def test_without_a_command_the_help_is_shown(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["khelper", *arguments])
    main()
    assert "usage: khelper" in capsys.readouterr().out


def test_metrics_are_flushed_before_the_task_stops_itself(
    platform: Any, start: Callable[..., Any]
) -> None:
    script = start(
        "import kpl_helper, os\n"
        "kpl_helper.metric.MetricFigure('Loss', 'train').push_metric(1, 2)\n"
        "kpl_helper.kill()\nos._exit(0)\n"
    )
    assert script.end() == 0, script.output
    assert [request["path"] for request in platform.requests] == [
        "/task/metrics/batch",
        "/task/stop",
    ]
    assert platform.points("Loss", "train") == [(1, 2)]
