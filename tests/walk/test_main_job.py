"""The main job through ``kpl`` alone: from a folder of pictures to a service and its end."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.installation import ROOT, Installation
from tests.walk.conftest import Terminal
from tests.walk.programs import ALL_REDUCE, DISTRIBUTED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ENTRY = {"id", "name", "state", "created_at"}


ENGINES = [
    "local",
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("kubernetes", marks=pytest.mark.kubernetes),
]


@pytest.fixture(scope="module", params=ENGINES)
def installation(request: pytest.FixtureRequest) -> Installation:
    """An installation on each engine: what users do is the same."""
    found: Installation = request.getfixturevalue(f"on_{request.param}")
    return found


def newest(terminal: Terminal, noun: str) -> Any:
    """Return the first of a list, which is the newest."""
    items = terminal.done(noun, "list")["items"]
    created = [item["created_at"] for item in items]
    assert created == sorted(created, reverse=True)
    assert set(items[0]) >= ENTRY
    return items[0]


class MainJob:
    """What users do from a folder of pictures on: the same on every engine, and on the chart."""

    @pytest.fixture(scope="class")
    @classmethod
    def project(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The example project with its pictures."""
        folder = tmp_path_factory.mktemp("project") / "digits"
        shutil.copytree(ROOT / "examples" / "digits", folder)
        subprocess.run([sys.executable, "make_dataset.py"], cwd=folder, check=True)
        return folder

    def test_a_folder_of_pictures_becomes_a_dataset(
        self, terminal: Terminal, project: Path
    ) -> None:
        made = terminal.done("dataset", "create", "digits", "--from", project / "pictures")
        assert (made["state"], made["records"], made["version"]) == ("ready", 1797, 1)
        assert made["bytes"] > 100_000
        assert newest(terminal, "dataset")["name"] == "digits"
        by_id, by_name = (terminal.done("dataset", "show", ref) for ref in (made["id"], "digits"))
        assert by_id == by_name

    def test_a_server_starts_with_it_and_gets_it_again_while_it_runs(
        self, terminal: Terminal
    ) -> None:
        words = ("--image", "base", "--memory", "1024", "--mount", "digits")
        server = terminal.done("server", "start", *words)
        assert server["state"] == "running"
        assert [one["state"] for one in server["mounts"]] == ["mounted"]
        assert terminal.in_server("datasets/digits")
        terminal.done("dataset", "unmount", "digits")
        assert "digits" not in terminal.in_server("datasets")
        mount = terminal.done("dataset", "mount", "digits")
        assert mount["state"] == "mounted"
        assert mount["path"] == "datasets/digits"
        assert terminal.in_server("datasets/digits")
        terminal.done("dataset", "unmount", "digits")
        assert terminal.done("server", "stop")["state"] == "stopped"
        assert terminal.done("image", "list")["items"][0]["name"] == "base"

    def test_a_task_is_submitted_at_once_and_can_be_awaited(
        self, terminal: Terminal, project: Path
    ) -> None:
        words = ["task", "submit", "--code", project, "--input", "data=dataset:digits"]
        made = terminal.done(*words, "--param", "epochs=5", "--name", "first")
        assert made["state"] in ("queued", "preparing", "running")
        again = terminal.done(
            *words, "--param", "network.hidden=[32]", "--param", "epochs=5", "--wait"
        )
        assert (again["state"], again["exit_code"]) == ("succeeded", 0)
        assert again["parameters"]["network"]["hidden"] == [32]
        assert newest(terminal, "task")["id"] == again["id"]
        log = terminal.installation.run("kpl", "task", "logs", str(again["id"]), "-f").stdout
        assert "epoch 5:" in log

    def test_its_metrics_have_progress_results_and_named_curves(self, terminal: Terminal) -> None:
        found = terminal.done("task", "metrics", "train digits")
        assert found["progress"] == 1.0
        assert 0.5 < found["scalars"]["accuracy"] <= 1.0
        curves = {curve["title"]: curve["series"] for curve in found["curves"]}
        assert {one["name"] for one in curves["loss"]} == {"training", "unseen"}
        assert all(len(one["x"]) == len(one["y"]) == 5 for one in curves["loss"])

    def test_its_output_is_a_model_version_with_lineage(self, terminal: Terminal) -> None:
        model = terminal.done("model", "show", "digits")
        assert model["state"] == "ready"
        assert model["version"] >= 1
        task = terminal.done("task", "show", "train digits")
        assert [(one["kind"], one["name"]) for one in task["outputs"]] == [("model", "digits")]
        target = terminal.folder / "model"
        terminal.done("model", "download", "digits", "--to", target)
        assert list(target.rglob("digits.joblib"))

    def test_the_folder_is_published_under_its_name(
        self, terminal: Terminal, project: Path
    ) -> None:
        made = terminal.done("algorithm", "publish", project)
        assert (made["name"], made["state"], made["version"]) == ("digits", "ready", 1)
        done = terminal.done(
            *("task", "submit", "--algorithm", "digits:1", "--function", "train"),
            *("--input", "data=dataset:digits:1", "--param", "epochs=2", "--wait"),
            *("--save-as", "save=model:other"),
        )
        assert done["outputs"][0]["name"] == "other"

    def test_a_task_over_two_nodes_computes_together(self, terminal: Terminal) -> None:
        folder = terminal.write("shards", {"main.py": ALL_REDUCE, "environment.yml": DISTRIBUTED})
        words = ["task", "submit", "--code", folder, "--nodes", 2, "--processes", 2]
        done = terminal.done(*words, "--wait", seconds=300)
        assert (done["state"], done["nodes"], done["processes"]) == ("succeeded", 2, 2)
        for node in (0, 1):
            log = terminal.kpl_text("task", "logs", done["id"], "--node", node)
            for rank in (2 * node, 2 * node + 1):
                assert f"rank {rank} of 4 on node {node}: 6" in log
        target = terminal.folder / "shards-model"
        terminal.done("model", "download", "shards", "--to", target)
        assert {path.name for path in target.rglob("*.json")} >= {
            f"{rank}.json" for rank in range(4)
        }

    def test_one_failed_process_ends_the_whole_task_and_is_named(self, terminal: Terminal) -> None:
        folder = terminal.write("shards", {"main.py": ALL_REDUCE, "environment.yml": DISTRIBUTED})
        words = ["task", "submit", "--code", folder, "--nodes", 2, "--env", "FAIL_AT=1", "--wait"]
        said = terminal.kpl(*words, seconds=300)
        assert said.code == 1
        failed = newest(terminal, "task")
        assert failed["state"] == "failed"
        assert failed["message"].startswith("Node 1 failed first. ")
        assert "rank 1 has an odd shard" in failed["message"]

    def test_a_service_of_two_replicas_answers_behind_the_front_door(
        self, terminal: Terminal, project: Path
    ) -> None:
        service = terminal.done(
            *("service", "deploy", "digits", "--model", "digits", "--algorithm", "digits"),
            *("--replicas", 2),
        )
        assert (service["state"], service["ready"]) == ("running", 2)
        picture = project / "pictures" / "7" / "0007.png"
        answer = terminal.done("service", "call", "digits", "--file", picture)
        assert answer["status"] == 200
        assert answer["body"]["class_name"] == "7"
        url = terminal.done("service", "show", "digits")["url"]
        assert url.startswith(terminal.installation.url)
        plain = httpx.post(f"{url}predict", files={"image": picture.read_bytes()}, trust_env=False)
        assert plain.status_code == 401, "a private service answers nobody without a token"
        token = terminal.installation.credentials["token"]
        with_token = httpx.post(
            f"{url}predict",
            files={"image": picture.read_bytes()},
            headers={"Authorization": f"token {token}"},
            trust_env=False,
        )
        assert with_token.json()["class_name"] == "7"

    def test_it_is_scaled_stopped_and_started_at_the_same_address(
        self, terminal: Terminal, project: Path
    ) -> None:
        before = terminal.done("service", "show", "digits")["url"]
        assert terminal.done("service", "scale", "digits", "--replicas", 1)["ready"] == 1
        assert terminal.done("service", "stop", "digits")["state"] == "stopped"
        picture = project / "pictures" / "3" / "0003.png"
        assert "stopped" in terminal.refused("service", "call", "digits", "--file", picture)
        assert terminal.done("service", "start", "digits")["state"] == "running"
        assert terminal.done("service", "show", "digits")["url"] == before
        answer = terminal.done("service", "call", "digits", "--file", picture)
        assert answer["body"]["class_name"] == "3"
        assert (
            "POST /predict" in terminal.installation.run("kpl", "service", "logs", "digits").stdout
        )

    def test_what_is_deleted_is_gone(self, terminal: Terminal) -> None:
        for noun in ("service", "algorithm", "model", "dataset"):
            terminal.done(noun, "delete", "digits", "--yes")
            said = terminal.refused(noun, "show", "digits", code=4)
            assert "digits" in said
            assert f"kpl {noun} list" in said


class TestMainJob(MainJob):
    """On each engine."""
