"""The fault dictionary: what an end looks like → what caused it, who can mend it, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain.tracebacks import last_raised
from kpl_lab.schemas.common import Remedy


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One entry.

    Attributes
    ----------
    code
        Stable word; the ``reason`` of whatever ended so. Also the message id for translations.
    causes
        Engine causes that it applies to; empty: the command's own exit or signal.
    patterns
        Searched in the end of the log; their named groups may stand in the texts.
    cause, action
        Sentences; ``{name}`` is filled from the pattern's groups and the engine's detail.
    """

    code: str
    cause: str
    action: str
    who: str = "user"
    causes: tuple[Cause, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    usual_duration: str | None = None


def _re(*texts: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text, re.MULTILINE) for text in texts)


# The first that fits is taken: engine causes first, then patterns from special to general.
FAULTS: tuple[Fault, ...] = (
    Fault(
        code="out_of_memory",
        causes=(Cause.OUT_OF_MEMORY,),
        cause="It needed more memory than its limit: used {used_mb} of {limit_mb} MiB.",
        action="Start it again with more memory, or use smaller batches.",
    ),
    Fault(
        code="time_limit",
        causes=(Cause.TIME_LIMIT,),
        cause="It ran longer than its time limit of {limit_seconds} seconds and was ended.",
        action="Give it more time, or let it do less work.",
    ),
    Fault(
        code="disk_full",
        causes=(Cause.DISK_FULL,),
        who="admin",
        cause="The disk had no room left for it.",
        action="Delete datasets, models or tasks that are no longer needed, then start it again.",
    ),
    Fault(
        code="wrong_port",
        causes=(Cause.WRONG_PORT,),
        cause="The service listens on port {listening}, but is expected on port {port}.",
        action="Let it listen on the port in the variable PORT, or set `port` in environment.yml.",
    ),
    Fault(
        code="killed",
        causes=(Cause.KILLED,),
        cause="It was killed from outside the platform.",
        action="Start it again; if it happens repeatedly, ask an administrator who ends processes.",
        who="admin",
    ),
    Fault(
        code="lost",
        causes=(Cause.LOST,),
        cause="The machine was restarted, or the process vanished without a trace.",
        action="Start it again.",
        who="platform",
    ),
    Fault(
        code="cuda_out_of_memory",
        patterns=_re(r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|OutOfMemoryError: CUDA"),
        cause="The GPU's own memory was too small for the model and its batches.",
        action="Use smaller batches or a smaller model, or a GPU with more memory.",
    ),
    Fault(
        code="cuda_unavailable",
        patterns=_re(
            r"No CUDA GPUs are available|CUDA driver version is insufficient"
            r"|Torch not compiled with CUDA enabled|Found no NVIDIA driver"
        ),
        cause="The program wants a GPU, but it was given none that it can use.",
        action="Ask for a GPU in `resource.limits.gpu`, or let the program run on the CPU.",
    ),
    Fault(
        code="memory_error",
        patterns=_re(r"^MemoryError|numpy.*ArrayMemoryError|Unable to allocate .* for an array"),
        cause="The program asked for more memory than it may have.",
        action="Start it again with more memory, or use smaller batches.",
    ),
    Fault(
        code="no_space",
        patterns=_re(r"No space left on device|\[Errno 28\]|Disk quota exceeded"),
        who="admin",
        cause="The disk had no room left for what the program wrote.",
        action="Delete what is no longer needed, write less, or ask an administrator for room.",
    ),
    Fault(
        code="module_not_found",
        patterns=_re(r"ModuleNotFoundError: No module named '(?P<module>[^']+)'"),
        cause="The Python package {module!r} is not installed in the environment.",
        action="Add a line `pip3 install PACKAGE` for it to `image.runs` in environment.yml.",
    ),
    Fault(
        code="import_error",
        patterns=_re(r"^ImportError: (?P<what>[^\n]+)"),
        cause="A Python package could not be imported: {what}.",
        action="Check that the versions in `image.runs` fit together.",
    ),
    Fault(
        code="bad_parameter",
        patterns=_re(
            r"(?P<what>\w*ParameterError: [^\n]+|(?:Key|Attribute)Error: [^\n]*[Pp]arameter[^\n]*)",
            # The line of code speaks of parameters: ``parameters["epochs"]``.
            r"^ +[^\n]*[Pp]aram[^\n]*\n(?:[ ~^]*\n)?(?P<what>(?:Key|Attribute)Error: [^\n]+)",
        ),
        cause="The program uses a parameter that was not given or does not fit: {what}.",
        action="Compare parameter.yml with the names that the code reads.",
    ),
    Fault(
        code="input_missing",
        patterns=_re(r"(?P<what>(?:InputNotFoundError|MissingInputError|InputMissing\w*): [^\n]+)"),
        cause="The program asked for an input that the task does not have: {what}.",
        action="Fill that input when you submit, or declare it `optional: true`.",
    ),
    Fault(
        code="file_not_found",
        patterns=_re(r"FileNotFoundError: \[Errno 2\][^:]*: '(?P<path>[^']+)'"),
        cause="The program opened {path}, which is not there.",
        action="Use `get_input_path` for inputs and paths relative to the code for its own files.",
    ),
    Fault(
        code="read_only",
        patterns=_re(r"Read-only file system(?:: '(?P<path>[^']+)')?"),
        cause="The program wrote where it may only read.",
        action="Inputs are read-only; write to a folder of `get_output_path`.",
    ),
    Fault(
        code="permission_denied",
        patterns=_re(
            r"PermissionError: \[Errno 13\][^:]*: '(?P<what>[^']+)'",
            r"(?:sh|bash)(?:: \d+|: line \d+)?: (?:\d+: )?(?P<what>[^:\n]+): Permission denied",
        ),
        cause="The program has no right to use {what}.",
        action="Write to a folder of `get_output_path`, and read inputs through `get_input_path`.",
    ),
    Fault(
        code="syntax_error",
        patterns=_re(
            r'File "(?:[^"]*/)?(?P<file>[^"/]+)", line (?P<line>\d+)\n[^\n]*\n(?:[ ~^]*\n)?(?P<what>(?:Syntax|Indentation|Tab)Error: [^\n]+)'
        ),
        cause="{file}, line {line}, is not valid Python: {what}.",
        action="Mend that line and submit again.",
    ),
    Fault(
        code="command_not_found",
        patterns=_re(
            r"(?:sh|bash)(?:: \d+|: line \d+)?: (?:\d+: )?(?P<command>[^:\n]+): (?:command )?not found"
        ),
        cause="The command {command!r} does not exist in the environment.",
        action="Correct `cmd` in environment.yml, or install the program in `image.runs`.",
    ),
    Fault(
        code="script_not_found",
        patterns=_re(r"can't open file '(?:[^']*/)?(?P<file>[^'/]+)'"),
        cause="The script {file!r} is not in the code folder.",
        action="Correct `cmd` in environment.yml, or add the script to the folder.",
    ),
    Fault(
        code="connection_refused",
        patterns=_re(r"ConnectionRefusedError|Connection refused"),
        cause="The program could not connect to a server that it needs.",
        action="Check the address; workloads may not reach every network.",
    ),
    Fault(
        code="name_resolution",
        patterns=_re(r"Temporary failure in name resolution|Name or service not known"),
        cause="The program looked for a host whose name is not known here.",
        action="Check the name; a machine without internet reaches no outside host.",
        who="admin",
    ),
    Fault(
        code="address_in_use",
        patterns=_re(r"Address already in use"),
        cause="The port that the program wants is taken.",
        action="Let it listen on the port in the variable PORT.",
    ),
    Fault(
        code="pip_no_match",
        patterns=_re(r"ERROR: No matching distribution found for (?P<requirement>[^\n]+)"),
        cause="pip found no version that satisfies {requirement}.",
        action="Correct the name or version in `image.runs`.",
    ),
    Fault(
        code="pip_conflict",
        patterns=_re(r"ERROR: ResolutionImpossible|conflicting dependencies"),
        cause="The packages in `image.runs` want versions that exclude one another.",
        action="Loosen or drop one of the version numbers.",
    ),
    Fault(
        code="compiler_missing",
        patterns=_re(r"error: command '[^']*(?:gcc|cc|g\+\+)' failed|unable to execute 'gcc'"),
        cause="A package had to be compiled, and that failed.",
        action="Use a version that comes as a wheel.",
    ),
    Fault(
        # As `engines/local/build_steps.py` says it.
        code="build_line",
        patterns=_re(r"line (?P<number>\d+) of image\.runs ended with exit code \d+: (?P<run>.*)"),
        cause="Line {number} of `image.runs` failed: {run}",
        action="Mend the line in environment.yml; the build log says what it printed.",
    ),
    Fault(
        code="python_exception",
        cause="{file}, line {line}: {what}",
        action="Mend the code at that line; the log has the whole traceback.",
    ),
    Fault(
        code="never_listened",
        causes=(Cause.NEVER_LISTENED,),
        cause="The service never listened on its port {port}.",
        action="Let it listen on the port in the variable PORT; the log may say why it did not.",
    ),
    Fault(
        code="never_fits",
        cause="It asks for {asked}, and the machine has only {there} in all by now",
        action="Submit it again with less, or ask an administrator for a larger machine.",
    ),
    Fault(
        code="start_failed",
        causes=(Cause.START_FAILED,),
        who="platform",
        cause="It could not be started: {error}.",
        action="Try again; if it stays, ask an administrator.",
    ),
)

_ENGINE_FIRST = (
    Cause.OUT_OF_MEMORY,
    Cause.TIME_LIMIT,
    Cause.DISK_FULL,
    Cause.WRONG_PORT,
    Cause.KILLED,
    Cause.LOST,
)
BY_CODE = {fault.code: fault for fault in FAULTS}


class _Blank(dict[str, Any]):
    """Fills what nobody knows with an ellipsis."""

    def __missing__(self, key: str) -> str:
        return "…"


@dataclass(frozen=True)
class Explanation:
    """Why something ended: ``reason`` is the code, ``message`` a sentence with the next step."""

    reason: str
    message: str
    remedy: Remedy


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
        is none does everything else that the log holds.
    """
    if cause in _ENGINE_FIRST:
        return _of_engine(cause, detail) or _by_exit_code(exit_code)
    raised = last_raised(log_tail, exit_code)
    is_told = raised is not None and not raised.is_of_launcher
    found = _of_log(raised.text if raised is not None and is_told else log_tail, detail)
    if found is None and raised is not None:
        facts = {"file": raised.file, "line": raised.line, "what": raised.what}
        found = explain_fault(BY_CODE["python_exception"], facts)
    return found or _of_engine(cause, detail) or _by_exit_code(exit_code)


def _of_engine(cause: Cause | None, detail: Mapping[str, Any]) -> Explanation | None:
    for fault in FAULTS:
        if cause in fault.causes:
            return explain_fault(fault, detail)
    return None


def _of_log(text: str, detail: Mapping[str, Any]) -> Explanation | None:
    """Return what the last match of the first fault that fits says."""
    for fault in FAULTS:
        for pattern in fault.patterns:
            matches = list(pattern.finditer(text))
            if matches:
                return explain_fault(fault, {**detail, **matches[-1].groupdict()})
    return None


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
