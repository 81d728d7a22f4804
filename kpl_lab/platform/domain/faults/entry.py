"""What an entry of the fault dictionary is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kpl_lab.engines.spec import Cause

# How long it usually takes until it works: orders of magnitude, for whoever decides to wait.
AT_ONCE = "a minute: start it again"
MINUTES = "a few minutes: change it and start it again"
BUILD = "some minutes and a new build"
ADMIN = "hours or days: an administrator has to act"
PASSES = "minutes to hours: it mostly passes by itself"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One entry.

    Attributes
    ----------
    code
        Stable word; the ``reason`` of whatever ended so. Also the message id for translations.
    cause, action
        Sentences; ``{name}`` is filled from the pattern's groups and the engine's detail.
    who
        Who can mend it: ``user``, ``admin`` or ``platform``.
    causes
        Engine causes that it applies to; empty: the command's own exit or signal.
    codes
        Words of the engine's own for it (``code`` of its detail, or of what it has refused): then
        neither log nor cause are looked at.
    needs
        A fact of the engine's detail without which it does not apply.
    signal
        It also explains an end by this signal of which the log says nothing.
    patterns
        Searched in what the program left; their named groups may stand in the texts.
    is_weak
        Harmless lines have such words too: outside of an exception only the last lines count.
    reads_code
        The patterns also look at the lines of code that a traceback shows.
    """

    code: str
    cause: str
    action: str
    who: str = "user"
    causes: tuple[Cause, ...] = ()
    codes: tuple[str, ...] = ()
    needs: str | None = None
    signal: int | None = None
    patterns: tuple[re.Pattern[str], ...] = ()
    is_weak: bool = False
    reads_code: bool = False
    usual_duration: str = MINUTES


def words(*texts: str) -> tuple[re.Pattern[str], ...]:
    """Return patterns in which ``^`` and ``$`` stand at the ends of lines."""
    return tuple(re.compile(text, re.MULTILINE) for text in texts)


def raises(name: str, said: str = "") -> str:
    """Return the text of a pattern for the line that ends a traceback, of any module."""
    return rf"^(?:[\w.]+\.)?(?:{name}): {said}" if said else rf"^(?:[\w.]+\.)?(?:{name})\b"
