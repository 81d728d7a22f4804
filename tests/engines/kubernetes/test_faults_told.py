"""What the cluster ends or never starts gets its cause and its remedy from the fault dictionary."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

from kpl_lab.engines.kubernetes import ending, pulling, starting, telling, words
from kpl_lab.engines.kubernetes.observe import Subject, look
from kpl_lab.engines.kubernetes.readings import told
from kpl_lab.engines.kubernetes.saying import Saying
from kpl_lab.engines.spec import Cause, Kind, Limits
from kpl_lab.platform.domain.faults import BY_CODE, BY_ENGINES_CODE, Explanation, explain

Json = dict[str, Any]
TASK = Subject(kind=Kind.TASK, limits=Limits(cpu=1, memory_mb=512), port=None)
# Refusals of calls that start nothing, and what passes by itself.
NOT_OF_STARTS = {"cluster_missing", "cluster_exists", "cluster_conflict", "cluster_gone"}
NOT_OF_STARTS |= {"cluster_unauthenticated"}
ENDS = [
    (
        "Evicted",
        "The node was low on resource: memory. Threshold quantity: 100Mi",
        "evicted_memory",
    ),
    ("Evicted", "The node was low on resource: ephemeral-storage.", "evicted_disk"),
    ("Evicted", "The node was low on resource: pids.", "evicted"),
    ("Evicted", 'Usage of EmptyDir volume "work" exceeds the limit "1Gi". ', "disk_limit"),
    ("Preempting", "Preempted in order to admit critical pod", "preempted"),
    ("Terminated", "Pod was terminated in response to imminent node shutdown.", "node_shutdown"),
    ("DeadlineExceeded", "Pod was active on the node longer than the deadline", "deadline"),
    ("NodeLost", "Node n1 which was running pod p is unresponsive", "node_lost"),
    ("OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu", "node_full"),
    ("UnexpectedAdmissionError", "Allocate failed due to no devices", "node_refused"),
    ("SomethingNew", "Nobody has seen that", "cluster_ended"),
]
STARTS = [
    (pulling.not_pulled("ErrImageNeverPull", "", "a:1"), "image_never_pulled"),
    (pulling.not_pulled("InvalidImageName", "", "A:1"), "image_reference"),
    (pulling.not_pulled("ErrImagePull", "manifest unknown", "a:1"), "image_missing"),
    (pulling.not_pulled("ErrImagePull", "pull access denied", "a:1"), "registry_denied"),
    (pulling.not_pulled("ErrImagePull", "x509: unknown authority", "a:1"), "node_certificate"),
    (pulling.not_pulled("ErrImagePull", "no match for platform", "a:1"), "wrong_architecture"),
    (pulling.not_pulled("SignatureValidationFailed", "", "a:1"), "image_signature"),
    (starting.not_configured('secret "s" not found', "main"), "config_missing"),
    (starting.not_configured("container has runAsNonRoot", "main"), "image_runs_as_root"),
    (starting.not_configured("image will run as root", "main"), "image_runs_as_root"),
    (starting.not_configured("no such device", "main"), "config_missing"),
    (
        starting.not_started('exec: "train": executable file not found in $PATH', "main"),
        "entry_missing",
    ),
    (starting.not_started('exec: "train": permission denied', "main"), "entry_not_executable"),
    (starting.not_started("open executable: Permission denied", "main"), "entry_not_executable"),
    (starting.not_started("exec format error", "main"), "exec_format"),
    (starting.not_started('chdir to cwd ("/src") set in config', "main"), "folder_missing"),
]


def explained(cause: Cause | None, detail: Any) -> Explanation:
    """Return what users are told; nothing of it may be left open."""
    found = explain(cause, None, detail, "epoch 1\n")
    assert "…" not in found.message.removesuffix(found.remedy.action)
    return found


@pytest.mark.parametrize(("reason", "message", "fault"), ENDS, ids=[one[2] for one in ENDS])
def test_what_the_cluster_ends_is_told_by_what_it_said(
    reason: str, message: str, fault: str
) -> None:
    pod: Json = {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Failed", "reason": reason, "message": message},
    }
    seen = look(pod, None, TASK)
    found = explained(seen.cause, seen.detail)
    assert found.reason == fault
    assert found.remedy.who in ("user", "admin", "platform")


def test_a_drained_node_is_told_by_its_name() -> None:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    ended = {"name": "main", "state": {"terminated": {"exitCode": 143, "reason": "Error"}}}
    pod: Json = {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Failed",
            "conditions": [condition],
            "containerStatuses": [ended],
        },
    }
    seen = look(pod, None, TASK)
    found = explained(seen.cause, seen.detail)
    assert (found.reason, found.remedy.cause) == (
        "drained",
        "An administrator was emptying the node n1.",
    )


@pytest.mark.parametrize(("said", "fault"), STARTS, ids=[one[0].code for one in STARTS])
def test_what_can_never_start_names_who_can_mend_it(said: Saying, fault: str) -> None:
    assert said.is_hopeless
    seen = told(look({"metadata": {}}, None, TASK), said)
    found = explained(seen.cause, seen.detail)
    assert (found.reason, found.remedy.who) == (fault, BY_CODE[fault].who)


def codes_of(module: object, *, hopeless_only: bool) -> set[str]:
    """Return the codes that a module's sentences and errors are made with."""
    found = set()
    for call in ast.walk(ast.parse(inspect.getsource(module))):  # type: ignore[arg-type]
        if not isinstance(call, ast.Call):
            continue
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        code = given.get("code")
        if isinstance(code, str) and (given.get("is_hopeless") or not hopeless_only):
            found.add(code)
    return found


def test_the_dictionary_has_every_word_by_which_something_ends_or_never_starts() -> None:
    codes = codes_of(ending, hopeless_only=False) | codes_of(words, hopeless_only=False)
    codes |= codes_of(starting, hopeless_only=True) | codes_of(pulling, hopeless_only=True)
    codes |= codes_of(telling, hopeless_only=True)
    codes |= {code for code, (_, is_hopeless) in pulling.TEXTS.items() if is_hopeless}
    assert codes - NOT_OF_STARTS - set(BY_ENGINES_CODE) == set()
    assert {fault.code for fault in BY_ENGINES_CODE.values()} <= set(BY_CODE)
