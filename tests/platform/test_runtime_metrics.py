"""What clients inside algorithms measure: whole batches, bounded, none lost."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from kpl_lab.platform.domain import metrics
from kpl_lab.platform.storage.repositories.base import Reader
from tests.platform.inside import begin, refusal
from tests.platform.running import Site


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
