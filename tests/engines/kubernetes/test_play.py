"""The double's controllers do what those of a cluster do, as far as the engine relies on it."""

from __future__ import annotations

import pytest

from tests.doubles import kubernetes_play as play
from tests.doubles.kubernetes_store import Json, Refusal, Store
from tests.engines.harness import until

NS = "kpl-lab"


@pytest.fixture
def store() -> Store:
    return Store()


def job(**spec: object) -> Json:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": NS},
        "spec": {"template": template, "backoffLimit": 0, **spec},
    }


def deployment(replicas: int) -> Json:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": NS},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"a": "b"}},
            "template": template,
        },
    }


def state_of(store: Store) -> str:
    conditions = store.get("Job", NS, "j")["status"].get("conditions") or ()
    found = (str(one["type"]) for one in conditions if one["type"] != "Suspended")
    return next(found, "")


def test_an_indexed_job_has_a_pod_for_each_index_and_is_complete_when_all_are(store: Store) -> None:
    made = store.create(job(completions=2, parallelism=2, completionMode="Indexed"))
    play.step(store)
    pods = play.pods_of(store, made)
    assert [pod["metadata"]["labels"][play.INDEX] for pod in pods] == ["0", "1"]
    play.end(store, pods[0])
    play.step(store)
    assert state_of(store) == ""
    play.end(store, pods[1])
    play.step(store)
    assert state_of(store) == "Complete"


def test_a_job_fails_with_its_pod_but_not_by_a_disruption_that_it_ignores(store: Store) -> None:
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    made = store.create(job(podFailurePolicy={"rules": rules}))
    play.step(store)
    play.disrupt(store, play.pods_of(store, made)[0], "DeletionByTaintManager", "gone")
    play.step(store)
    assert state_of(store) == ""
    assert len(play.pods_of(store, made)) == 2
    play.end(store, play.pods_of(store, made)[-1], 3)
    play.step(store)
    assert state_of(store) == "Failed"


DISRUPTED = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
FAILED = {"onExitCodes": {"containerName": "main", "operator": "NotIn", "values": [0]}}


@pytest.mark.parametrize(
    ("rules", "exit_code", "state"),
    [
        ([{"action": "Ignore", **DISRUPTED}, {"action": "FailJob", **FAILED}], 143, ""),
        ([{"action": "FailJob", **FAILED}, {"action": "Ignore", **DISRUPTED}], 143, "Failed"),
        ([{"action": "FailJob", **FAILED}, {"action": "Ignore", **DISRUPTED}], 0, ""),
        ([{"action": "FailJob", **DISRUPTED}, {"action": "Ignore", **FAILED}], 143, "Failed"),
        ([{"action": "Ignore", **FAILED}], 3, ""),
    ],
    ids=["ours", "turned round", "no code", "of several", "code alone"],
)
def test_of_the_rules_for_a_failed_pod_the_first_that_fits_holds(
    store: Store, rules: list[Json], exit_code: int, state: str
) -> None:
    made = store.create(job(podFailurePolicy={"rules": rules}))
    play.step(store)
    (pod,) = play.pods_of(store, made)
    play.disrupt(store, pod, "EvictionByEvictionAPI", "drained", exit_code=exit_code)
    play.step(store)
    assert state_of(store) == state
    assert len(play.pods_of(store, made)) == (1 if state else 2)


@pytest.mark.parametrize(
    "rule", [{"action": "Ignore", **DISRUPTED}, {"action": "FailJob", **FAILED}]
)
def test_what_a_suspension_ends_is_no_failure_but_where_a_rule_has_its_exit_code(
    store: Store, rule: Json
) -> None:
    made = store.create(job(podFailurePolicy={"rules": [rule]}))
    play.step(store)
    (pod,) = play.pods_of(store, made)
    play.place(store, pod)
    play.run(store, pod)
    key = ("Job", NS, "j")
    store.merge(key, {"spec": {"suspend": True}})
    play.step(store)
    assert "deletionTimestamp" in store.get("Pod", NS, pod["metadata"]["name"])["metadata"]
    store.merge(key, {"spec": {"suspend": False}})
    play.step(store)
    assert len(play.pods_of(store, made)) == 1, "the first still ends"
    play.end(store, pod, 143)
    play.step(store)
    is_failure = rule["action"] == "FailJob"
    assert len(play.pods_of(store, made)) == (1 if is_failure else 2)
    assert state_of(store) == ("Failed" if is_failure else "")


def test_a_job_that_is_suspended_has_no_pods(store: Store) -> None:
    made = store.create(job(suspend=True))
    play.step(store)
    assert play.pods_of(store, made) == []


async def test_a_deployment_keeps_its_number_and_removes_the_cheapest(store: Store) -> None:
    made = store.create(deployment(2))
    async with play.playing(store):
        await until(lambda: len(play.pods_of(store, made)) == 2)
        first, second = play.pods_of(store, made)
        cost = {"metadata": {"annotations": {play._COST: "-5"}}}
        store.merge(("Pod", NS, first["metadata"]["name"]), cost)
        for pod in (first, second):
            play.place(store, pod)
            play.run(store, pod)
        await until(lambda: store.get("Deployment", NS, "d")["status"].get("readyReplicas") == 2)
        store.merge(("Deployment", NS, "d"), {"spec": {"replicas": 1}})
        await until(lambda: len(play.pods_of(store, made)) == 1)
        assert play.pods_of(store, made)[0]["metadata"]["name"] == second["metadata"]["name"]


def test_what_an_object_owns_goes_before_it_in_the_foreground(store: Store) -> None:
    made = store.create(job())
    play.step(store)
    pod = play.place(store, play.pods_of(store, made)[0])
    store.delete(("Job", NS, "j"), {"propagationPolicy": "Foreground"})
    assert "deletionTimestamp" in store.get("Job", NS, "j")["metadata"]
    assert "deletionTimestamp" in store.get("Pod", NS, pod["metadata"]["name"])["metadata"]
    play.let_go(store)
    with pytest.raises(Refusal):
        store.get("Job", NS, "j")


def test_a_finalizer_holds_an_object_until_it_is_removed(store: Store) -> None:
    held = job()
    held["metadata"]["finalizers"] = ["example.org/hold"]
    store.create(held)
    store.delete(("Job", NS, "j"))
    assert "deletionTimestamp" in store.get("Job", NS, "j")["metadata"]
    store.merge(("Job", NS, "j"), {"metadata": {"finalizers": []}})
    with pytest.raises(Refusal):
        store.get("Job", NS, "j")
