"""Numbers as training code has them: of Python, numpy, or in tensors with one element."""

from __future__ import annotations

import os

from kpl_helper.base import logger

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from typing import Any

_told: set[str] = set()


def number(value: Any, what: str) -> float | None:  # noqa: ANN401 - whatever float() takes, or not
    """Return `value` as a float; ``None``, said once in the log for each `what`, if it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        # Tensors with several elements raise RuntimeError.
        tell_once(f"{what} is not a number and is left out ({error})")
        return None


def tell_once(sentence: str) -> None:
    """Warn with this sentence at its first occurrence; a loop must not fill the log."""
    if sentence not in _told and len(_told) < 1000:
        _told.add(sentence)
        logger.warning("[kpl-helper]: %s", sentence)


def number_from_env(name: str, default: float) -> float:
    """Return a setting of the environment, at least 0; `default` where it is not set or no number."""
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        tell_once(f"{name} is {text!r}, which is not a number; {default:g} is used")
        return default
    return max(value, 0.0)
