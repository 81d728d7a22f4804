"""What waits to be sent: points in compact arrays, and the rest in small lists.

Only the sending thread touches these objects; the training loop appends to a deque (see `_sender`).
"""

from __future__ import annotations

import json
from array import array

from kpl_helper._numbers import tell_once

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from typing import Any

#: Points in one request. About 400 KB of JSON at most, below the usual body limit of a proxy (1 MB).
BATCH_POINTS = 10_000
#: Points encoded in one go; the interpreter lock is held for about a millisecond.
CHUNK_POINTS = 1_000


class Series:
    """One curve of one figure."""

    __slots__ = ("name", "title", "type")

    def __init__(self, title: str, name: str, kind: str) -> None:
        self.title = title
        self.name = name
        self.type = kind


class _Points:
    """Points of one curve; 16 bytes each."""

    __slots__ = ("series", "x", "y")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.x = array("d")
        self.y = array("d")

    def thin(self) -> int:
        """Drop every second point of the older half; return how many went."""
        before = len(self.x)
        half = before // 2
        self.x[:half] = self.x[:half:2]
        self.y[:half] = self.y[:half:2]
        return before - len(self.x)

    def take(self, count: int) -> _Points:
        """Remove and return the oldest `count` points."""
        taken = _Points(self.series)
        taken.x, self.x = self.x[:count], self.x[count:]
        taken.y, self.y = self.y[:count], self.y[count:]
        return taken


class Batch:
    """One request, encoded; it keeps its id through every repetition."""

    __slots__ = ("attempts", "body", "points")

    def __init__(self, body: bytes, points: int) -> None:
        self.body = body
        self.points = points
        self.attempts = 0


class Pending:
    """Everything that was taken over from the loop and has not been put into a batch.

    Parameters
    ----------
    limit
        Points kept; beyond it the older points of the longest curve are thinned.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._points: dict[tuple[str, str], _Points] = {}
        self._figures: dict[str, dict[str, str]] = {}
        self._fresh_figures: set[str] = set()
        self._scalars: dict[str, Any] = {}
        self._curves: dict[str, dict[str, Any]] = {}
        self._failures: list[dict[str, str]] = []
        self._progress: float | None = None
        self.count = 0
        self.thinned = 0

    def add_point(self, series: Series, x: float, y: float) -> None:
        """Take over one point; one beyond the range of a double is left out, with a warning."""
        key = (series.title, series.name)
        points = self._points.get(key)
        if points is None:
            points = self._points[key] = _Points(series)
            # A forked child pushes to figures that were announced in its parent.
            self._figures.setdefault(series.title, {}).setdefault(series.name, series.type)
        try:
            pair = float(x), float(y)
        except OverflowError:
            tell_once(
                f"a point of {series.name!r} of {series.title!r} has a number beyond the range of "
                "a double and is left out"
            )
            return
        points.x.append(pair[0])
        points.y.append(pair[1])
        self.count += 1

    def add_figure(self, title: str, series: list[Series]) -> None:
        """Announce a figure; the same title again adds curves to it."""
        known = self._figures.setdefault(title, {})
        known.update({item.name: item.type for item in series})
        self._fresh_figures.add(title)

    def add_scalar(self, name: str, value: object) -> None:
        """Keep the latest value of a result."""
        self._scalars[name] = value

    def add_curve(self, title: str, curve: dict[str, Any]) -> None:
        """Keep the latest curve of that title."""
        self._curves[title] = curve

    def add_failure(self, what: str, message: str) -> None:
        """Keep a failure to be shown on the task."""
        self._failures.append({"what": what, "message": message})

    def set_progress(self, value: float) -> None:
        """Keep the latest progress, 0.0 to 1.0."""
        self._progress = value

    def keep_within_limit(self) -> None:
        """Thin the longest curves until the number of points is within the limit."""
        while self.count > self._limit:
            longest = max(self._points.values(), key=lambda points: len(points.x))
            gone = longest.thin()
            if not gone:
                break
            self.count -= gone
            self.thinned += gone

    def next_batch(self, task_id: int) -> Batch | None:
        """Take the oldest points and everything else out; ``None`` when nothing waits."""
        chunks = self._take_points()
        titles = {chunk.series.title for chunk in chunks} | self._fresh_figures
        if not (chunks or titles or self._others()):
            return None
        from uuid import uuid4

        head = {
            "task_id": task_id,
            "batch_id": str(uuid4()),
            "figures": [self._figure(title) for title in sorted(titles)],
            "progress": self._progress,
            "scalars": self._scalars,
            "curves": list(self._curves.values()),
            "failures": self._failures,
        }
        body = b'%s,"points":[%s]}' % (
            dumps(head)[:-1],
            b",".join(_encoded(chunk) for chunk in chunks),
        )
        self._fresh_figures = set()
        self._scalars, self._curves, self._failures, self._progress = {}, {}, [], None
        return Batch(body, sum(len(chunk.x) for chunk in chunks))

    def _others(self) -> bool:
        something = self._scalars or self._curves or self._failures
        return bool(something) or self._progress is not None

    def _figure(self, title: str) -> dict[str, Any]:
        series = self._figures.get(title, {})
        return {
            "title": title,
            "series": [{"name": name, "type": kind} for name, kind in series.items()],
        }

    def _take_points(self) -> list[_Points]:
        room = BATCH_POINTS
        chunks: list[_Points] = []
        for key, points in list(self._points.items()):
            while room and points.x:
                chunks.append(points.take(min(room, CHUNK_POINTS)))
                room -= len(chunks[-1].x)
            if not points.x:
                del self._points[key]
        self.count -= BATCH_POINTS - room
        return chunks


def _encoded(points: _Points) -> bytes:
    return dumps(
        {
            "title": points.series.title,
            "series": points.series.name,
            "x": points.x.tolist(),
            "y": points.y.tolist(),
        }
    )


def dumps(value: object) -> bytes:
    """Encode as JSON; numbers that JSON does not know go as ``"NaN"``, ``"Infinity"``, ``"-Infinity"``."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_spelled_out(value), allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


def _spelled_out(value: object) -> object:
    if isinstance(value, float):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if isinstance(value, dict):
        return {key: _spelled_out(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelled_out(item) for item in value]
    return value
