"""How far the task is."""

from __future__ import annotations

from kpl_helper._numbers import number, tell_once
from kpl_helper._sender import get_sender


def send_progress(progress: float) -> None:
    """Note how far the task is; sent in the background.

    Parameters
    ----------
    progress
        Share of the work that is done, 0.0 to 1.0. Values outside are clamped, with a warning.
    """
    sender = get_sender()
    if sender is None:
        return
    value = progress if type(progress) is float else number(progress, "progress")
    if value is None:
        return
    if 0.0 <= value <= 1.0:
        sender.set_progress(value)
    elif value != value:
        tell_once("progress is NaN and is left out")
    else:
        tell_once("progress should be from 0.0 to 1.0 and is clamped")
        sender.set_progress(0.0 if value < 0.0 else 1.0)
