"""Progress, results and curves of tasks: what clients send, and what panels are shown."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kpl_lab.errors import Invalid
from kpl_lab.platform.domain import access
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.tasks import CurveResult, Figure, Series, TaskMetrics

MAX_SERIES = 2000
MAX_SCALARS = 1000
MAX_CURVES = 200
MAX_CURVE_POINTS = 100_000
MAX_TITLE = 500
MAX_VALUE = 10_000
HEADLINE_ITEMS = 3


def number(value: object) -> float:
    """Return a number from what clients send: non-finite ones come as text.

    Raises
    ------
    Invalid
        It is neither.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Invalid(f"{value!r} is not a number.", code="bad_metric")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{value!r} is not a number.", code="bad_metric") from error


def set_progress(store: Store, task: TaskRecord, value: object) -> None:
    """Record how far a task is, 0 to 1; a smaller value than before is taken too."""
    found = number(value)
    clamped = min(max(0.0 if math.isnan(found) else found, 0.0), 1.0)
    store.tasks.update(task.id, progress=clamped, progress_at=store.now())
    store.events.write(
        access.subject("tasks", task),
        "progress",
        data={"progress": clamped, "seconds_left": seconds_left(task, clamped, store.now())},
    )


def set_scalar(store: Store, task: TaskRecord, values: Mapping[str, object]) -> None:
    """Record scalar results by name; the newest value of a name counts."""
    fresh = store.tasks.get(task.id)
    if fresh is None:
        return
    new = {str(k)[:MAX_TITLE]: bounded(plain(v)) for k, v in values.items()}
    merged = {**fresh.scalars, **new}
    if len(merged) > MAX_SCALARS:
        raise Invalid(f"A task may have {MAX_SCALARS} scalar results.", code="too_many_results")
    store.tasks.update(task.id, scalars=merged)
    store.events.write(access.subject("tasks", task), "results", data={"scalars": new})


def add_curve(store: Store, task: TaskRecord, name: str, value: Mapping[str, Any]) -> None:
    """Record a result curve; one of the same title is replaced."""
    fresh = store.tasks.get(task.id)
    if fresh is None:
        return
    title = (name or "curve")[:MAX_TITLE]
    data = value.get("data") or []
    if not isinstance(data, list):
        raise Invalid("A result curve's data is a list of [x, y].", code="bad_metric")
    if len(data) > MAX_CURVE_POINTS:
        raise Invalid(
            f"The result curve {title!r} has {len(data)} points; at most {MAX_CURVE_POINTS} are kept. "
            "Send every n-th, or use a MetricFigure.",
            code="too_many_points",
        )
    points = [[plain(number(x)), plain(number(y))] for x, y in map(pair, data)]
    curve = {
        "title": title,
        "x": str(value.get("x", "x")),
        "y": str(value.get("y", "y")),
        "data": points,
    }
    others = [c for c in fresh.curves if c["title"] != title]
    if len(others) >= MAX_CURVES:
        raise Invalid(f"A task may have {MAX_CURVES} result curves.", code="too_many_results")
    store.tasks.update(task.id, curves=[*others, curve])
    store.events.write(access.subject("tasks", task), "results")


def pair(value: object) -> tuple[Any, Any]:
    """Return the two parts of a point.

    Raises
    ------
    Invalid
        It is no ``[x, y]``.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Invalid(f"{value!r} is not a point; write [x, y].", code="bad_metric")
    return value[0], value[1]


def declare_series(store: Store, task_id: int, title: str, name: str, kind: str) -> int:
    """Make a series known, empty or not, and say how it is drawn."""
    return _series(store, task_id, title, name, kind)


def _series(store: Store, task_id: int, title: str, name: str, kind: str | None = None) -> int:
    id, is_new = store.metrics.series(task_id, title[:MAX_TITLE], name[:MAX_TITLE], kind)
    if is_new and store.metrics.count(task_id) > MAX_SERIES:
        raise Invalid(f"A task may have {MAX_SERIES} series of points.", code="too_many_series")
    return id


def add_points(
    store: Store,
    task: TaskRecord,
    title: str,
    name: str,
    points: tuple[object, object],
) -> None:
    """Add points to a series.

    Raises
    ------
    Invalid
        ``x`` and ``y`` differ in length, or hold what is no number.
    """
    xs, ys = points
    if not isinstance(xs, list) or not isinstance(ys, list):
        raise Invalid("x and y of a series are lists of numbers.", code="bad_metric")
    if len(xs) != len(ys):
        raise Invalid("x and y of a series must have the same length.", code="bad_metric")
    if xs:
        series = _series(store, task.id, title, name)
        try:
            store.metrics.append(series, _numbers(xs), _numbers(ys))
        except OverflowError as error:  # whole numbers have no end, floats have
            raise Invalid("A point is too large for a number.", code="bad_metric") from error


def _numbers(values: Sequence[Any]) -> list[float]:
    # The common case is a list of plain numbers; looking at each one twice would halve the speed.
    if all(type(v) is float or type(v) is int for v in values):
        return list(values)
    return [number(v) for v in values]


def note_points(store: Store, task: TaskRecord) -> None:
    """Tell panels that there are new points."""
    store.events.write(access.subject("tasks", task), "metrics")


def plain(value: object) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a value as JSON can carry it: non-finite numbers become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def bounded(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a scalar result, refusing what is no result but data.

    Raises
    ------
    Invalid
        As JSON it has more than ``MAX_VALUE`` characters.
    """
    if not isinstance(value, int | float) and len(json.dumps(value)) > MAX_VALUE:
        raise Invalid(
            f"A scalar result may have {MAX_VALUE} characters; save what is larger as an output.",
            code="bad_metric",
        )
    return value


def seconds_left(task: TaskRecord, progress: float | None, now: dt.datetime) -> float | None:
    """Return how long a task may still take, going on as it did; None where nobody knows."""
    if task.state != "running" or task.started_at is None or not progress:
        return None
    at = task.progress_at if progress == task.progress and task.progress_at else now
    spent = (at - task.started_at).total_seconds()
    since = (now - at).total_seconds()
    return max(0.0, round(spent * (1 - progress) / progress - since, 1))


def headline(task: TaskRecord) -> str:
    """Return the newest scalar results in one short line."""
    parts = []
    for name, value in list(task.scalars.items())[-HEADLINE_ITEMS:]:
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{name} {shown}"[:60])
    return " · ".join(parts)


def view(store: Store, task: TaskRecord, at_most: int) -> TaskMetrics:
    """Return everything that a task has reported, curves thinned to ``at_most`` points each."""
    figures: dict[str, list[Series]] = {}
    for one in store.metrics.of(task.id)[:MAX_SERIES]:
        x, y = store.metrics.points(one.id, at_most)
        figures.setdefault(one.title, []).append(
            Series(
                name=one.name,
                type=one.type,
                x=[v if math.isfinite(v) else None for v in x.tolist()],
                y=[v if math.isfinite(v) else None for v in y.tolist()],
                total=one.points,
            )
        )
    return TaskMetrics(
        progress=task.progress,
        scalars=task.scalars,
        curves=[Figure(title=title, series=series) for title, series in figures.items()],
        results=[_result(c) for c in task.curves],
    )


def _result(curve: Mapping[str, Any]) -> CurveResult:
    points = [(number(x), number(y)) for x, y in curve["data"]]
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    return CurveResult(title=curve["title"], x=curve["x"], y=curve["y"], data=finite)
