"""The fault dictionary: each end gets its cause, who can mend it, and what to do.

``tests/data/faults`` has what programs print when they fail: ``recorded.yml`` was printed here by
the lines of ``provoked.yml`` (``tests/engines/test_local_faults.py`` lets them fail anew),
``told.yml`` elsewhere.
"""

from __future__ import annotations

import string
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kpl_lab.engines.fake import Script
from kpl_lab.engines.spec import Cause, Handle, Replica, ReplicaState, Workload
from kpl_lab.errors import EngineError
from kpl_lab.platform import faults_page
from kpl_lab.platform.domain.faults import (
    BY_CODE,
    BY_ENGINES_CODE,
    FAULTS,
    Explanation,
    explain,
    explain_fault,
    explain_refusal,
)
from kpl_lab.platform.domain.faults.lookup import plain
from kpl_lab.platform.domain.faults.packages import FAULTS as OF_PACKAGES
from tests.platform.running import WAITS, Site
from tests.platform.test_servers import LAUNCH, create

DATA = Path(__file__).parents[1] / "data" / "faults"
SAMPLES: list[dict[str, Any]] = [
    sample
    for name in ("recorded.yml", "told.yml")
    for sample in yaml.safe_load((DATA / name).read_text("utf-8"))
]
GENERAL = ("build_line", "dockerfile_run", "exit_code")

# What the engine tells: code, cause, its detail, words that the message must hold.
SEEN: list[tuple[str, Cause, dict[str, Any], list[str]]] = [
    ("out_of_memory", Cause.OUT_OF_MEMORY, {"used_mb": 600, "limit_mb": 512}, ["600", "512"]),
    ("time_limit", Cause.TIME_LIMIT, {"limit_seconds": 60}, ["60 seconds"]),
    ("disk_full", Cause.DISK_FULL, {}, ["no room"]),
    ("wrong_port", Cause.WRONG_PORT, {"port": 8080, "listening": 5000}, ["8080", "5000"]),
    ("never_listened", Cause.NEVER_LISTENED, {"port": 8080}, ["8080"]),
    ("loopback_only", Cause.NEVER_LISTENED, {"port": 80, "loopback": True}, ["127.0.0.1", "80"]),
    ("unhealthy", Cause.SIGNAL, {"unhealthy_seconds": 62}, ["62 seconds", "`health`"]),
    ("killed", Cause.KILLED, {}, ["killed"]),
    ("lost", Cause.LOST, {}, ["restarted"]),
    ("start_failed", Cause.START_FAILED, {"error": "no such folder"}, ["no such folder"]),
    ("cluster_ended", Cause.LOST, {"error": "its Job was deleted"}, ["its Job was deleted"]),
]

# What a Kubernetes cluster tells: its word, the fault, the facts, words that the message must hold.
TOLD: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("evicted_memory", "evicted_memory", {"node": "n1"}, ["n1", "memory"]),
    ("evicted_disk", "evicted_disk", {"node": "n1"}, ["n1", "disk"]),
    ("evicted", "evicted", {"node": "n1", "what": "pids"}, ["n1", "pids"]),
    ("disk_limit", "disk_limit", {"limit": "1Gi"}, ["1Gi", "Write less"]),
    ("preempted", "preempted", {}, ["higher priority"]),
    ("drained", "drained", {"node": "n1"}, ["emptying the node n1"]),
    ("node_shutdown", "node_shutdown", {"node": "n1"}, ["n1 was shut down"]),
    ("node_lost", "node_lost", {"node": "n1"}, ["n1 was lost"]),
    ("node_full", "node_full", {"node": "n1", "resource": "cpu"}, ["n1", "no cpu left"]),
    ("node_refused", "node_refused", {"node": "n1", "said": "no device"}, ["n1", "no device"]),
    ("deadline", "deadline", {}, ["more time"]),
    ("agent_ended", "agent_ended", {"error": "OOMKilled, exit code 137"}, ["OOMKilled", "again"]),
    ("pod_failed", "cluster_ended", {"error": "The cluster says no"}, ["says no"]),
    ("registry_certificate", "node_certificate", {"answer": "x509: unknown"}, ["x509: unknown"]),
    ("image_signature", "image_signature", {"image": "a:1"}, ["a:1"]),
    ("image_never_pulled", "image_never_pulled", {"image": "a:1"}, ["a:1", "never to pull"]),
    ("image_runs_as_root", "image_runs_as_root", {}, ["USER 1000"]),
    ("folder_missing", "folder_missing", {"folder": "/src"}, ["/src", "WORKDIR"]),
    ("config_missing", "config_missing", {"said": "the secret x is not there"}, ["the secret x"]),
    ("config_invalid", "config_missing", {"said": "no such device"}, ["no such device"]),
    ("volume_missing", "volume_missing", {"error": "the claim c is gone"}, ["the claim c"]),
    ("no_storage_class", "volume_missing", {"error": "no class"}, ["no class"]),
    ("storage_class_missing", "volume_missing", {"error": "no class x"}, ["no class x"]),
    ("image_denied", "registry_denied", {}, ["user name and password"]),
    ("image_not_found", "image_missing", {}, ["no such image"]),
    ("image_platform", "wrong_architecture", {}, ["processor"]),
    ("image_name_invalid", "image_reference", {}, ["HOST/NAME:TAG"]),
    ("command_missing", "entry_missing", {"command": "train"}, ["'train'"]),
    ("command_denied", "entry_not_executable", {"command": "train"}, ["'train'"]),
    ("command_format", "exec_format", {"program": "The command"}, ["The command"]),
]
# What its API server refuses: the word, the fault, facts, words that the message must hold.
REFUSED: list[tuple[str, str, dict[str, Any], list[str]]] = [
    (
        "cluster_quota",
        "cluster_quota",
        {"quota": "q", "namespace": "lab", "amounts": "cpu: 4 asked, 7 of 8 used"},
        ["q", "lab", "4 asked", "ask for less"],
    ),
    *(
        (code, "cluster_refused", {"said": "p: only mine"}, ["p: only mine"])
        for code in (
            *("cluster_policy", "cluster_limits", "cluster_too_large", "pod_security"),
            *("cluster_invalid", "cluster_error"),
        )
    ),
    *(
        (code, "cluster_setup", {}, ["it is so", "administrator"])
        for code in (
            *("cluster_forbidden", "cluster_policy_down", "cluster_full", "cluster_class_missing"),
            *("cluster_account_missing", "namespace_missing", "namespace_terminating"),
        )
    ),
]
# Tests of queue, pools, services and the controller show them.
ELSEWHERE = {"never_fits", "pool_never_fits", "pool_gone", "service_ended", "gone"}


def explained(sample: dict[str, Any], *, more: str = "") -> Explanation:
    """Return what is said of a sample; ``more`` follows in its log."""
    detail = {"error": sample["error"]} if "error" in sample else {}
    log = f"step 1\nstep 2\n{sample.get('log', '')}{more}"
    return explain(Cause(sample.get("cause", "exit")), sample.get("exit_code", 1), detail, log)


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{n}-{s['code']}" for n, s in enumerate(SAMPLES)])
def test_what_a_program_printed_gets_its_cause_and_what_to_do(sample: dict[str, Any]) -> None:
    found = explained(sample)
    assert found.reason == sample["code"]
    for word in sample.get("words", ()):
        assert word in found.message
    assert "…" not in found.message.removesuffix(found.remedy.action)
    assert found.message.endswith(".")
    assert found.remedy.who in ("user", "admin", "platform")
    assert found.remedy.usual_duration


@pytest.mark.parametrize(("code", "cause", "detail", "words"), SEEN, ids=[s[0] for s in SEEN])
def test_what_the_engine_saw_gets_its_cause_and_what_to_do(
    code: str, cause: Cause, detail: dict[str, Any], words: list[str]
) -> None:
    # What the engine ends, it ends with a signal, which is then no fault of its own.
    found = explain(cause, -9, detail, "step 1\nstep 2\n")
    assert found.reason == code
    for word in words:
        assert word in found.message
    assert "…" not in found.message


@pytest.mark.parametrize(("code", "fault", "facts", "words"), TOLD, ids=[t[0] for t in TOLD])
def test_what_a_cluster_tells_is_not_looked_for_in_the_log(
    code: str, fault: str, facts: dict[str, Any], words: list[str]
) -> None:
    detail = {"code": code, "error": "It is so.", **facts}
    for cause in (Cause.LOST, Cause.START_FAILED, Cause.DISK_FULL):
        found = explain(cause, None, detail, "ModuleNotFoundError: No module named 'x'\n")
        assert found.reason == fault
        for word in words:
            assert word in found.message
        assert "…" not in found.message.removesuffix(found.remedy.action)


@pytest.mark.parametrize(
    ("code", "fault", "facts", "words"), REFUSED, ids=[one[0] for one in REFUSED]
)
def test_what_a_cluster_refuses_gets_its_cause_and_what_to_do(
    code: str, fault: str, facts: dict[str, Any], words: list[str]
) -> None:
    found = explain_refusal(EngineError("it is so.", code=code, detail=facts))
    assert found.reason == fault
    for word in words:
        assert word in found.message
    assert "…" not in found.message


def test_a_refusal_of_which_nothing_else_is_known_is_a_start_that_failed() -> None:
    found = explain_refusal(EngineError("No such folder.", code="something"))
    assert found.message.startswith("It could not be started: No such folder. Try again")


def test_every_fault_is_injected() -> None:
    injected = {s["code"] for s in SAMPLES} | {s[0] for s in SEEN} | ELSEWHERE
    assert injected | {fault for _, fault, *_ in (*TOLD, *REFUSED)} == set(BY_CODE)
    assert {code for code, *_ in (*TOLD, *REFUSED)} == set(BY_ENGINES_CODE)
    assert len(FAULTS) == len(BY_CODE) >= 60


def test_every_pattern_is_what_some_program_printed() -> None:
    printed: dict[str, list[str]] = {}
    for sample in SAMPLES:
        text = plain(f"{sample.get('log', '')}\n{sample.get('error', '')}")
        printed.setdefault(sample["code"], []).append(text)
    idle = [
        f"{fault.code}: {pattern.pattern}"
        for fault in FAULTS
        for pattern in fault.patterns
        if not any(pattern.search(text) for text in printed[fault.code])
    ]
    assert idle == []


def test_texts_name_only_what_their_fault_knows() -> None:
    from_engine = {
        *("file", "line", "what", "used_mb", "limit_mb", "limit_seconds", "port", "listening"),
        *("error", "asked", "there", "pool", "unhealthy_seconds"),
        *("node", "what", "limit", "resource", "answer", "image", "folder", "said"),
        *("quota", "namespace", "amounts"),
    }
    for fault in FAULTS:
        known = {n for pattern in fault.patterns for n in pattern.groupindex} or from_engine
        for text in (fault.cause, fault.action):
            named = {name for _, name, _, _ in string.Formatter().parse(text) if name}
            assert named <= known, fault.code


def test_the_page_of_the_reference_is_up_to_date() -> None:
    assert faults_page.COMMITTED.read_text(encoding="utf-8") == faults_page.text(), (
        "the dictionary has changed: run `python -m kpl_lab.platform.faults_page`"
    )


def test_actions_have_no_places_to_fill() -> None:
    assert [f.code for f in FAULTS if "{" in f.action] == []


@pytest.mark.parametrize(
    "sample",
    [s for s in SAMPLES if s["code"] in {f.code for f in OF_PACKAGES}],
    ids=lambda sample: sample["code"],
)
def test_a_build_tells_its_line_and_by_what_it_failed(
    sample: dict[str, Any],
) -> None:
    end = (
        "[kpl] the build has failed: line 2 of image.runs ended with exit code 1: pip3 install x\n"
    )
    found = explained(sample, more=end)
    assert found.reason == sample["code"]
    assert found.message.startswith("Line 2 of `image.runs` failed: pip3 install x. ")
    assert found.message.endswith(found.remedy.action)


def test_facts_that_are_not_known_leave_a_gap_and_no_error() -> None:
    assert "…" in explain_fault(BY_CODE["wrong_port"], {"port": 8080}).message


def test_what_memory_limit_ended_is_not_explained_by_its_log() -> None:
    facts = {"used_mb": 2, "limit_mb": 1}
    log = "ModuleNotFoundError: No module named 'x'\n"
    assert explain(Cause.OUT_OF_MEMORY, -9, facts, log).reason == "out_of_memory"


@pytest.mark.parametrize(("exit_code", "code"), [(3, "exit_code"), (-15, "signal")])
def test_what_nobody_knows_is_told_by_its_exit_code(exit_code: int, code: str) -> None:
    found = explain(Cause.EXIT, exit_code, {}, "")
    assert found.reason == code
    assert str(abs(exit_code)) in found.message


# What stands in logs of runs that fail for another reason, or not at all.
WARNINGS = [
    "WARNING: Connection refused, trying again in 5 s",
    "urllib3 - Retrying after connection broken by ReadTimeoutError: Read timed out.",
    "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 12080).",
    "RuntimeWarning: numpy.dtype size changed, may indicate binary incompatibility. Expected 96, got 88",
    "W tensorflow: The TensorFlow library was compiled to use AVX2 instructions",
    "skipped 3 files: Segmentation fault in decoder, see notes",
    "HTTP Error 404 for thumb.png, using the original",
    "certificate of mirror: SSL certificate problem, using the next one",
]


@pytest.mark.parametrize("warning", WARNINGS)
def test_a_warning_long_before_the_end_is_not_blamed(warning: str) -> None:
    log = f"{warning}\n" + "epoch done\n" * 20 + "gave up: loss is nan\n"
    assert explain(Cause.EXIT, 3, {}, log).reason == "exit_code"


@pytest.mark.parametrize(
    "line",
    [
        "CUDA out of memory; trying again with half the batch",
        "No space left on device for the cache, going on without",
        "Too many open files, closing some",
        "ModuleNotFoundError: No module named 'apex' (optional)",
    ],
)
def test_what_was_overcome_a_hundred_lines_ago_is_not_blamed(line: str) -> None:
    log = "start\n" * 5000 + f"{line}\n" + "epoch done\n" * 100 + "gave up\n"
    assert explain(Cause.EXIT, 3, {}, log).reason == "exit_code"


@pytest.mark.parametrize("warning", WARNINGS)
def test_a_warning_before_an_exception_is_not_blamed(warning: str) -> None:
    log = (
        f"{warning}\nTraceback (most recent call last):\n"
        '  File "/work/train.py", line 3, in <module>\n    check(loss)\nValueError: loss is nan\n'
    )
    assert explain(Cause.EXIT, 1, {}, log).reason == "python_exception"


def test_pip_that_has_reached_its_index_in_the_end_is_told_by_what_it_did_not_find() -> None:
    log = (
        "WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError': /simple/a/\n"
        "Collecting a\n"
        "ERROR: Could not find a version that satisfies the requirement b==9 (from versions: 1.0)\n"
        "ERROR: No matching distribution found for b==9\n"
    )
    assert explain(Cause.EXIT, 1, {}, log).reason == "pip_no_match"


async def test_a_task_that_prints_such_words_and_succeeds_has_succeeded(site: Site) -> None:
    log = "".join(sample.get("log", "") for sample in SAMPLES).encode()
    site.engine.script = Script(log=log)
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert (done["state"], done["reason"], done["remedy"]) == ("succeeded", None, None)


async def test_a_task_tells_cause_who_what_and_how_long(site: Site) -> None:
    log = b"/bin/sh: 1: jupyterhub-singleuser: not found\npip: CUDA out of memory\n"
    site.engine.script = Script(exit_code=1, log=log)
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert done["reason"] == done["remedy"]["code"]
    assert set(done["remedy"]) == {"code", "cause", "who", "action", "usual_duration"}
    assert all(done["remedy"].values())


def test_colours_progress_bars_and_windows_hide_nothing() -> None:
    bar = "".join(f"\r{n} %" for n in range(100))
    log = f"{bar}\x1b[31mERROR: No matching distribution found for \x1b[1mthing\x1b[0m\r\n"
    assert "satisfies thing." in explain(Cause.EXIT, 1, {}, log).message


HOSTILE = [
    *("x" * 16384, 'File "' * 2700, "\n" * 16384, " File " * 2700, "a." * 8192, ": " * 8192),
    "WARNING: Retrying (Retry( connection broken by \n" * 340,
    "DataLoader worker (pid(s) 1, " * 560,
    "The command '" * 1200,
    "a.so" * 4096,
    "‘" * 16384,
    "numpy" * 3200,
    'exec: "a\n' * 1800,
    'Traceback (most recent call last):\n  File "x", line 1\n' * 300,
    "    param\n" * 1600,
    "terminate called after throwing an instance of 'x\n" * 330,
    'Get "https://a/v2/' * 900,
]


@pytest.mark.parametrize("log", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_log_costs_little(log: str) -> None:
    begin = time.process_time()
    found = explain(Cause.EXIT, 1, {}, log)
    # Patterns that backtrack take minutes; the others some hundredths of a second.
    assert time.process_time() - begin < 2
    assert found.reason in ("exit_code", "native_exception")


async def test_a_task_that_a_full_node_has_ended_says_so(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    detail = {"code": "evicted_memory", "node": "n1", "error": "The node n1 ran short of memory."}
    ended = Replica(index=0, state=ReplicaState.EXITED, cause=Cause.LOST, detail=detail)
    await site.engine.set_replica(f"task-{task['id']}-1", ended)
    done = await alice.ended(task)
    assert done["reason"] == "evicted_memory"
    assert done["remedy"]["cause"].startswith("The node n1 ran short of memory")
    assert done["remedy"]["who"] == "platform"


async def test_what_a_quota_refuses_is_told_of_task_service_and_server(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"quota": "q", "namespace": "lab", "amounts": "cpu: 4 asked, 7 of 8 used"}

    async def refuse(workload: Workload) -> AsyncIterator[Handle]:
        for what in (workload.name,):
            raise EngineError(f"{what}: the quota is reached.", code="cluster_quota", detail=facts)
        yield Handle(engine="fake", name=workload.name)

    monkeypatch.setattr(site.engine, "run", refuse)
    alice = site.user()
    task = await alice.ended(await alice.submit())
    made = await alice.deploy()
    service = await alice.until(f"services/{made['id']}", "failed")
    for found in (task, service):
        assert found["reason"] == found["remedy"]["code"] == "cluster_quota"
        assert found["remedy"]["who"] == "user"
        assert "4 asked, 7 of 8 used" in found["message"]
    id = await create(site)
    await site.internal().http.post(f"internal/servers/{id}/start", json=LAUNCH)
    server = await site.internal().until(f"internal/servers/{id}", "failed")
    assert (server["reason"], server["events"][-1]["data"]["event"]) == (
        "cluster_quota",
        "CreateNotebookFailed",
    )
    assert "7 of 8 used" in server["message"]
