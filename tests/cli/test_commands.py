"""The nouns and verbs, against a platform that is steered by the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.datasets import MountView
from kpl_lab.schemas.servers import ServerView
from kpl_lab.schemas.tasks import CurveResult, Figure, Series, TaskMetrics
from tests.cli.conftest import Kpl
from tests.doubles.platform import MORE, NOW, TOKEN, Platform, packed, unpacked
from tests.doubles.server import Server


@pytest.fixture
def ending(platform: Platform) -> Iterator[None]:
    """Everything that is made comes to the end that ``platform.ends`` names, soon after."""
    made = set[tuple[str, int, int]]()

    def work() -> None:
        for noun, rows in platform.rows.items():
            for row in rows:
                key = (noun, row["id"], len(row.get("versions", [])))
                if row["state"] in ("preparing", "queued", "deploying") or any(
                    v["state"] == "preparing" for v in row.get("versions", [])
                ):
                    made.add(key)
                    if noun == "services":
                        row["ready"] = row["replicas"]
                    platform.end(noun, row)
        if not stop.is_set():
            timer = threading.Timer(0.05, work)
            timer.daemon = True
            timer.start()

    stop = threading.Event()
    work()
    yield
    stop.set()


def running_server(platform: Platform, number: int = 1, name: str = "") -> ServerView:
    server = ServerView(
        id=number,
        name=name,
        user="ada",
        image="base",
        state="running",
        created_at=NOW,
        resources=Resources(),
        mounts=[],
        url="/user/ada/",
    )
    platform.servers.append(server)
    return server


@pytest.mark.usefixtures("ending")
def test_dataset_create_returns_when_it_is_ready(
    kpl_: Kpl, platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "pictures/0").mkdir(parents=True)
    (tmp_path / "pictures/0/a.png").write_bytes(b"png")
    said = kpl_("dataset", "create", "digits", "--from", "pictures", "--json")
    assert (said.code, said.err) == (0, "")
    assert (said.json["name"], said.json["state"], said.json["version"]) == ("digits", "ready", 1)
    assert unpacked(bytes(platform.uploads[1])) == {"pictures/0/a.png": b"png"}
    assert platform.bodies[0].format == "auto"
    again = kpl_("dataset", "create", "digits", "--from", "pictures", "--format", "files", "--json")
    assert again.json["version"] == 2
    assert platform.bodies[1].format == "files"


@pytest.mark.usefixtures("ending")
def test_a_dataset_that_cannot_be_made_is_shown_with_its_reason_and_exit_code_1(
    kpl_: Kpl, platform: Platform, tmp_path: Path
) -> None:
    platform.ends = ("failed", "not_an_image", "0/a.png is not an image; remove it.")
    (tmp_path / "a.png").write_text("text")
    said = kpl_("dataset", "create", "digits", "--from", "a.png", "--json")
    assert said.code == 1
    assert (said.json["state"], said.json["reason"]) == ("failed", "not_an_image")
    assert "0/a.png is not an image; remove it." in said.err


def test_no_wait_returns_at_once(kpl_: Kpl, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("x")
    said = kpl_("dataset", "create", "digits", "--from", "a.png", "--no-wait", "--json")
    assert (said.code, said.json["state"]) == (0, "preparing")


def test_a_download_is_a_folder_named_after_the_thing(
    kpl_: Kpl, platform: Platform, tmp_path: Path
) -> None:
    version = {"id": 1, "number": 1, "state": "ready", "created_at": NOW}
    platform.add("datasets", "digits", versions=[version])
    platform.download = packed({"root.data": b"data"})
    said = kpl_("dataset", "download", "digits", "--json")
    assert said.json == {
        "name": "digits", "path": str(tmp_path / "digits"), "files": 1, "bytes": 4,
    }  # fmt: skip
    assert (tmp_path / "digits/root.data").read_bytes() == b"data"
    assert kpl_("dataset", "download", "digits").code == 1
    assert kpl_("dataset", "download", "digits", "--to", "other").code == 0
    assert kpl_("dataset", "download", "digits:7", "--to", "third").code == 4


def test_mount_and_unmount_use_the_only_running_server(kpl_: Kpl, platform: Platform) -> None:
    assert kpl_("dataset", "mount", "digits").code == 4
    running_server(platform)
    said = kpl_("dataset", "mount", "digits:2", "--json")
    assert (said.code, said.json["path"], said.json["state"]) == (0, "datasets/digits", "mounted")
    assert said.json["version"] == 2
    said = kpl_("dataset", "unmount", "digits", "--json")
    assert (said.code, said.json["state"]) == (0, "unmounted")
    assert kpl_("dataset", "unmount", "digits").code == 4


def test_what_a_mount_came_to_is_told_under_titles_as_everywhere(
    kpl_: Kpl, platform: Platform
) -> None:
    running_server(platform)
    told = kpl_("dataset", "mount", "digits:2").out.splitlines()
    assert told[:3] == ["DATASET  digits", "VERSION  2", "PATH     datasets/digits"]
    assert [line.split() for line in told[3:]] == [["STATE", "mounted"]]
    said = kpl_("dataset", "unmount", "digits")
    assert said.out.splitlines()[3:] == ["STATE    unmounted"]


def test_of_several_servers_one_must_be_named(kpl_: Kpl, platform: Platform) -> None:
    running_server(platform)
    running_server(platform, 2, "gpu")
    said = kpl_("dataset", "mount", "digits", "--json")
    assert (said.code, said.out) == (1, "")
    assert "--server" in said.err
    assert kpl_("dataset", "mount", "digits", "--server", "gpu").code == 0


def test_a_failed_mount_says_why(kpl_: Kpl, platform: Platform) -> None:
    running_server(platform)
    platform.ends = ("failed", "no_privileges", "The engine may not mount here.")
    said = kpl_("dataset", "mount", "digits", "--json")
    assert (said.code, said.out) == (1, "")
    assert "The engine may not mount here." in said.err
    assert isinstance(platform.mounts[0], MountView)


def test_submit_sends_everything_that_was_said_and_returns_at_once(
    kpl_: Kpl, platform: Platform, code: Path
) -> None:
    said = kpl_(
        "task", "submit", "--code", str(code), "--input", "data=dataset:digits:2",
        "--input", "model=model:base", "--param", "train.lr=0.1", "--param", "name=x",
        "--param", "layers=[64, 32]", "--param", "seed='7'", "--env", "A=b=c", "--cpu", "0.5",
        "--memory", "256", "--gpu", "0", "--save-as", "save=model:best", "--name", "my run",
        "--time-limit", "60", "--json",
    )  # fmt: skip
    assert (said.code, said.json["state"], said.json["name"]) == (0, "queued", "my run")
    body = platform.bodies[0].model_dump(exclude_unset=True)
    assert body == {
        "function": "train",
        "upload": 1,
        "code_name": "digits",
        "inputs": [
            {"key": "data", "kind": "dataset", "name": "digits", "version": 2},
            {"key": "model", "kind": "model", "name": "base", "version": None},
        ],
        "parameters": {"train.lr": 0.1, "name": "x", "layers": [64, 32], "seed": "7"},
        "environment": {"A": "b=c"},
        "resources": {"cpu": 0.5, "memory": 256, "gpu": 0},
        "save_as": [{"output": "save", "kind": "model", "name": "best"}],
        "name": "my run",
        "time_limit_seconds": 60,
    }
    assert set(unpacked(bytes(platform.uploads[1]))) == {"environment.yml", "train.py"}


@pytest.mark.usefixtures("ending")
@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("stopped", 1)])
def test_submit_wait_prints_the_ended_task_and_tells_success_by_its_exit_code(
    kpl_: Kpl, platform: Platform, state: str, code: int
) -> None:
    platform.ends = (state, "out_of_memory", "It used more than 512 MB; give it more.")
    said = kpl_("task", "submit", "--algorithm", "digits:3", "--wait", "--json")
    assert (said.code, said.json["state"]) == (code, state)
    assert platform.bodies[0].algorithm == "digits:3"
    assert ("give it more" in said.err) == (state != "succeeded")


def test_a_task_that_never_ran_is_told_to_have_no_outputs(kpl_: Kpl, platform: Platform) -> None:
    outputs = [{"key": "save", "kind": "model", "name": "best"}]
    platform.add("tasks", "never", state="stopped", finished_at=NOW, outputs=outputs)
    platform.add("tasks", "ran", state="failed", started_at=NOW, finished_at=NOW, outputs=outputs)
    assert "OUTPUTS    none: it never ran" in kpl_("task", "show", "never").out.splitlines()
    platform.add("tasks", "unseen", state="succeeded", finished_at=NOW, outputs=outputs)
    for name in ("ran", "unseen"):
        assert "OUTPUTS    save → best" in kpl_("task", "show", name).out.splitlines()


def test_logs_are_printed_followed_and_given_as_json(kpl_: Kpl, platform: Platform) -> None:
    platform.add("tasks", "train", state="succeeded")
    platform.logs["tasks:1"] = ("line one\nline two\n", True)
    assert kpl_("task", "logs", "train").out == "line one\nline two\n"
    assert kpl_("task", "logs", "1", "-f").out == "line one\nline two\n"
    for more in ((), ("-f",)):
        assert kpl_("task", "logs", "train", *more, "--json").json == {
            "text": "line one\nline two\n", "offset": 0, "next_offset": 18, "complete": True,
        }  # fmt: skip


def test_metrics_name_progress_scalars_and_series(kpl_: Kpl, platform: Platform) -> None:
    platform.add("tasks", "train", state="running")
    platform.metrics = TaskMetrics(
        progress=0.5,
        scalars={"accuracy": 0.97},
        curves=[Figure(title="loss", series=[Series(name="train", x=[1], y=[0.25], total=1)])],
        results=[CurveResult(title="roc", x="fpr", y="tpr", data=[(0, 0)])],
    )
    found = kpl_("task", "metrics", "train", "--json").json
    assert (found["progress"], found["scalars"]) == (0.5, {"accuracy": 0.97})
    assert found["curves"][0]["series"][0]["name"] == "train"
    words = kpl_("task", "metrics", "train").out
    assert "50 %" in words
    assert "loss / train" in words
    assert "0.25" in words


def test_stop_returns_the_ended_task(kpl_: Kpl, platform: Platform) -> None:
    platform.add("tasks", "train", state="running")
    platform.ends = ("stopped", "stopped_by_user", None)
    said = kpl_("task", "stop", "train", "--json")
    assert (said.code, said.json["state"]) == (0, "stopped")


@pytest.mark.parametrize("noun", ["dataset", "model", "algorithm", "service", "task"])
def test_delete_returns_when_it_is_gone(kpl_: Kpl, platform: Platform, noun: str) -> None:
    state = {"service": "stopped", "task": "failed"}.get(noun, "ready")
    platform.add(f"{noun}s", "old", state=state)
    said = kpl_(noun, "delete", "old", "--json")
    assert (said.code, said.json) == (0, {"id": 1, "name": "old", "state": "deleted"})
    assert kpl_(noun, "delete", "old", "--json").code == 4


@pytest.mark.usefixtures("ending")
def test_publish_names_after_the_folder_and_prints_the_log_for_people(
    kpl_: Kpl, platform: Platform, code: Path
) -> None:
    platform.logs["algorithms:1:1"] = ("installing\n", True)
    said = kpl_("algorithm", "publish", str(code))
    assert (said.code, "digits" in said.out) == (0, True)
    said = kpl_("algorithm", "publish", str(code), "--json")
    assert (said.code, said.err, said.json["version"]) == (0, "", 2)


@pytest.mark.usefixtures("ending")
def test_a_build_that_fails_is_exit_code_1_with_its_log(
    kpl_: Kpl, platform: Platform, code: Path
) -> None:
    platform.ends = ("failed", "build_failed", "pip could not find nonesuch; check its name.")
    platform.logs["algorithms:1:1"] = ("pip: no\n", True)
    said = kpl_("algorithm", "publish", str(code))
    assert said.code == 1
    assert "pip: no" in said.err
    assert "pip could not find nonesuch" in said.err


def test_a_folder_without_environment_yml_is_refused_before_it_is_sent(
    kpl_: Kpl, platform: Platform, tmp_path: Path
) -> None:
    said = kpl_("algorithm", "publish", str(tmp_path), "--name", "x", "--json")
    assert (said.code, said.out) == (1, "")
    assert "environment.yml" in said.err
    assert platform.requests == []


@pytest.mark.usefixtures("ending")
def test_the_life_of_a_service(kpl_: Kpl, platform: Platform, server: Server) -> None:
    platform.ends = ("running", None, None)
    said = kpl_(
        "service", "deploy", "digits", "--model", "digits:1", "--algorithm", "digits",
        "--replicas", "2", "--json",
    )  # fmt: skip
    assert (said.code, said.json["state"], said.json["ready"]) == (0, "running", 2)
    assert said.json["url"] == f"{server.url}/svc/default/digits/"
    assert kpl_("service", "scale", "digits", "3", "--json").json["ready"] == 3
    assert kpl_("service", "scale", "digits", "--replicas", "1", "--json").json["ready"] == 1
    assert kpl_("service", "stop", "digits", "--json").json["state"] == "stopped"
    assert kpl_("service", "start", "digits", "--json").json["state"] == "running"


@pytest.mark.usefixtures("ending")
def test_a_service_that_fails_is_exit_code_1(kpl_: Kpl, platform: Platform) -> None:
    platform.ends = ("failed", "wrong_port", "It listens on 5000; listen on $PORT.")
    said = kpl_("service", "deploy", "s", "--algorithm", "digits", "--json")
    assert (said.code, said.json["reason"]) == (1, "wrong_port")
    assert "listen on $PORT" in said.err


def revisions(said: Any) -> list[tuple[int, str, int]]:
    return [(r["number"], r["role"], r["weight"]) for r in said.json["revisions"]]


def test_the_revisions_of_a_service(kpl_: Kpl, platform: Platform, code: Path) -> None:
    platform.add("services", "digits", state="running")
    said = kpl_("service", "update", "digits", "--model", "digits:2", "--weight", "10", "--json")
    assert (said.code, revisions(said)) == (0, [(1, "current", 100), (2, "candidate", 10)])
    said = kpl_("service", "traffic", "digits", "25", "--json")
    assert revisions(said)[1] == (2, "candidate", 25)
    text = kpl_("service", "show", "digits").out
    assert "1: current" in text
    assert "2: candidate, running, 25 % of the calls" in text
    assert kpl_("service", "update", "digits").code == 1, "there is a candidate already"
    assert revisions(kpl_("service", "promote", "digits", "--json"))[0][:2] == (2, "current")
    said = kpl_("service", "rollback", "digits", "--json")
    assert [r[:2] for r in revisions(said)] == [(1, "current"), (2, "previous")]
    said = kpl_("service", "drop", "digits", "--previous", "--json")
    assert [r[:2] for r in revisions(said)] == [(1, "current")]
    assert kpl_("service", "drop", "digits").code == 4
    said = kpl_("service", "update", "digits", "--code", str(code), "--promote", "--json")
    assert (said.code, revisions(said)[0][:2]) == (0, (2, "current"))
    sent = platform.bodies[-1]
    assert (sent["upload"], sent["code_name"], sent["promote"]) == (1, code.name, True)


def test_a_candidate_that_fails_is_exit_code_1_and_says_why(kpl_: Kpl, platform: Platform) -> None:
    platform.add("services", "digits", state="running")
    platform.ends = ("failed", "wrong_port", "It listens on 5000; listen on $PORT.")
    said = kpl_("service", "update", "digits")
    assert said.code == 1
    assert "Revision 2 of service 'digits' does not run" in said.err
    assert "listen on $PORT" in said.err


def test_calls_send_files_data_or_nothing(kpl_: Kpl, platform: Platform, tmp_path: Path) -> None:
    platform.add("services", "digits", state="running")
    (tmp_path / "a=b.png").write_bytes(b"12345")
    answer = kpl_("service", "call", "digits", "--file", "a=b.png", "--json").json
    assert answer["status"] == 200
    assert answer["body"]["method"] == "POST"
    assert answer["body"]["path"] == "/svc/default/digits/predict"
    assert answer["body"]["type"].startswith("multipart/form-data")
    assert answer["headers"]["content-type"] == "application/json"
    body = kpl_("service", "call", "digits", "--data", '{"text": "足球"}', "--path", "/x?a=1").out
    assert json.loads(body) == {
        "method": "POST", "path": "/svc/default/digits/x", "query": "a=1",
        "type": "application/json", "bytes": len(b'{"text": "\\u8db3\\u7403"}'),
    }  # fmt: skip
    assert kpl_("service", "call", "digits", "--json").json["body"]["method"] == "GET"


def test_an_answer_of_400_and_more_is_printed_and_exit_code_1(
    kpl_: Kpl, platform: Platform
) -> None:
    platform.add("services", "digits", state="running")
    said = kpl_("service", "call", "digits", "--path", "/teapot", "--json")
    assert (said.code, said.json["status"]) == (1, 418)
    assert "418" in said.err


def test_login_keeps_a_token_for_later_calls(kpl_alone: Kpl, server: Server, home: Path) -> None:
    at = ("--url", server.url)
    said = kpl_alone("login", *at, "--username", "ada", "--password", "wrong", "--json")
    assert (said.code, said.out) == (5, "")
    said = kpl_alone("login", *at, "--username", "ada", "--password", "secret", "--json")
    path = home / ".kpl/credentials.json"
    assert said.json == {"url": server.url, "username": "ada", "path": str(path)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert kpl_alone("task", "list", "--json").json == {"items": []}


def test_login_checks_the_token_that_it_is_given(kpl_alone: Kpl, server: Server) -> None:
    assert kpl_alone("login", "--url", server.url, "--token", "wrong").code == 5
    said = kpl_alone("login", "--url", server.url, "--token", TOKEN)
    assert (said.code, said.out.splitlines()[1]) == (0, "USER     ada")


@pytest.mark.usefixtures("ending")
def test_a_dataset_has_the_purpose_that_the_panel_offers_first_or_the_one_named(
    kpl_: Kpl, platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_text("x")
    create = ("dataset", "create", "digits", "--from", "a.png", "--json")
    kpl_(*create)
    kpl_(*create, "--purpose", "detection")
    assert [body.purpose for body in platform.bodies] == ["classification", "detection"]
    assert kpl_(*create, "--purpose", "poetry").code == 2


@pytest.mark.usefixtures("ending")
def test_the_first_version_that_failed_names_the_command_that_removes_it(
    kpl_: Kpl, platform: Platform, tmp_path: Path
) -> None:
    platform.ends = ("failed", "empty", "There are no files in it.")
    (tmp_path / "a.png").write_text("text")
    said = kpl_("dataset", "create", "my pictures", "--from", "a.png")
    assert "There are no files in it." in said.err
    assert "`kpl dataset delete 'my pictures'`" in said.err


@pytest.mark.usefixtures("ending")
def test_waiting_tells_a_log_which_task_it_is_and_each_change(
    kpl_: Kpl, platform: Platform
) -> None:
    platform.ends = ("succeeded", None, None)
    said = kpl_("task", "submit", "--algorithm", "digits", "--name", "run", "--wait")
    assert said.code == 0
    assert said.err.splitlines()[-1] == "task 1 'run': succeeded"


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        (("memory=8192",), "Give --max for each of cpu, memory, gpu, shm."),
        (("cpu=1", "memory=8", "gpu=0", "shm=64"), "--max memory: "),
    ],
)
def test_the_most_that_an_image_gets_names_all_four(
    kpl_: Kpl, pairs: tuple[str, ...], why: str
) -> None:
    said = kpl_("image", "set", "base", *(word for pair in pairs for word in ("--max", pair)))
    assert said.code == 2
    assert why in said.err


def test_notices_are_told_when_something_is_sent_off(
    kpl_: Kpl, monkeypatch: pytest.MonkeyPatch
) -> None:
    for noun in ("tasks", "services"):
        monkeypatch.setitem(MORE[noun], "notices", ["There is no image 'x'."])
    submit = ("task", "submit", "--algorithm", "digits")
    deploy = ("service", "deploy", "digits", "--algorithm", "digits", "--no-wait")
    for command in (submit, deploy):
        assert "Note: There is no image 'x'.\n" in kpl_(*command).err
        assert kpl_(*command, "--json").err == ""


def test_a_server_that_runs_is_not_started_again(kpl_: Kpl, platform: Platform) -> None:
    running_server(platform)
    said = kpl_("server", "start")
    assert said.code == 1
    assert "runs already; end it first with `kpl server stop`." in said.err
