"""Results of a task: single values, and curves such as a ROC."""

from __future__ import annotations

from kpl_helper._numbers import number, tell_once
from kpl_helper._sender import get_sender
from kpl_helper.base import logger

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from collections.abc import Iterable


def send_scalar_result(**results: object) -> None:
    """Note single values under their names, e.g. ``send_scalar_result(top1=0.92, top5=0.98)``.

    A name that is sent again takes the later value.
    """
    sender = get_sender()
    if sender is None:
        return
    for name, value in results.items():
        if isinstance(value, str):
            sender.add_event("scalar", name, value)
            continue
        plain = number(value, f"result {name!r}")
        if plain is not None:
            sender.add_event("scalar", name, plain)


def send_curve_result(
    title: str, x_name: str, x_points: Iterable[float], y_name: str, y_points: Iterable[float]
) -> None:
    """Note a curve.

    Parameters
    ----------
    title
        Name of the curve; sent again, the later one counts.
    x_name, y_name
        Names of the axes.
    x_points, y_points
        Positions and values, equally many; pairs with something that is no number are left out.
    """
    sender = get_sender()
    if sender is None:
        return
    xs, ys = list(x_points), list(y_points)
    if len(xs) != len(ys):
        logger.error(
            "[kpl-helper]: curve %r is left out: %d x points and %d y points",
            title,
            len(xs),
            len(ys),
        )
        return
    data = [
        [x, y]
        for x, y in (
            (number(x, f"x of {title!r}"), number(y, f"y of {title!r}"))
            for x, y in zip(xs, ys)  # noqa: B905 - equally long; `strict` is newer than some images' Python
        )
        if x is not None and y is not None
    ]
    if not data and xs:
        tell_once(f"curve {title!r} has no usable points and is left out")
        return
    curve = {"title": str(title), "x": str(x_name), "y": str(y_name), "data": data}
    sender.add_event("curve", str(title), curve)
