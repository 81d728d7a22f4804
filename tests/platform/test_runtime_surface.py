"""What clients inside algorithms call: the original shapes, and one task's token for one task."""

from __future__ import annotations

from typing import Any

import pytest

from tests.platform.inside import SUCCESS, begin, refusal
from tests.platform.running import Site


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
