"""What the server does itself: forms of folders, packing and sending, measuring itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from kpl_lab.errors import StorageFull
from kpl_lab.lab.usage import Usage
from tests.doubles.platform import Platform, unpacked

Fetch = Callable[..., Any]


async def post(jp_fetch: Fetch, resource: str, *, prefer: str = "", **body: Any) -> Any:
    headers = {"Prefer": prefer} if prefer else {}
    return await jp_fetch(
        "kpl-lab", "local", resource, method="POST", body=json.dumps(body), headers=headers
    )


async def problem_of(answer: Any) -> tuple[int, str, str]:
    with pytest.raises(HTTPClientError) as raised:
        await answer
    assert raised.value.response is not None
    problem = json.loads(raised.value.response.body)
    return raised.value.code, problem["code"], problem["message"]


async def test_a_code_folder_is_described(jp_fetch: Fetch, code: Path) -> None:
    answer = await jp_fetch("kpl-lab", "local", "folder", params={"path": "projects/digits"})
    form = json.loads(answer.body)
    assert (form["path"], form["name"], form["files"]) == ("projects/digits", "digits", 3)
    assert [function["name"] for function in form["functions"]] == ["train"]
    assert form["parameter_schema"]["properties"]["rate"]["description"] == "how fast"
    assert form["parameter_defaults"] == {"rate": 0.1}


async def test_a_wrong_file_is_told_with_its_line(jp_fetch: Fetch, code: Path) -> None:
    (code / "environment.yml").write_text("version: 1\nimage: {from_image: x}\ntrian: {cmd: x}\n")
    answer = jp_fetch("kpl-lab", "local", "folder", params={"path": "projects/digits"})
    status, _, message = await problem_of(answer)
    assert status == 422
    assert "environment.yml, line 3" in message
    assert "train" in message


@pytest.mark.parametrize(
    ("path", "status"), [("nowhere", 404), ("..", 422), ("../..", 422), ("link", 422), ("", 422)]
)
async def test_what_is_no_code_folder_of_the_home_is_refused(
    jp_fetch: Fetch, jp_root_dir: Path, tmp_path_factory: pytest.TempPathFactory,
    path: str, status: int,
) -> None:  # fmt: skip
    (jp_root_dir / "link").symlink_to(tmp_path_factory.mktemp("outside"))
    answer = jp_fetch("kpl-lab", "local", "folder", params={"path": path})
    assert (await problem_of(answer))[0] == status


async def test_a_task_is_made_of_a_folder(jp_fetch: Fetch, platform: Platform, code: Path) -> None:
    answer = await post(
        jp_fetch, "tasks", path="projects/digits", function="train", parameters={"rate": 0.5}
    )
    assert (answer.code, json.loads(answer.body)["state"]) == (201, "queued")
    body = platform.bodies[0]
    assert (body.code_name, body.parameters, body.upload) == ("digits", {"rate": 0.5}, 1)
    # With which the form begins when the task is submitted again.
    assert body.labels == {"kpl-lab/folder": "projects/digits"}
    assert set(unpacked(bytes(platform.uploads[1]))) == {
        "environment.yml", "parameter.yml", "train.py",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "fields", "names"),
    [
        ("algorithms", {}, {"train.py"}),
        ("services", {"name": "digits", "model": "digits:1"}, {"train.py"}),
        ("datasets", {"name": "digits", "format": "files"}, {"digits/train.py"}),
        ("models", {"name": "digits"}, {"digits/train.py"}),
    ],
)
async def test_the_others_are_made_of_a_folder_too(
    jp_fetch: Fetch, platform: Platform, code: Path, resource: str, fields: dict[str, str],
    names: set[str],
) -> None:  # fmt: skip
    answer = await post(jp_fetch, resource, path="projects/digits", **fields)
    assert json.loads(answer.body)["name"] == "digits"
    assert names <= set(unpacked(bytes(platform.uploads[1])))


async def test_a_long_send_is_a_job_that_can_be_looked_at(
    jp_fetch: Fetch, platform: Platform, code: Path
) -> None:
    answer = await post(
        jp_fetch, "datasets", path="projects/digits", name="digits", prefer="respond-async"
    )
    job = json.loads(answer.body)
    assert answer.code == 202
    while job["state"] == "sending":
        await asyncio.sleep(0.01)
        job = json.loads((await jp_fetch("kpl-lab", "local", "jobs", str(job["id"]))).body)
    assert (job["state"], job["result"]["name"]) == ("done", "digits")
    assert job["sent"] == job["total"] > 0


async def test_a_job_that_fails_holds_the_problem(
    jp_fetch: Fetch, platform: Platform, code: Path
) -> None:
    def refuse(request: object) -> None:
        raise StorageFull("The disk is full; make room.")

    platform.before_request = refuse
    answer = await post(
        jp_fetch, "datasets", path="projects/digits", name="digits", prefer="respond-async"
    )
    job = json.loads(answer.body)
    while job["state"] == "sending":
        await asyncio.sleep(0.01)
        job = json.loads((await jp_fetch("kpl-lab", "local", "jobs", str(job["id"]))).body)
    assert job["state"] == "failed"
    assert job["problem"]["message"] == "The disk is full; make room."
    assert job["status"] == 507
    # The same without a job is the answer itself.
    status, code_, _ = await problem_of(
        post(jp_fetch, "datasets", path="projects/digits", name="digits")
    )
    assert (status, code_) == (507, "storage_full")


async def test_wrong_fields_are_told_before_anything_is_sent(
    jp_fetch: Fetch, platform: Platform, code: Path
) -> None:
    for body in (
        {"path": "projects/digits"},
        {"path": "projects/digits", "name": "x", "formt": "kpl"},
        {"name": "x"},
    ):
        status, error, _ = await problem_of(post(jp_fetch, "datasets", **body))
        assert (status, error) == (422, "invalid_body")
    assert platform.requests == []


async def test_a_link_to_a_page_leads_to_jupyterlab(jp_fetch: Fetch) -> None:
    with pytest.raises(HTTPClientError) as raised:
        await jp_fetch("lab", "tree", params={"kpl": "task:42"}, follow_redirects=False)
    assert raised.value.code == 302
    assert raised.value.response is not None
    assert raised.value.response.headers["Location"].endswith("/lab?kpl=task%3A42")


async def test_an_unknown_job_is_not_found(jp_fetch: Fetch) -> None:
    assert (await problem_of(jp_fetch("kpl-lab", "local", "jobs", "9")))[:2] == (404, "no_job")


async def test_usage_has_the_limits_that_the_spawner_told(jp_fetch: Fetch) -> None:
    usage = json.loads((await jp_fetch("kpl-lab", "local", "usage")).body)
    assert (usage["cpu_limit"], usage["memory_limit"]) == (1.5, 512)
    assert usage["memory"] > 10
    assert usage["processes"] >= 1


def test_usage_counts_cores_between_two_looks(tmp_path: Path) -> None:
    import os
    import time

    usage = Usage(os.getpid(), str(tmp_path), {})
    assert usage.measure().cpu == 0
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert 0.1 < usage.measure().cpu < 3
    assert usage.measure().cpu_limit is None
