"""How the exception that ended a Python program explains its end."""

from __future__ import annotations

import pytest

from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain.faults import explain

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


# code, the log's end, words that the message must hold
SEEN: list[tuple[str, str, list[str]]] = [
    (
        "python_exception",
        traceback_of("ValueError: too deep"),
        ["net.py, line 42", "ValueError: too deep"],
    ),
    ("python_exception", traceback_of("mylib.errors.Broken: no"), ["mylib.errors.Broken: no"]),
    ("python_exception", traceback_of("AssertionError"), ["AssertionError"]),
    (
        "python_exception",
        traceback_of("ValueError: first line\nsecond line of the message"),
        ["net.py, line 42", "ValueError: first line"],
    ),
    (
        "python_exception",
        traceback_of("ValueError: old", "    ~~~^^^").replace("net", "网络"),
        ["网络.py, line 42"],
    ),
    (
        "bad_parameter",
        traceback_of("KeyError: 'epochs'", "epochs = parameters['epochs']"),
        ["epochs"],
    ),
    (
        "bad_parameter",
        traceback_of("AttributeError: 'Parameter' object has no attribute 'lr'"),
        ["'lr'"],
    ),
    (
        "syntax_error",
        "  File \"/work/train.py\", line 3\n    if True\n           ^\nSyntaxError: expected ':'\n",
        ["train.py, line 3", "expected ':'"],
    ),
    (
        "syntax_error",
        traceback_of(
            "SyntaxError: invalid syntax",
            'import a\n  File "/work/a.py", line 9\n    y = = 1\n        ^',
        ),
        ["a.py, line 9"],
    ),
    (
        "connection_refused",
        traceback_of("ConnectionRefusedError: [Errno 111] Connection refused"),
        ["server"],
    ),
]


@pytest.mark.parametrize(
    ("code", "log", "words"), SEEN, ids=[f"{n}-{s[0]}" for n, s in enumerate(SEEN)]
)
def test_an_exception_gets_its_cause_and_its_place(code: str, log: str, words: list[str]) -> None:
    found = explain(Cause.EXIT, 1, {}, f"step 1\nstep 2\n{log}")
    assert found.reason == code
    for word in words:
        assert word in found.message
    assert "…" not in found.message


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


def test_a_service_that_never_listened_for_an_exception_says_the_exception() -> None:
    found = explain(Cause.NEVER_LISTENED, 1, {"port": 1}, traceback_of("ValueError: x"))
    assert found.reason == "python_exception"


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


def test_a_rank_of_a_distributed_training_is_no_part_of_its_words() -> None:
    log = "".join(f"[rank1]: {line}\n" for line in traceback_of("ValueError: x").splitlines())
    assert explain(Cause.EXIT, 1, {}, log).message.startswith("net.py, line 42: ValueError: x")


def test_a_traceback_that_another_program_quotes_is_not_the_one_that_ended_it() -> None:
    quoted = "".join(f"      {line}\n" for line in traceback_of("ValueError: x").splitlines())
    log = f"{quoted}error: metadata-generation-failed\n"
    assert explain(Cause.EXIT, 1, {}, log).reason == "pip_build_failed"


def test_a_worker_s_own_traceback_counts_and_not_the_one_that_passes_it_on() -> None:
    log = traceback_of(
        "RuntimeError: Caught ModuleNotFoundError in DataLoader worker process 0.\n"
        "Original " + traceback_of("ModuleNotFoundError: No module named 'cv2'").rstrip()
    )
    assert explain(Cause.EXIT, 1, {}, log).reason == "module_not_found"


def test_a_line_of_code_is_no_evidence() -> None:
    log = traceback_of("ValueError: x", 'raise ValueError("x")  # No space left on device')
    assert explain(Cause.EXIT, 1, {}, log).reason == "python_exception"
