"""Finds the entry that explains an end."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kpl_lab.engines.spec import Cause
from kpl_lab.errors import KplError
from kpl_lab.platform.domain.faults import dictionary
from kpl_lab.platform.domain.faults.entry import Fault
from kpl_lab.platform.domain.tracebacks import UNCAUGHT_EXIT_CODE, last_raised
from kpl_lab.schemas.common import Remedy

_ENGINE_FIRST = (
    Cause.OUT_OF_MEMORY,
    Cause.TIME_LIMIT,
    Cause.DISK_FULL,
    Cause.WRONG_PORT,
    Cause.KILLED,
    Cause.LOST,
)
# A program says why it ends at its end; what stands far above it was overcome.
_END_LINES = 80
# Words that harmless lines have too count only here; the platform adds a line or two of its own.
_LAST_LINES = 8
# A shell tells of a program that a signal has ended by an exit code above this.
_SIGNAL_BASE = 128

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Progress bars write over their own line; a name that ends with it is a fault of its own.
_LINE_END = re.compile(r"\r+\n")
_OVERWRITTEN = re.compile(r"\r(?!:)")
# `torchrun` puts it before each line.
_RANKS = re.compile(r"^\[(?:rank|default)\d+\]: ?", re.MULTILINE)


@dataclass(frozen=True)
class Explanation:
    """Why something ended: ``reason`` is the code, ``message`` a sentence with the next step."""

    reason: str
    message: str
    remedy: Remedy


@dataclass(frozen=True)
class _Scene:
    """What a program left.

    Attributes
    ----------
    words
        Where patterns are searched.
    last_words
        Where weak ones are.
    code
        With the lines of code of a traceback.
    signal
        Which signal has ended it.
    """

    words: str
    last_words: str
    code: str
    signal: int | None


class _Blank(dict[str, Any]):
    """Fills what nobody knows with an ellipsis."""

    def __missing__(self, key: str) -> str:
        return "…"


def explain_fault(fault: Fault, facts: Mapping[str, Any]) -> Explanation:
    """Return a fault's texts with the facts of one case filled in."""
    blank = _Blank({k: v for k, v in facts.items() if v is not None})
    cause = fault.cause.format_map(blank)
    remedy = Remedy(
        code=fault.code,
        cause=cause,
        who=fault.who,
        action=fault.action,
        usual_duration=fault.usual_duration,
    )
    return Explanation(fault.code, f"{cause.rstrip('.')}. {fault.action}", remedy)


def explain_refusal(error: KplError) -> Explanation:
    """Return why something could not be started, where the engine or the platform refused it."""
    facts = {**error.detail, "error": error.message.rstrip(".")}
    fault = dictionary.BY_ENGINES_CODE.get(error.code) or dictionary.BY_CODE["start_failed"]
    return explain_fault(fault, facts)


def explain(
    cause: Cause | None, exit_code: int | None, detail: Mapping[str, Any], log_tail: str
) -> Explanation:
    """Return why a workload ended.

    Parameters
    ----------
    cause, exit_code, detail
        What the engine observed.
    log_tail
        The end of its log. The exception that ended a Python program explains it; only where there
        is none does everything else at the log's end.
    """
    known = dictionary.BY_ENGINES_CODE.get(str(detail.get("code")))
    if known is not None:
        return explain_fault(known, detail)
    if cause in _ENGINE_FIRST:
        return _of_engine(cause, detail) or _by_exit_code(exit_code)
    log = plain(log_tail)
    raised = last_raised(log, exit_code)
    if raised is not None and not raised.is_of_launcher:
        scene = _Scene(raised.message, raised.message, raised.text, None)
    else:
        # What Docker says of a container that it could not start stands in no log.
        said = str(detail.get("error") or "") if cause is Cause.START_FAILED else ""
        words = _last_lines(f"{log}\n{said}" if said else log, _END_LINES)
        scene = _Scene(
            words, _last_lines(words, _LAST_LINES), words, _own_signal(cause, exit_code, detail)
        )
    found = _of_scene(scene, detail)
    if found is None and raised is not None:
        if raised.is_of_launcher:
            before = _last_lines(log[: raised.start], _END_LINES)
            raised = last_raised(before, UNCAUGHT_EXIT_CODE) or raised
        facts = {"file": raised.file, "line": raised.line, "what": raised.what}
        found = explain_fault(dictionary.BY_CODE["python_exception"], facts)
    return found or _of_engine(cause, detail) or _by_exit_code(exit_code)


def plain(log: str) -> str:
    """Return a log as it would be without a terminal: no colours, one line per line."""
    log = _LINE_END.sub("\n", _COLOURS.sub("", log))
    return _RANKS.sub("", _OVERWRITTEN.sub("\n", log))


def _last_lines(text: str, count: int) -> str:
    return "\n".join(text.rstrip().split("\n")[-count:])


def _own_signal(
    cause: Cause | None, exit_code: int | None, detail: Mapping[str, Any]
) -> int | None:
    """Return which signal has ended a command, unless it was ours."""
    is_ours = cause not in (None, Cause.EXIT, Cause.SIGNAL) or "unhealthy_seconds" in detail
    if exit_code is None or is_ours:
        return None
    number = -exit_code if exit_code < 0 else exit_code - _SIGNAL_BASE
    return number if number in set(signal.Signals) else None


def _of_engine(cause: Cause | None, detail: Mapping[str, Any]) -> Explanation | None:
    for fault in dictionary.FAULTS:
        if cause in fault.causes and (fault.needs is None or detail.get(fault.needs)):
            return explain_fault(fault, detail)
    return None


def _of_scene(scene: _Scene, detail: Mapping[str, Any]) -> Explanation | None:
    """Return what the last match of the first fault that fits says, and which step of a build it was."""
    fitting = ((fault, _facts_of(fault, scene)) for fault in dictionary.FAULTS)
    found = next(((fault, facts) for fault, facts in fitting if facts is not None), None)
    if found is None:
        return None
    fault, facts = found
    told = explain_fault(fault, {**detail, **facts})
    step = None if fault in dictionary.STEPS else _step_of(scene)
    return replace(told, message=f"{step} {told.message}") if step else told


def _step_of(scene: _Scene) -> str | None:
    for fault in dictionary.STEPS:
        facts = _facts_of(fault, scene)
        if facts is not None:
            return f"{fault.cause.format_map(_Blank(facts)).rstrip('.')}."
    return None


def _facts_of(fault: Fault, scene: _Scene) -> Mapping[str, Any] | None:
    text = scene.code if fault.reads_code else scene.words
    if fault.is_weak:
        text = scene.last_words
    for pattern in fault.patterns:
        matches = list(pattern.finditer(text))
        if matches:
            return matches[-1].groupdict()
    return {} if fault.signal is not None and fault.signal == scene.signal else None


def _by_exit_code(exit_code: int | None) -> Explanation:
    if exit_code is not None and exit_code < 0:
        text = f"The command was ended by signal {-exit_code}."
        code = "signal"
    else:
        text = f"The command ended with exit code {exit_code}."
        code = "exit_code"
    action = "The end of the log says what it was doing."
    remedy = Remedy(code=code, cause=text, who="user", action=action)
    return Explanation(code, f"{text} {action}", remedy)
