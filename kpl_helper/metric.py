"""Curves on the page of the task."""

from __future__ import annotations

from kpl_helper._buffer import Series
from kpl_helper._numbers import number, tell_once
from kpl_helper._sender import get_sender

#: The one type of curve.
PLOT_LINE = "line"

_PLAIN = (float, int)


class MetricFigure:
    """A figure with one or two curves.

    Parameters
    ----------
    title
        Title of the figure; the same title again means the same figure.
    y1_name, y2_name
        Names of the curves; the second is optional.
    y1_type, y2_type
        `PLOT_LINE`; anything else is drawn as a line, with a warning.
    """

    def __init__(
        self,
        title: str,
        y1_name: str,
        y1_type: str = PLOT_LINE,
        y2_name: str | None = None,
        y2_type: str | None = None,
    ) -> None:
        self._arguments = (title, y1_name, y1_type, y2_name, y2_type)
        self._first = Series(str(title), str(y1_name), _kind(y1_type))
        self._second = Series(str(title), str(y2_name), _kind(y2_type)) if y2_name else None
        self._sender = get_sender()
        if self._sender is not None:
            series = [self._first] if self._second is None else [self._first, self._second]
            self._sender.add_event("figure", str(title), series)

    def push_metric(self, x: float, y1: float, y2: float | None = None) -> None:
        """Note one point of each curve; sent in the background.

        Parameters
        ----------
        x
            Position on the shared axis, usually the iteration.
        y1, y2
            Values; NaN and infinities are kept. What is no number is left out, with a warning.
        """
        sender = self._sender
        if sender is None:
            return
        if type(x) in _PLAIN and type(y1) in _PLAIN:
            sender.add_point(self._first, x, y1)
        else:
            self._add_converted(self._first, x, y1)
        if y2 is not None:
            if self._second is None:
                tell_once(f"figure {self._first.title!r} has no second curve; name it with y2_name")
            else:
                self._add_converted(self._second, x, y2)

    def _add_converted(self, series: Series, x: object, y: object) -> None:
        # Now and not in the thread: a tensor may change, and would keep its graph alive.
        x_value = number(x, f"x of {series.title!r}")
        y_value = number(y, f"{series.name!r} of {series.title!r}")
        if self._sender is not None and x_value is not None and y_value is not None:
            self._sender.add_point(series, x_value, y_value)

    def __reduce__(self) -> tuple[type[MetricFigure], tuple[str, str, str, str | None, str | None]]:
        return (MetricFigure, self._arguments)


def _kind(name: str | None) -> str:
    if name not in (None, PLOT_LINE):
        tell_once(f"curve type {name!r} is not known and is drawn as {PLOT_LINE!r}")
    return PLOT_LINE
