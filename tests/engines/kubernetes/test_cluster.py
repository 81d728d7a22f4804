"""Calls to an API server: what they send and give.

Against the double in ``tests/doubles/kubernetes.py``, over real HTTP.
"""

from __future__ import annotations

from contextlib import aclosing

import pytest

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.forms import LogQuery
from kpl_lab.engines.kubernetes.words import Clash, ClusterAway, Gone, Missing, Refused
from tests.doubles.kubernetes import Server
from tests.engines.harness import until
from tests.engines.kubernetes.clusters import NS, cluster, job, naps, pod, server

__all__ = ["cluster", "naps", "server"]  # fixtures


# --- objects --------------------------------------------------------------------------------------


async def test_an_object_is_made_read_changed_and_deleted(cluster: Cluster) -> None:
    made = await cluster.create(pod("a", app="x"))
    assert made["metadata"]["namespace"] == NS

    await cluster.patch("Pod", "a", {"metadata": {"labels": {"app": None, "more": "y"}}})
    found = await cluster.get("Pod", "a")
    assert found is not None
    assert found["metadata"]["labels"] == {"more": "y"}

    await cluster.delete("Pod", "a")
    assert await cluster.get("Pod", "a") is None
    await cluster.delete("Pod", "a")


async def test_an_object_that_exists_is_not_made_again(cluster: Cluster) -> None:
    await cluster.create(pod("a"))
    with pytest.raises(Clash) as caught:
        await cluster.create(pod("a"))
    assert caught.value.code == "cluster_exists"


async def test_applying_makes_changes_and_drops_what_is_no_longer_named(cluster: Cluster) -> None:
    await cluster.apply(job("j", one="1", two="2"))
    await cluster.patch("Job", "j", {"metadata": {"annotations": {"theirs": "stays"}}})
    changed = job("j", one="1")
    changed["spec"]["suspend"] = True

    found = await cluster.apply(changed)

    assert found["metadata"]["labels"] == {"one": "1"}
    assert found["metadata"]["annotations"] == {"theirs": "stays"}
    assert found["spec"]["suspend"] is True


async def test_a_field_that_is_fixed_is_named(cluster: Cluster) -> None:
    await cluster.apply(job("j"))
    other = job("j")
    other["spec"]["template"]["spec"]["containers"] = [{"name": "main"}]
    with pytest.raises(Refused, match=r"spec.template") as caught:
        await cluster.apply(other)
    assert caught.value.code == "cluster_invalid"


async def test_changing_what_is_not_there_is_told_apart(cluster: Cluster) -> None:
    with pytest.raises(Missing):
        await cluster.patch("Pod", "nobody", {"metadata": {"labels": {"a": "b"}}})


async def test_only_the_object_of_the_id_is_deleted(cluster: Cluster) -> None:
    made = await cluster.create(pod("a"))
    await cluster.delete("Pod", "a", uid="00000000-0000-0000-0000-000000000000")
    assert await cluster.get("Pod", "a") is not None
    await cluster.delete("Pod", "a", uid=made["metadata"]["uid"])
    assert await cluster.get("Pod", "a") is None


async def test_a_running_pod_gets_the_grace_that_is_asked_for(
    cluster: Cluster, server: Server
) -> None:
    made = pod("a")
    made["spec"]["nodeName"] = "node-1"
    await cluster.create(made)

    await cluster.delete("Pod", "a", grace_seconds=7)
    found = await cluster.get("Pod", "a")
    assert found is not None
    assert found["metadata"]["deletionGracePeriodSeconds"] == 7

    await cluster.delete("Pod", "a", grace_seconds=0)
    assert await cluster.get("Pod", "a") is None


async def test_what_an_object_owns_goes_with_it(cluster: Cluster) -> None:
    owner = await cluster.create(job("j"))
    owned = pod("p")
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "j"}
    owned["metadata"]["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"]}]
    await cluster.create(owned)
    await cluster.delete("Job", "j")
    assert (await cluster.list("Pod"))[0] == []


async def test_everything_with_a_label_is_deleted_at_once(cluster: Cluster) -> None:
    for name in ("a", "b"):
        await cluster.create(pod(name, mine="1"))
    await cluster.create(pod("c"))
    await cluster.delete_all("Pod", "mine=1")
    assert [found["metadata"]["name"] for found in (await cluster.list("Pod"))[0]] == ["c"]
    with pytest.raises(ValueError, match="selector"):
        await cluster.delete_all("Pod", "")


# --- lists ----------------------------------------------------------------------------------------


async def test_a_list_is_read_page_by_page_and_says_what_its_items_are(
    cluster: Cluster, server: Server
) -> None:
    for number in range(5):
        await cluster.create(pod(f"p{number}", app="x"))
    await cluster.create(pod("other"))

    pages = [page async for page, _ in cluster.pages("Pod", "app=x", limit=2)]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert {(i["apiVersion"], i["kind"]) for page in pages for i in page} == {("v1", "Pod")}
    items, version = await cluster.list("Pod", "app in (x,y)")
    assert len(items) == 5
    assert int(version) == server.store.version


async def test_a_list_whose_pages_are_forgotten_is_read_at_once(
    cluster: Cluster, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.cluster.PAGE", 2)
    for number in range(5):
        await cluster.create(pod(f"p{number}"))
    server.faults.fail(410, "list", "Pod")
    assert len((await cluster.list("Pod"))[0]) == 5


async def test_events_of_an_object_come_newest_first(cluster: Cluster) -> None:
    for name, when, about in (("old", "08", "p"), ("new", "09", "p"), ("else", "10", "q")):
        await cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name},
                "involvedObject": {"kind": "Pod", "name": about},
                "lastTimestamp": f"2026-01-01T{when}:00:00Z",
                "reason": name,
            }
        )
    assert [event["reason"] for event in await cluster.events_of("p")] == ["new", "old"]


# --- watches --------------------------------------------------------------------------------------


async def test_a_watch_tells_what_has_changed_since_a_list(
    cluster: Cluster, server: Server
) -> None:
    server.watch_seconds = 0.05
    await cluster.create(pod("a", app="x"))
    _, version = await cluster.list("Pod", "app=x")
    await cluster.patch("Pod", "a", {"metadata": {"labels": {"b": "c"}}})
    await cluster.create(pod("b"))
    await cluster.delete("Pod", "a")

    seen = [event async for event in cluster.watch("Pod", "app=x", resource_version=version)]

    assert [event["type"] for event in seen] == ["MODIFIED", "DELETED", "BOOKMARK"]
    assert int(seen[-1]["object"]["metadata"]["resourceVersion"]) == server.store.version


async def test_a_watch_from_too_long_ago_says_so(cluster: Cluster, server: Server) -> None:
    _, version = await cluster.list("Pod")
    await cluster.create(pod("a"))
    server.store.forget()
    with pytest.raises(Gone):
        async for _ in cluster.watch("Pod", resource_version=version):
            pass


async def test_a_watch_that_breaks_is_told_apart_from_one_that_ends(
    cluster: Cluster, server: Server
) -> None:
    _, version = await cluster.list("Pod")
    await cluster.create(pod("a"))
    server.faults.cut_after["Pod"] = 1
    seen = []
    with pytest.raises(ClusterAway):
        async for event in cluster.watch("Pod", resource_version=version):
            seen.append(event["type"])
    assert seen == ["ADDED"]


async def test_leaving_a_watch_lets_go_of_its_connection(cluster: Cluster, server: Server) -> None:
    _, version = await cluster.list("Pod")
    await cluster.create(pod("a"))
    async with aclosing(cluster.watch("Pod", resource_version=version)) as events:
        async for _ in events:
            break
    await until(lambda: not server.watching)


# --- logs -----------------------------------------------------------------------------------------


async def test_a_log_is_followed_to_its_end(cluster: Cluster, server: Server) -> None:
    await cluster.create(pod("a"))
    log = server.logs.of("a", "main")
    log.write("one\n")
    got = b""
    async for data in cluster.log("a", "main", LogQuery(follow=True)):
        got += data
        if got == b"one\n":
            log.write("two\n")
        elif got.endswith(b"two\n"):
            log.end()
    assert got == b"one\ntwo\n"


async def test_part_of_a_log_is_had_with_times(cluster: Cluster, server: Server) -> None:
    await cluster.create(pod("a"))
    server.logs.of("a", "main", previous=True).write("before\n")
    parts = [
        data
        async for data in cluster.log(
            "a", "main", LogQuery(previous=True, timestamps=True, limit_bytes=25)
        )
    ]
    said = b"".join(parts)
    assert len(said) == 25
    assert said.startswith(b"20")


async def test_a_log_of_what_has_not_started_is_refused(cluster: Cluster) -> None:
    await cluster.create(pod("a"))
    with pytest.raises(Refused, match="waiting to start"):
        async for _ in cluster.log("a", "main"):
            pass


# --- what we may, and what there is ----------------------------------------------------------------


async def test_permissions_are_asked_for(cluster: Cluster, server: Server) -> None:
    server.faults.forbidden |= {("list", "nodes"), ("get", "pods/log")}
    assert await cluster.can("create", "Job")
    assert not await cluster.can("get", "Pod", "log")
    assert not await cluster.can("list", "Node")
    assert await cluster.nodes() is None


async def test_a_missing_permission_names_the_rule_to_add(cluster: Cluster, server: Server) -> None:
    server.faults.forbidden.add(("patch", "jobs"))
    with pytest.raises(Refused) as caught:
        await cluster.apply(job("j"))
    assert caught.value.code == "cluster_forbidden"
    assert caught.value.detail["rule"] == {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["patch"],
    }


async def test_a_cluster_without_metrics_has_none(cluster: Cluster, server: Server) -> None:
    assert await cluster.pod_metrics("app=x") is None
    server.metrics = [
        {"metadata": {"name": "a", "labels": {"app": "x"}}},
        {"metadata": {"name": "b", "labels": {}}},
    ]
    found = await cluster.pod_metrics("app=x")
    assert found is not None
    assert [item["metadata"]["name"] for item in found] == ["a"]
