"""Public services by routes of their own, through a gateway and an Ingress controller that are there.

``KPL_GATEWAY``              ``namespace/name`` of a Gateway that takes routes of all namespaces
``KPL_GATEWAY_URL``          where it listens
``KPL_INGRESS_CLASS``        class of an Ingress controller
``KPL_INGRESS_URL``          where that listens
``KPL_INGRESS_ANNOTATIONS``  what makes it do what the front door does, as a JSON object
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from kpl_lab.engines.kubernetes.runner import own_address
from kpl_lab.engines.routing import Route
from kpl_lab.engines.spec import Kind, ReplicaState
from kpl_lab.platform.runtime.frontdoor import ANSWER_WITH
from tests.engines.harness import behaving, is_state, see, start
from tests.installation import Installation, wait_for
from tests.kubernetes.harness import Kubectl, kubernetes_bench, why_not
from tests.kubernetes_installation import kubectl_of, kubernetes_installation
from tests.walk.conftest import Terminal

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]
GATEWAY, GATEWAY_URL = os.environ.get("KPL_GATEWAY", ""), os.environ.get("KPL_GATEWAY_URL", "")
INGRESS_CLASS = os.environ.get("KPL_INGRESS_CLASS", "")
INGRESS_URL = os.environ.get("KPL_INGRESS_URL", "")
ANNOTATIONS = json.loads(os.environ.get("KPL_INGRESS_ANNOTATIONS", "{}"))
HOST = "lab.example"
ROUTES = "httproutes.gateway.networking.k8s.io"
PROGRAM = """\
import http.server, json, os

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        seen = {name.lower(): value for name, value in self.headers.items()}
        said = {"tone": os.environ["TONE"], "path": self.path, "seen": seen}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "taken=1")
        self.send_header("Content-Security-Policy", "default-src *")
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
"""


class Way:
    """Calls of one service at one address, all the time while it is open; what failed is kept."""

    def __init__(self, base: str, path: str, host: str = "") -> None:
        self.path, self.failed = path, list[str]()
        headers = {"Host": host} if host else {}
        self.client = httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=10)
        self._is_done = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        work = threading.Thread(target=self._call)
        work.start()
        try:
            yield
        finally:
            self._is_done.set()
            work.join()

    def _call(self) -> None:
        while not self._is_done.wait(0.01):
            try:
                answer = self.get("")
                if answer.status_code != httpx.codes.OK:
                    self.failed.append(f"{answer.status_code} {answer.text[:200]}")
            except httpx.HTTPError as error:
                self.failed.append(repr(error))

    def get(self, rest: str, **headers: str) -> httpx.Response:
        return self.client.get(f"{self.path}{rest}", headers=headers)

    def is_there(self) -> bool:
        return self.get("").status_code == httpx.codes.OK

    def tones(self, count: int) -> Counter[str]:
        """Return who answers so many calls."""
        return Counter(self.get("").json()["tone"] for _ in range(count))


def installation_of(options: Mapping[str, object], **variables: str) -> Any:
    return kubernetes_installation("kpl-way-", options, **variables)


@pytest.fixture(scope="module")
def by_gateway() -> Iterator[Installation]:
    """An installation whose public services have HTTPRoutes."""
    if reason := why_not():
        pytest.skip(reason)
    if not GATEWAY or not GATEWAY_URL:
        pytest.skip("KPL_GATEWAY and KPL_GATEWAY_URL name no Gateway")
    namespace, _, name = GATEWAY.partition("/")
    parents = [{"namespace": namespace, "name": name}]
    # At any address, so that a gateway can send on what no route takes.
    with installation_of(
        {"routes": "gateway", "route_parents": parents}, KPL_LISTEN="0.0.0.0"
    ) as found:
        yield found


@pytest.fixture(scope="module")
def by_ingress() -> Iterator[Installation]:
    """An installation whose public services have Ingresses."""
    if reason := why_not():
        pytest.skip(reason)
    if not INGRESS_CLASS or not INGRESS_URL or not ANNOTATIONS:
        pytest.skip("KPL_INGRESS_CLASS, _URL and _ANNOTATIONS name no Ingress controller")
    options = {
        "routes": "ingress",
        "route_hosts": [HOST],
        "ingress_class": INGRESS_CLASS,
        "ingress_annotations": ANNOTATIONS,
    }
    with installation_of(options) as found:
        yield found


def deployed(terminal: Terminal, *words: object) -> str:
    """Deploy a public service; return the path of its addresses."""
    code = terminal.code("tone", PROGRAM, function="deploy", memory=128)
    made = terminal.done("service", "deploy", "tone", "--code", code, *words, seconds=300)
    return urllib.parse.urlsplit(str(made["url"])).path


def manner(answer: httpx.Response) -> dict[str, object]:
    """Return of an answer what is to be the same by every way."""
    seen = answer.json()["seen"]
    return {
        "path": answer.json()["path"],
        "cookie": seen.get("cookie"),
        "authorization": seen.get("authorization"),
        "prefix": seen.get("x-forwarded-prefix"),
        "own": seen.get("x-own"),
        "set-cookie": answer.headers.get("set-cookie"),
        **{name: answer.headers.get_list(name) for name in ANSWER_WITH},
    }


def change_access(installation: Installation, access: str) -> None:
    known = installation.credentials
    httpx.patch(
        f"{installation.url}/kpl/api/v1/services/tone",
        json={"access": access},
        headers={"Authorization": f"token {known['token']}"},
        trust_env=False,
    ).raise_for_status()


def check_like_the_front_door(way: Way, front: Way) -> None:
    asked = {"Cookie": "session=1", "Authorization": "token abc", "X-Own": "1"}
    found, wanted = (one.get("deep/%20x?y=1", **asked) for one in (way, front))
    assert manner(found) == manner(wanted)
    assert manner(found)["cookie"] is manner(found)["authorization"] is None
    assert manner(found)["Content-Security-Policy"] == [ANSWER_WITH["Content-Security-Policy"]]


def check_weights_and_promotion(terminal: Terminal, way: Way) -> None:
    """Divide calls between two revisions, then let them change places."""
    terminal.done("service", "update", "tone", "--env", "TONE=second", seconds=300)
    terminal.done("service", "traffic", "tone", 25)
    wait_for(lambda: "second" in way.tones(10), "a call of the candidate")
    shares = way.tones(300)
    assert shares.total() == 300
    assert 50 <= shares["second"] <= 100, shares
    terminal.done("service", "promote", "tone")
    wait_for(lambda: set(way.tones(20)) == {"second"}, "the candidate's calls alone")

    def has_ended() -> bool:
        found = terminal.done("service", "show", "tone")["revisions"]
        return [(r["number"], r["state"]) for r in found] == [(2, "running"), (1, "stopped")]

    wait_for(has_ended, "the end of the former revision")
    assert set(way.tones(50)) == {"second"}


def test_a_public_service_has_a_route_of_its_own(by_gateway: Installation, tmp_path: Path) -> None:
    terminal = Terminal(by_gateway, tmp_path)
    path = deployed(terminal, "--access", "public", "--env", "TONE=first")
    with Way(GATEWAY_URL, path) as way, Way(by_gateway.url, path) as front:
        wait_for(way.is_there, "the way through the gateway")
        check_like_the_front_door(way, front)
        with way.calling():
            check_weights_and_promotion(terminal, way)
        assert way.failed == []
        check_the_end_of_routes(terminal, way, front)


def check_the_end_of_routes(terminal: Terminal, way: Way, front: Way) -> None:
    """Let a service be private, stopped and deleted: each time its route goes."""
    installation = terminal.installation
    kubectl = kubectl_of(installation)
    assert len(kubectl.objects(ROUTES)) == 1
    change_access(installation, "private")
    wait_for(lambda: kubectl.objects(ROUTES) == [], "the end of the route")
    wait_for(lambda: not way.is_there(), "the end of the way past the front door")
    wait_for(lambda: front.get("").status_code == httpx.codes.UNAUTHORIZED, "a question who calls")
    token = f"token {installation.credentials['token']}"
    assert front.get("", Authorization=token).status_code == httpx.codes.OK
    assert way.get("", Authorization=token).status_code == httpx.codes.NOT_FOUND

    change_access(installation, "public")
    wait_for(way.is_there, "the way through the gateway")
    terminal.done("service", "stop", "tone")
    wait_for(lambda: kubectl.objects(ROUTES) == [], "the end of the route")
    terminal.done("service", "start", "tone", seconds=300)
    wait_for(way.is_there, "the way through the gateway")
    terminal.done("service", "delete", "tone", "--yes")
    wait_for(lambda: kubectl.objects(ROUTES) == [], "the end of the route")
    assert way.get("").status_code == httpx.codes.NOT_FOUND


@contextlib.contextmanager
def everything_else_by_the_front_door(
    installation: Installation, folder: Path
) -> Iterator[Kubectl]:
    """Have the gateway send what no route takes to the front door, as the chart's HTTPRoute does."""
    kubectl = kubectl_of(installation)
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    namespace, _, name = GATEWAY.partition("/")
    port = {"name": "http", "port": installation.port}
    whole = {"path": {"type": "PathPrefix", "value": "/"}}
    end = {"addresses": [own_address(server)], "conditions": {"ready": True}}
    backend = {"name": "front", "port": installation.port}
    rule = {"matches": [whole], "backendRefs": [backend]}
    label = {"kubernetes.io/service-name": "front"}
    manifests: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"}, "spec": {"ports": [port]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "ports": [port],
         "metadata": {"name": "front-1", "labels": label}, "addressType": "IPv4", "endpoints": [end]},
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "front"},
         "spec": {"parentRefs": [{"namespace": namespace, "name": name}], "rules": [rule]}},
    ]  # fmt: skip
    path = folder / "front.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    kubectl("apply", "-f", str(path))
    try:
        yield kubectl
    finally:
        kubectl("delete", "--ignore-not-found", "-f", str(path))


def test_what_has_no_route_goes_through_the_front_door(
    by_gateway: Installation, tmp_path: Path
) -> None:
    terminal = Terminal(by_gateway, tmp_path)
    path = deployed(terminal, "--access", "public", "--env", "TONE=first")
    token = f"token {by_gateway.credentials['token']}"
    mine = "kpl-lab.io/kind=route"
    with (
        everything_else_by_the_front_door(by_gateway, tmp_path) as kubectl,
        Way(GATEWAY_URL, path) as way,
    ):
        wait_for(way.is_there, "the way through the gateway")
        wait_for(lambda: kubectl.objects(ROUTES, mine), "the service's own route")
        with way.calling():
            # Between its own route and the front door no call is lost, here and back.
            kubectl("delete", ROUTES, "-l", mine)
            wait_for(lambda: kubectl.objects(ROUTES, mine), "the service's own route")
            time.sleep(2)
        assert way.failed == []
        change_access(by_gateway, "private")
        wait_for(lambda: way.get("").status_code == httpx.codes.UNAUTHORIZED, "a question")
        assert way.get("", Authorization=token).status_code == httpx.codes.OK
        change_access(by_gateway, "public")
        wait_for(way.is_there, "the way through the gateway")
        terminal.done("service", "stop", "tone")
        wait_for(lambda: kubectl.objects(ROUTES, mine) == [], "the end of the route")
        answer = way.get("")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "stopped" in answer.json()["message"]
        terminal.done("service", "delete", "tone", "--yes")


@pytest.fixture
def gateways(kubectl: Kubectl, tmp_path: Path) -> list[dict[str, str]]:
    """Gateways of which none takes a route for ``lab.example``: parents for one."""
    if not GATEWAY:
        pytest.skip("KPL_GATEWAY names no Gateway")
    namespace, _, name = GATEWAY.partition("/")
    known = json.loads(
        Kubectl(namespace)("get", "gateways.gateway.networking.k8s.io", name, "-o", "json")
    )
    listener = known["spec"]["listeners"][0]
    nobody = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"nobody": "here"}}}}
    changes: dict[str, dict[str, Any]] = {
        "other": {"hostname": "other.example"},
        "closed": {"allowedRoutes": nobody},
    }
    path = tmp_path / "gateways.json"
    made = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": own},
            "spec": {**known["spec"], "listeners": [{**listener, **change}]},
        }
        for own, change in changes.items()
    ]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    kubectl("create", "namespace", kubectl.namespace, check=False)
    kubectl("apply", "-f", str(path))
    return [{"name": own, "namespace": kubectl.namespace} for own in (*changes, "absent")]


async def test_what_gateways_refuse_is_said(
    kubectl: Kubectl, gateways: list[dict[str, str]], tmp_path: Path
) -> None:
    options = {"routes": "gateway", "route_parents": gateways, "route_hosts": ["lab.example"]}
    async with kubernetes_bench(tmp_path, kubectl, options) as bench:
        web = behaving("web", "serves", kind=Kind.SERVICE, identity="service:1", port=9000)
        await start(bench.engine, web)
        await see(bench.engine, "web", is_state(ReplicaState.READY))
        wanted = Route(name="route-1", path="/svc/default/web", shares={"web": 100})
        for _ in range(100):
            (state,) = await bench.engine.route([wanted])
            if state.is_settled:
                break
            await asyncio.sleep(0.5)
        place = kubectl.namespace
        assert not state.is_taken
        assert f"No listener of the gateway {place}/other has one of the route's" in state.message
        assert f"The gateway {place}/closed takes no routes of the namespace" in state.message
        assert f"There is no gateway {place}/absent in the cluster" in state.message


def test_a_public_service_has_an_ingress_of_its_own(
    by_ingress: Installation, tmp_path: Path
) -> None:
    terminal, kubectl = Terminal(by_ingress, tmp_path), kubectl_of(by_ingress)
    path = deployed(terminal, "--access", "public", "--env", "TONE=first")
    with Way(INGRESS_URL, path, HOST) as way, Way(by_ingress.url, path) as front:
        wait_for(way.is_there, "the way by the Ingress")
        check_like_the_front_door(way, front)
        words = ("--env", "TONE=second", "--weight", 50)
        terminal.done("service", "update", "tone", *words, seconds=300)
        # It cannot divide calls: the front door does.
        wait_for(lambda: kubectl.objects("ingresses") == [], "the end of the Ingress")
        wait_for(lambda: "second" in front.tones(20), "a call of the candidate")
        terminal.done("service", "promote", "tone")
        wait_for(way.is_there, "the way by the Ingress")
        assert set(way.tones(20)) == {"second"}
        change_access(by_ingress, "private")
        wait_for(lambda: not way.is_there(), "the end of the way past the front door")
        terminal.done("service", "delete", "tone", "--yes")
        assert kubectl.objects("ingresses") == []
