"""The fault dictionary: each end gets its cause, who can mend it, and what to do."""

from __future__ import annotations

import string
from typing import Any

import pytest

from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain.faults import BY_CODE, FAULTS, explain, explain_fault

TRACEBACK = """\
Traceback (most recent call last):
  File "/work/train.py", line 7, in <module>
    main()
  File "/work/net.py", line 42, in build
    {line}
{error}
"""


def traceback_of(error: str, line: str = "raise_it()") -> str:
    return TRACEBACK.format(error=error, line=line)


# code, what the engine saw, its detail, the log's end, words that the message must hold
SEEN: list[tuple[str, Cause, dict[str, Any], str, list[str]]] = [
    ("out_of_memory", Cause.OUT_OF_MEMORY, {"used_mb": 600, "limit_mb": 512}, "", ["600", "512"]),
    ("time_limit", Cause.TIME_LIMIT, {"limit_seconds": 60}, "", ["60 seconds"]),
    ("disk_full", Cause.DISK_FULL, {}, "", ["no room"]),
    ("wrong_port", Cause.WRONG_PORT, {"port": 8080, "listening": 5000}, "", ["8080", "5000"]),
    ("never_listened", Cause.NEVER_LISTENED, {"port": 8080}, "", ["8080"]),
    ("killed", Cause.KILLED, {}, "", ["killed"]),
    ("lost", Cause.LOST, {}, "", ["restarted"]),
    ("start_failed", Cause.START_FAILED, {"error": "no such folder"}, "", ["no such folder"]),
    (
        "build_line",
        Cause.EXIT,
        {},
        "the build has failed: line 2 of image.runs ended with exit code 1: make it\n",
        ["Line 2", "make it", "environment.yml"],
    ),
    (
        "python_exception",
        Cause.EXIT,
        {},
        traceback_of("ValueError: too deep"),
        ["net.py, line 42", "ValueError: too deep"],
    ),
    (
        "python_exception",
        Cause.EXIT,
        {},
        traceback_of("mylib.errors.Broken: no"),
        ["mylib.errors.Broken: no"],
    ),
    ("python_exception", Cause.EXIT, {}, traceback_of("AssertionError"), ["AssertionError"]),
    (
        "python_exception",
        Cause.EXIT,
        {},
        traceback_of("ValueError: first line\nsecond line of the message"),
        ["net.py, line 42", "ValueError: first line"],
    ),
    (
        "python_exception",
        Cause.EXIT,
        {},
        traceback_of("ValueError: old", "    ~~~^^^").replace("net", "网络"),
        ["网络.py, line 42"],
    ),
    (
        "bad_parameter",
        Cause.EXIT,
        {},
        traceback_of("KeyError: 'epochs'", "epochs = parameters['epochs']"),
        ["epochs"],
    ),
    (
        "bad_parameter",
        Cause.EXIT,
        {},
        traceback_of("AttributeError: 'Parameter' object has no attribute 'lr'"),
        ["'lr'"],
    ),
    (
        "bad_parameter",
        Cause.EXIT,
        {},
        traceback_of("kpl_helper.errors.MissingParameterError: \"there is no 'lr' here\""),
        ["'lr'"],
    ),
    (
        "module_not_found",
        Cause.EXIT,
        {},
        traceback_of("ModuleNotFoundError: No module named 'torch'"),
        ["torch", "image.runs"],
    ),
    (
        "import_error",
        Cause.EXIT,
        {},
        traceback_of("ImportError: cannot import name 'x' from 'y'"),
        ["cannot import name"],
    ),
    ("command_not_found", Cause.EXIT, {}, "/bin/sh: 1: trian: not found\n", ["trian"]),
    ("command_not_found", Cause.EXIT, {}, "bash: line 1: trian: command not found\n", ["trian"]),
    (
        "script_not_found",
        Cause.EXIT,
        {},
        "python3: can't open file '/work/trian.py': [Errno 2] No such file or directory\n",
        ["trian.py"],
    ),
    (
        "permission_denied",
        Cause.EXIT,
        {},
        traceback_of("PermissionError: [Errno 13] Permission denied: '/etc/x'"),
        ["/etc/x"],
    ),
    ("permission_denied", Cause.EXIT, {}, "/bin/sh: 1: ./run.sh: Permission denied\n", ["run.sh"]),
    (
        "no_space",
        Cause.EXIT,
        {},
        traceback_of("OSError: [Errno 28] No space left on device"),
        ["no room"],
    ),
    (
        "read_only",
        Cause.EXIT,
        {},
        traceback_of("OSError: [Errno 30] Read-only file system: '/in/x'"),
        ["get_output_path"],
    ),
    (
        "file_not_found",
        Cause.EXIT,
        {},
        traceback_of("FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'"),
        ["data.csv"],
    ),
    (
        "cuda_out_of_memory",
        Cause.EXIT,
        {},
        traceback_of("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"),
        ["GPU"],
    ),
    (
        "cuda_unavailable",
        Cause.EXIT,
        {},
        traceback_of("RuntimeError: No CUDA GPUs are available"),
        ["GPU"],
    ),
    (
        "memory_error",
        Cause.EXIT,
        {},
        traceback_of(
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8 GiB for an array"
        ),
        ["memory"],
    ),
    ("memory_error", Cause.EXIT, {}, traceback_of("MemoryError"), ["memory"]),
    (
        "syntax_error",
        Cause.EXIT,
        {},
        "  File \"/work/train.py\", line 3\n    if True\n           ^\nSyntaxError: expected ':'\n",
        ["train.py, line 3", "expected ':'"],
    ),
    (
        "syntax_error",
        Cause.EXIT,
        {},
        traceback_of(
            "SyntaxError: invalid syntax",
            'import a\n  File "/work/a.py", line 9\n    y = = 1\n        ^',
        ),
        ["a.py, line 9"],
    ),
    (
        "input_missing",
        Cause.EXIT,
        {},
        traceback_of("kpl_helper.errors.InputNotFoundError: the input 'data' was not given"),
        ["'data'"],
    ),
    (
        "connection_refused",
        Cause.EXIT,
        {},
        traceback_of("ConnectionRefusedError: [Errno 111] Connection refused"),
        ["server"],
    ),
    (
        "name_resolution",
        Cause.EXIT,
        {},
        traceback_of("socket.gaierror: [Errno -3] Temporary failure in name resolution"),
        ["internet"],
    ),
    (
        "address_in_use",
        Cause.EXIT,
        {},
        traceback_of("OSError: [Errno 98] Address already in use"),
        ["PORT"],
    ),
    (
        "pip_no_match",
        Cause.EXIT,
        {},
        "ERROR: Could not find a version that satisfies the requirement nope (from versions: none)"
        "\nERROR: No matching distribution found for nope\n",
        ["nope", "image.runs"],
    ),
    (
        "pip_conflict",
        Cause.EXIT,
        {},
        "ERROR: ResolutionImpossible: for help visit https://pip.pypa.io\n",
        ["exclude"],
    ),
    (
        "compiler_missing",
        Cause.EXIT,
        {},
        "error: command 'gcc' failed: No such file or directory\n",
        ["compiled"],
    ),
]


@pytest.mark.parametrize(
    ("code", "cause", "detail", "log", "words"),
    SEEN,
    ids=[f"{n}-{s[0]}" for n, s in enumerate(SEEN)],
)
def test_an_end_gets_its_cause_and_what_to_do(
    code: str, cause: Cause, detail: dict[str, Any], log: str, words: list[str]
) -> None:
    found = explain(cause, 1, detail, f"step 1\nstep 2\n{log}")
    assert found.reason == code
    for word in words:
        assert word in found.message
    assert "…" not in found.message
    assert found.message.endswith(".")
    assert found.remedy.action
    assert found.remedy.who in ("user", "admin", "platform")


def test_every_fault_is_shown_above() -> None:
    never_started = {"never_fits"}  # tests of the queue show it
    assert {s[0] for s in SEEN} | never_started == set(BY_CODE)
    assert len(FAULTS) == len(BY_CODE) >= 12


def test_texts_name_only_what_their_fault_knows() -> None:
    from_engine = {
        "file",
        "line",
        "what",
        "used_mb",
        "limit_mb",
        "limit_seconds",
        "port",
        "listening",
        "error",
        "asked",
        "there",
    }
    for fault in FAULTS:
        known = {n for pattern in fault.patterns for n in pattern.groupindex} or from_engine
        for text in (fault.cause, fault.action):
            named = {name for _, name, _, _ in string.Formatter().parse(text) if name}
            assert named <= known, fault.code


def test_facts_that_are_not_known_leave_a_gap_and_no_error() -> None:
    assert "…" in explain_fault(BY_CODE["wrong_port"], {"port": 8080}).message


def test_braces_and_percent_signs_in_a_log_are_no_placeholders() -> None:
    found = explain(Cause.EXIT, 1, {}, traceback_of("ValueError: {a} %s {0.x} {{}}"))
    assert "{a} %s {0.x} {{}}" in found.message


def test_what_was_handled_and_went_on_does_not_explain_the_end() -> None:
    log = traceback_of("ValueError: handled") + "went on\n" * 3 + "gave up\n"
    assert explain(Cause.EXIT, 3, {}, log).reason == "exit_code"


def test_what_was_printed_before_an_exception_does_not_explain_it() -> None:
    log = "Connection refused, trying again\n" + traceback_of("ValueError: x")
    assert explain(Cause.EXIT, 1, {}, log).reason == "python_exception"


def test_behind_a_launcher_s_exception_the_child_s_own_words_are_looked_for() -> None:
    log = traceback_of("torch.OutOfMemoryError: CUDA out of memory") + traceback_of(
        "subprocess.CalledProcessError: Command 'python x.py' returned non-zero exit status 1."
    )
    assert explain(Cause.EXIT, 1, {}, log).reason == "cuda_out_of_memory"


def test_the_last_exception_is_the_one_that_counts() -> None:
    log = (
        traceback_of("KeyError: 'a'")
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + traceback_of("RuntimeError: second").replace("net.py", "other.py")
    )
    assert "other.py, line 42: RuntimeError: second" in explain(Cause.EXIT, 1, {}, log).message


def test_what_memory_limit_ended_is_not_explained_by_its_log() -> None:
    log = traceback_of("ValueError: x")
    facts = {"used_mb": 2, "limit_mb": 1}
    assert explain(Cause.OUT_OF_MEMORY, -9, facts, log).reason == "out_of_memory"


def test_a_service_that_never_listened_for_an_exception_says_the_exception() -> None:
    found = explain(Cause.NEVER_LISTENED, 1, {"port": 1}, traceback_of("ValueError: x"))
    assert found.reason == "python_exception"


@pytest.mark.parametrize(("exit_code", "code"), [(3, "exit_code"), (-11, "signal")])
def test_what_nobody_knows_is_told_by_its_exit_code(exit_code: int, code: str) -> None:
    found = explain(Cause.EXIT, exit_code, {}, "")
    assert found.reason == code
    assert str(abs(exit_code)) in found.message


@pytest.mark.parametrize("log", ["x" * 16384, 'File "' * 2700, "\n" * 16384, " File " * 2700])
def test_a_hostile_log_costs_little(log: str) -> None:
    # Patterns that backtrack would hang here, and the test's time limit would end them.
    assert explain(Cause.EXIT, 1, {}, log).reason == "exit_code"


def test_the_place_that_is_told_is_in_the_user_s_own_code_and_not_in_a_library() -> None:
    log = (
        "Traceback (most recent call last):\n"
        '  File "/work/train.py", line 15, in <module>\n'
        "    writer.add_scalar('loss', 1.0, 1)\n"
        '  File "/env/lib/python3.11/site-packages/writer/summary.py", line 153, in scalar\n'
        "    scalar = float(scalar)\n"
        "TypeError: no number\n"
    )
    assert explain(Cause.EXIT, 1, {}, log).message.startswith("train.py, line 15: TypeError")
