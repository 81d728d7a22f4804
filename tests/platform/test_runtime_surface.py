"""What clients inside algorithms call: the original shapes, and one task's token for one task."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from kpl_lab.platform.domain import metrics
from kpl_lab.platform.storage.repositories.base import Reader
from tests.platform.conftest import tar_of
from tests.platform.running import CODE, WAITS, Site, until

SUCCESS = {"code": "Success", "msg": "", "data": None}


class Inside:
    """A running task and the client in it."""

    def __init__(self, site: Site, task: Mapping[str, Any]) -> None:
        self.site = site
        self.alice = site.user()
        self.id = int(task["id"])
        self.http = site.runtime(f"task-{self.id}-1")

    async def call(self, path: str, body: object, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def told(self, path: str, body: object, **headers: str) -> None:
        answer = await self.call(path, body, **headers)
        assert (answer.status_code, answer.json()) == (200, SUCCESS), answer.text

    async def metrics(self, **params: Any) -> Any:
        return await self.alice.get(f"tasks/{self.id}/metrics", **params)


async def begin(site: Site) -> Inside:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    return Inside(site, task)


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "msg", "data"}
    assert body["code"] != "Success"
    return str(body["msg"])


async def test_progress_and_results_arrive(site: Site) -> None:
    inside = await begin(site)
    base = {"task_id": inside.id, "name": ""}
    await inside.told("task/attribute/update", base | {"type": "progress", "value": 0.25})
    scalar = {"type": "scalar_result", "name": "acc", "value": 0.9}
    await inside.told("task/attribute/update", base | scalar)
    curve = {"x": "recall", "y": "precision", "data": [[0, 1], [1, 0.5]]}
    update = {"type": "curve_result", "name": "pr", "value": curve}
    await inside.told("task/attribute/update", base | update)
    found = await inside.metrics()
    assert (found["progress"], found["scalars"]) == (0.25, {"acc": 0.9})
    assert found["results"] == [
        {"title": "pr", "x": "recall", "y": "precision", "data": [[0.0, 1.0], [1.0, 0.5]]}
    ]
    listed = (await inside.alice.get("tasks"))["items"][0]
    assert (listed["progress"], listed["headline"]) == (0.25, "acc 0.9")


@pytest.mark.parametrize("prefix", ["", "/", "//"])
async def test_addresses_with_double_slashes_are_the_same(site: Site, prefix: str) -> None:
    inside = await begin(site)
    body = {"task_id": inside.id, "type": "progress", "name": "", "value": 0.5}
    url = f"http://platform/kpl/runtime/{prefix}task//attribute/update"
    answer = await inside.http.post(url, json=body)
    assert answer.json() == SUCCESS
    assert (await inside.metrics())["progress"] == 0.5


async def test_the_oldest_clients_send_curves_and_attributes(site: Site) -> None:
    inside = await begin(site)
    items: list[dict[str, Any]] = [
        {"msgType": "NewMetric", "title": "loss", "series": [{"name": "train", "type": "bar"}]},
        *(
            {"msgType": "MetricData", "title": "loss", "seriesName": "train", "value": [n, n / 2]}
            for n in range(5)
        ),
    ]
    await inside.told("uploadTaskMetrics", {"token": "t", "items": items})
    update = {"token": "t", "type": "progress", "name": "", "value": 0.75}
    await inside.told("updateTaskAttribute", update)
    found = await inside.metrics()
    assert found["progress"] == 0.75
    [figure] = found["curves"]
    [series] = figure["series"]
    assert (figure["title"], series["name"], series["type"]) == ("loss", "train", "bar")
    assert (series["x"], series["y"]) == ([0, 1, 2, 3, 4], [0, 0.5, 1, 1.5, 2])


async def test_a_batch_carries_everything_at_once(site: Site) -> None:
    inside = await begin(site)
    batch = {
        "task_id": inside.id,
        "batch_id": "b1",
        "figures": [{"title": "loss", "series": [{"name": "val", "type": "line"}]}],
        "points": [
            {"title": "loss", "series": "train", "x": [1, 2, 3], "y": [0.5, "nan", "-inf"]},
        ],
        "progress": 0.5,
        "scalars": {"acc": 0.5, "best": "nan"},
        "curves": [{"title": "roc", "x": "x", "y": "y", "data": [[0, 0], [1, 1]]}],
        "failures": [{"what": "save_model", "message": "no room"}],
    }
    await inside.told("task/metrics/batch", batch)
    found = await inside.metrics()
    series = {s["name"]: s for s in found["curves"][0]["series"]}
    assert series["train"]["y"] == [0.5, None, None]
    assert series["val"]["total"] == 0
    assert found["scalars"]["acc"] == 0.5
    assert found["results"][0]["title"] == "roc"
    detail = await inside.alice.get(f"tasks/{inside.id}")
    assert "save_model failed: no room" in detail["notices"]


async def test_what_is_delivered_twice_counts_once(site: Site) -> None:
    inside = await begin(site)
    batch = {
        "task_id": inside.id,
        "batch_id": "b1",
        "points": [{"title": "l", "series": "s", "x": [1], "y": [1]}],
    }
    for _ in range(3):
        await inside.told("task/metrics/batch", batch)
    item = {"msgType": "MetricData", "title": "l", "seriesName": "s", "value": [2, 2]}
    for _ in range(3):
        body = {"token": "t", "items": [item]}
        await inside.told("uploadTaskMetrics", body, **{"X-KPL-Delivery": "1:a:7"})
    found = await inside.metrics()
    assert found["curves"][0]["series"][0]["x"] == [1, 2]


async def test_a_delivery_that_was_refused_is_not_taken_for_known(site: Site) -> None:
    inside = await begin(site)
    head = {"X-KPL-Delivery": "1:a:1"}
    wrong = {"task_id": inside.id, "type": "progress", "value": "half"}
    refusal(await inside.call("task/attribute/update", wrong, **head), 422)
    await inside.told("task/attribute/update", wrong | {"value": 0.5}, **head)
    assert (await inside.metrics())["progress"] == 0.5


@pytest.mark.parametrize(("sent", "kept"), [(-1, 0.0), (7, 1.0), ("0.5", 0.5), ("nan", 0.0)])
async def test_progress_is_kept_between_nothing_and_all(
    site: Site, sent: object, kept: float
) -> None:
    inside = await begin(site)
    body = {"task_id": inside.id, "type": "progress", "value": sent}
    await inside.told("task/attribute/update", body)
    assert (await inside.metrics())["progress"] == kept


@pytest.mark.parametrize(
    "body",
    [
        {"type": "progress", "value": None},
        {"type": "progress", "value": [1]},
        {"type": "something", "value": 1},
        {"type": "curve_result", "value": 3},
        {"type": "curve_result", "value": {"data": 3}},
        {"type": "curve_result", "value": {"data": [[1]]}},
        {"type": "curve_result", "value": {"data": [3]}},
        {"type": "curve_result", "value": {"data": [["a", "b"]]}},
        {},
    ],
)
async def test_what_is_wrong_is_refused_in_words(site: Site, body: dict[str, Any]) -> None:
    inside = await begin(site)
    answer = await inside.call("task/attribute/update", {"task_id": inside.id, **body})
    assert answer.status_code in (400, 422), answer.text
    assert refusal(answer, answer.status_code)
    await inside.metrics()


@pytest.mark.parametrize(
    "part",
    [
        {"points": [{"title": "l", "series": "s", "x": [1, 2], "y": [1]}]},
        {"points": [{"title": "l", "series": "s", "x": 5, "y": [1]}]},
        {"points": [{"title": "l", "series": "s", "x": [None], "y": [1]}]},
        {"points": [{"title": "l", "series": "s", "x": [True], "y": [1]}]},
        {"points": ["x"]},
        {"progress": "soon"},
        {"curves": [{"title": "t", "data": [1]}]},
        {"scalars": [1]},
    ],
)
async def test_a_wrong_batch_is_refused_whole(site: Site, part: dict[str, Any]) -> None:
    inside = await begin(site)
    right = {"points": [{"title": "a", "series": "s", "x": [1], "y": [1]}], "batch_id": "b"}
    answer = await inside.call("task/metrics/batch", {"task_id": inside.id, **right, **part})
    assert answer.status_code in (400, 422), answer.text
    found = await inside.metrics()
    assert (found["curves"], found["progress"]) == ([], None)


@pytest.mark.parametrize("item", [{"value": [1]}, {"value": 3}, {"value": None}, {"value": "ab"}])
async def test_a_wrong_point_of_the_oldest_clients_is_refused(
    site: Site, item: dict[str, Any]
) -> None:
    inside = await begin(site)
    items = [{"msgType": "MetricData", "title": "l", "seriesName": "s", **item}]
    answer = await inside.call("uploadTaskMetrics", {"token": "t", "items": items})
    assert answer.status_code in (400, 422), answer.text


async def test_one_task_can_touch_no_other(site: Site) -> None:
    inside = await begin(site)
    other = await inside.alice.submit()
    await inside.alice.until(f"tasks/{other['id']}", "running")
    for path, body in (
        ("task/attribute/update", {"type": "progress", "name": "", "value": 1}),
        ("task/metrics/batch", {"progress": 1}),
        ("task/stop", {}),
    ):
        refusal(await inside.call(path, {"task_id": other["id"], **body}), 403)
    found = await inside.alice.get(f"tasks/{other['id']}")
    assert (found["state"], found["progress"]) == ("running", None)


async def test_a_token_of_a_task_opens_nothing_of_the_api(site: Site) -> None:
    inside = await begin(site)
    token = site.workload(f"task-{inside.id}-1").secrets["token"]
    for shown in (token, f"token {token}", f"Bearer {token}"):
        api = site.client(Authorization=shown)
        for path in ("tasks", "datasets", "servers", "internal/servers/1"):
            assert (await api.get(path)).status_code in (401, 403), path


@pytest.mark.parametrize("shown", ["", "nonsense", "a.b.c", "Bearer ", "é"])
async def test_without_a_right_token_nothing_is_taken(site: Site, shown: str) -> None:
    inside = await begin(site)
    stranger = site.client("/kpl/runtime/")
    head = [(b"Authorization", shown.encode("latin-1"))]
    body = {"task_id": inside.id, "type": "progress", "value": 1}
    answer = await stranger.post("task/attribute/update", json=body, headers=head)
    assert answer.json()["code"] == "Unauthorized"
    refusal(answer, 401)


async def test_a_token_ends_with_its_task(site: Site) -> None:
    inside = await begin(site)
    await site.engine.finish(f"task-{inside.id}-1")
    await inside.alice.until(f"tasks/{inside.id}", "succeeded")
    body = {"task_id": inside.id, "type": "progress", "value": 0.1}
    refusal(await inside.call("task/attribute/update", body), 401)


async def test_a_task_stops_itself(site: Site) -> None:
    inside = await begin(site)
    await inside.told("task/stop", {"task_id": inside.id})
    done = await inside.alice.until(f"tasks/{inside.id}", "stopped")
    assert done["reason"] == "stopped_itself"


@pytest.mark.parametrize("path", ["model/upload", "upload/model", "//upload/model"])
async def test_a_model_is_saved_and_the_next_of_its_name_is_a_version(
    site: Site, path: str
) -> None:
    inside = await begin(site)
    for number, content in enumerate((b"one", b"two"), 1):
        answer = await inside.http.post(
            f"http://platform/kpl/runtime/{path}",
            data={"name": "saved", "description": "by hand"},
            files={"file": ("weights.bin", content)},
        )
        assert answer.json()["code"] == "Success", answer.text
        assert answer.json()["data"]["name"] == "saved"

        async def is_saved(number: int = number) -> bool:
            found = await inside.alice.get("models/saved")
            return bool(found["version"] == number and found["state"] == "ready")

        await until(is_saved)
    assert (await inside.alice.get("models/saved"))["owner"] == "alice"


async def test_a_save_whose_answer_was_lost_is_made_once(site: Site) -> None:
    inside = await begin(site)

    async def save(path: str, delivery: str, file: tuple[str, bytes]) -> Any:
        answer = await inside.http.post(
            path,
            data={"name": "saved"},
            files={"file": file},
            headers={"X-KPL-Delivery": delivery},
        )
        assert answer.json()["code"] == "Success", answer.text
        return answer.json()["data"]

    for path, kind, file in (
        ("model/upload", "models", ("weights.bin", b"one")),
        ("dataset_fs/upload", "datasets", ("x.tar", tar_of({"a.txt": "x"}))),
        ("algorithm/upload", "algorithms", ("c.tar", tar_of(CODE))),
    ):
        first = await save(path, f"{kind}:1", file)
        assert await save(path, f"{kind}:1", file) == first
        versions = (await inside.alice.get(f"{kind}/saved"))["versions"]
        assert len(versions) == 1
        await save(path, f"{kind}:2", file)
        versions = (await inside.alice.get(f"{kind}/saved"))["versions"]
        assert len(versions) == 2


async def test_plain_files_and_code_are_saved_too(site: Site) -> None:
    inside = await begin(site)
    tar = tar_of({"a.txt": "1", "b.txt": "2"})
    sent = {"name": "mine", "description": ""}
    answer = await inside.http.post("dataset_fs/upload", data=sent, files={"file": ("x.tar", tar)})
    assert answer.json()["code"] == "Success", answer.text
    found = await inside.alice.until("datasets/mine", "ready", "failed")
    assert (found["state"], found["records"]) == ("ready", 2)
    answer = await inside.http.post(
        "algorithm/upload", data=sent, files={"file": ("c.tar", tar_of(CODE))}
    )
    assert answer.json()["code"] == "Success", answer.text
    await inside.alice.until("algorithms/mine", "ready")


async def test_a_dataset_that_is_none_says_so(site: Site) -> None:
    inside = await begin(site)
    sent = {"name": "broken", "description": ""}
    files = {"file": ("x.tar", tar_of({"root.data": "junk", "root.meta": "junk"}))}
    answer = await inside.http.post("dataset/upload", data=sent, files=files)
    assert answer.json()["code"] == "Success", answer.text
    found = await inside.alice.until("datasets/broken", "failed")
    assert found["message"]


async def test_a_failed_save_is_answered_in_the_original_shape(site: Site) -> None:
    inside = await begin(site)
    answer = await inside.http.post("model/upload", data={"name": "x"})
    assert "file" in refusal(answer, 400)
    files = {"file": ("c.tar", b"no archive")}
    answer = await inside.http.post("algorithm/upload", data={"name": "x"}, files=files)
    assert "archive" in refusal(answer, 422)


async def test_a_stranger_is_refused_before_the_file_is_read(site: Site) -> None:
    inside = await begin(site)
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        while read < 1000:
            read += 1
            yield b"0" * 100_000

    answer = await inside.http.post(
        "dataset/upload",
        content=endless(),
        headers={
            "Authorization": "nobody",
            "Content-Type": "multipart/form-data; boundary=x",
            "Content-Length": "100000000",
        },
    )
    assert refusal(answer, 401)
    assert read == 0


async def test_a_saved_file_says_its_length_and_has_an_end(site: Site) -> None:
    inside = await begin(site)

    async def some() -> AsyncIterator[bytes]:
        yield b"--x--"

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await inside.http.post("model/upload", content=some(), headers=kind)
    assert answer.status_code == 411
    huge = str(site.context.options.max_upload_bytes * 2)
    answer = await inside.http.post(
        "model/upload", content=some(), headers=kind | {"Content-Length": huge}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("point", [10**400, -(10**400)], ids=["up", "down"])
async def test_a_number_without_end_is_refused(site: Site, point: int) -> None:
    inside = await begin(site)
    points = [{"title": "loss", "series": "train", "x": [1], "y": [point]}]
    answer = await inside.call("task/metrics/batch", {"task_id": inside.id, "points": points})
    assert "too large for a number" in refusal(answer, 422)


async def test_results_have_an_end(site: Site) -> None:
    inside = await begin(site)
    base = {"task_id": inside.id, "type": "curve_result", "name": "roc"}
    curve = {"x": "x", "y": "y", "data": [[0, 0]] * (metrics.MAX_CURVE_POINTS + 1)}
    answer = await inside.call("task/attribute/update", base | {"value": curve})
    assert "every n-th" in refusal(answer, 422)
    scalar = {"task_id": inside.id, "type": "scalar_result", "name": "text", "value": "x" * 20_000}
    assert "save what is larger" in refusal(await inside.call("task/attribute/update", scalar), 422)


async def test_an_event_of_results_holds_what_is_new_alone(site: Site) -> None:
    inside = await begin(site)
    for name in ("a", "b"):
        sent = {"task_id": inside.id, "type": "scalar_result", "name": name, "value": 1.0}
        await inside.told("task/attribute/update", sent)
    with site.context.database.store(reads_only=True) as store:
        found = store.events.after(0, Reader(name="alice"))
    told = [e.data["scalars"] for e in found if e.kind == "results"]
    assert {"b": 1.0} in told
    assert {"a": 1.0, "b": 1.0} not in told


async def test_many_points_are_thinned_and_keep_their_extremes(site: Site) -> None:
    inside = await begin(site)
    count = 50_000
    for part in range(4):
        xs = list(range(part * count, (part + 1) * count))
        ys = [math.sin(x / 1000) for x in xs]
        if part == 2:
            ys[777] = 99.0
        points = [{"title": "loss", "series": "train", "x": xs, "y": ys}]
        await inside.told(
            "task/metrics/batch", {"task_id": inside.id, "batch_id": str(part), "points": points}
        )
    series = (await inside.metrics(points=500))["curves"][0]["series"][0]
    assert series["total"] == 4 * count
    assert len(series["x"]) <= 500
    assert (series["x"][0], series["x"][-1]) == (0, 4 * count - 1)
    assert max(series["y"]) == 99.0
    assert series["x"] == sorted(series["x"])


async def test_many_clients_at_once_lose_no_point(site: Site) -> None:
    inside = await begin(site)

    async def push(number: int) -> None:
        points = [{"title": "l", "series": f"s{number % 3}", "x": [number], "y": [number]}]
        batch = {"task_id": inside.id, "batch_id": f"b{number}", "points": points}
        await inside.told("task/metrics/batch", batch)

    await asyncio.gather(*(push(n) for n in range(60)))
    series = (await inside.metrics())["curves"][0]["series"]
    assert sorted(x for s in series for x in s["x"]) == list(range(60))


async def test_nobody_fills_the_database_with_series_or_notices(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_SERIES", 20)
    inside = await begin(site)
    figures = [{"title": f"t{n}", "series": [{"name": "s"}]} for n in range(21)]
    answer = await inside.call("task/metrics/batch", {"task_id": inside.id, "figures": figures})
    assert "20 series" in refusal(answer, 422)
    failures = [{"what": "x", "message": "y" * 5000}] * 1000
    await inside.told("task/metrics/batch", {"task_id": inside.id, "failures": failures})
    notices = (await inside.alice.get(f"tasks/{inside.id}"))["notices"]
    assert 0 < len(notices) <= 100
