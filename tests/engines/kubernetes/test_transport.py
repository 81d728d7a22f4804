"""How the client bears the moods of an API server."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kpl_lab.engines.kubernetes.access import Access
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.forms import LogQuery
from kpl_lab.engines.kubernetes.transport import Patience
from kpl_lab.engines.kubernetes.words import ClusterAway
from kpl_lab.telemetry.catalog import REGISTRY
from tests.doubles.kubernetes import TOKEN, Server
from tests.engines.kubernetes.clusters import NS, Naps, cluster, job, naps, pod, server

__all__ = ["cluster", "naps", "server"]  # fixtures


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_passes_is_waited_for(
    cluster: Cluster, server: Server, naps: Naps, status: int
) -> None:
    server.faults.fail(status, times=3)
    await cluster.apply(job("j"))
    assert len(naps.waits) == 3
    assert naps.waits[0] < naps.waits[1] < naps.waits[2]


async def test_each_try_is_counted_by_verb_and_status(
    cluster: Cluster, server: Server, naps: Naps
) -> None:
    def counted(status: str) -> float:
        labels = {"verb": "list", "resource": "pods", "status": status}
        return REGISTRY.get_sample_value("kpl_lab_kubernetes_requests_total", labels) or 0.0

    before = {status: counted(status) for status in ("200", "503", "none")}
    server.faults.fail(503, times=2)
    await cluster.list("Pod")
    await server.stop()
    with pytest.raises(ClusterAway):
        await cluster.list("Pod")
    assert counted("200") == before["200"] + 1
    assert counted("503") == before["503"] + 2
    assert counted("none") > before["none"]


async def test_the_servers_own_wait_is_kept(cluster: Cluster, server: Server, naps: Naps) -> None:
    server.faults.fail(429, retry_after="3")
    await cluster.create(pod("a"))
    assert naps.waits == [3.0]


async def test_a_server_that_stays_away_is_told_after_our_patience(
    cluster: Cluster, server: Server, naps: Naps
) -> None:
    await server.stop()
    with pytest.raises(ClusterAway, match="nothing answers there") as caught:
        await cluster.list("Pod")
    assert caught.value.code == "cluster_unreachable"
    assert 10 < sum(naps.waits) <= 20


async def test_a_server_that_comes_back_is_found_again(
    cluster: Cluster, server: Server, naps: Naps
) -> None:
    await server.stop()
    naps.after[2] = server.start
    assert (await cluster.version())["major"] == "1"
    assert len(naps.waits) == 2


async def test_a_broken_connection_is_tried_again(cluster: Cluster, server: Server) -> None:
    server.faults.cut("list", "Pod", times=2)
    assert (await cluster.list("Pod"))[0] == []


async def test_nothing_is_made_twice(cluster: Cluster, server: Server, naps: Naps) -> None:
    server.faults.cut("create", "Pod")
    with pytest.raises(ClusterAway):
        await cluster.create(pod("a"))
    assert server.count("create", "Pod") == 1
    assert naps.waits == []


async def test_a_request_without_an_answer_ends(server: Server) -> None:
    access = Access(host=server.url, authorization=f"Bearer {TOKEN}")

    async def source() -> Access:
        return access

    patience = Patience(answer=0.05, first=0.01, total=0.1)
    cluster = await Cluster.of(source, NS, patience=patience)
    server.faults.hold("list", "Pod")
    with pytest.raises(ClusterAway, match="did not answer in time"):
        await cluster.list("Pod")
    await cluster.close()


async def test_a_stream_without_an_answer_ends(server: Server) -> None:
    async def source() -> Access:
        return Access(host=server.url, authorization=f"Bearer {TOKEN}")

    patience = Patience(answer=0.05, first=0.01, total=0.1)
    cluster = await Cluster.of(source, NS, patience=patience)
    server.faults.hold("get", "Pod")
    with pytest.raises(ClusterAway, match="did not answer in time"):
        async for _ in cluster.log("a", "main", LogQuery(follow=True)):
            pass
    await cluster.close()


@pytest.mark.parametrize("page", ["<html>Welcome</html>", "[]", ""])
async def test_what_is_no_api_server_is_told(page: str) -> None:
    async def welcome(request: web.Request) -> web.Response:
        return web.Response(text=page)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", welcome)
    async with TestServer(app) as other:

        async def source() -> Access:
            return Access(host=str(other.make_url("")).rstrip("/"))

        cluster = await Cluster.of(source, NS, patience=Patience(total=0))
        with pytest.raises(ClusterAway, match="no API server"):
            await cluster.version()
        await cluster.close()


async def test_a_token_that_has_expired_is_loaded_again(
    cluster: Cluster, server: Server, naps: Naps
) -> None:
    naps.clock.advance(3600)
    server.tokens = {"a-newer-one"}
    found = await asyncio.gather(*(cluster.list("Pod") for _ in range(5)))
    assert len(found) == 5
    assert server.count("list", "Pod") <= 10


async def test_a_login_that_does_not_help_is_tried_once(
    cluster: Cluster, server: Server, naps: Naps
) -> None:
    naps.clock.advance(3600)
    server.faults.fail(401, "list", "Pod", times=9)
    # No refusal, which would end what is being started: the login may be renewed.
    with pytest.raises(ClusterAway) as caught:
        await cluster.list("Pod")
    assert caught.value.code == "cluster_unauthenticated"
    assert server.count("list", "Pod") == 2
