"""The port for scrapers at a real front door: it shows one address, and the public port does not."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from kpl_lab.platform.runtime.frontdoor import routes, write
from kpl_lab.settings import Settings, load
from kpl_lab.supervisor import frontdoor
from kpl_lab.supervisor.home import prepare
from tests.installation import free_port, wait_for


class Platform(BaseHTTPRequestHandler):
    """Says who was asked for what."""

    def do_GET(self) -> None:
        told = f"{self.path} {self.headers.get('Authorization')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """A front door as an installation has it, before a platform that answers everything."""
    found = load(
        {
            "KPL_HOME": str(tmp_path / "h"),
            "KPL_PORT": str(free_port()),
            "KPL_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        }
    )
    static = frontdoor.write_config(found, prepare(found))
    write(found.home.frontdoor / "dynamic" / "platform.yml", routes((), {}, found.platform_url))
    server = ThreadingHTTPServer(("127.0.0.1", found.ports.platform), Platform)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    process = subprocess.Popen([frontdoor.binary(), "--configFile", str(static)])
    try:
        yield found
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        token = {"Authorization": "Bearer t"}
        answer = httpx.request(method, url, headers=token, timeout=10, trust_env=False)
    except httpx.HTTPError:
        return 0, ""
    return answer.status_code, answer.text


def test_scrapers_have_a_port_with_one_address_and_nobody_else_has_that(settings: Settings) -> None:
    scrapers = f"http://{settings.metrics_listen}"
    internal = "/kpl/api/v1/internal/metrics"
    wait_for(lambda: ask(f"{scrapers}/metrics")[0] == 200, "the port of scrapers")
    wait_for(lambda: ask(f"{settings.public_url}/kpl/api/v1/healthz")[0] == 200, "the public port")
    assert ask(f"{scrapers}/metrics") == (200, f"{internal} Bearer t")
    for path in (
        internal,
        "/kpl/api/v1/healthz",
        "/metrics/more",
        "/api/http/routers",
        "/",
        "/svc/a/b",
    ):
        assert ask(scrapers + path)[0] == 404, path
    assert ask(f"{scrapers}/metrics", "POST")[0] == 404
    assert ask(settings.public_url + internal)[0] == 403
    assert ask(f"{settings.public_url}/metrics")[0] == 404


def test_a_port_that_is_named_no_more_is_closed(settings: Settings) -> None:
    dynamic = settings.home.frontdoor / "dynamic" / "metrics.yml"
    assert dynamic.exists()
    without = load({"KPL_HOME": str(settings.home.root)})
    static = frontdoor.write_config(without, prepare(without))
    assert not dynamic.exists()
    assert "kpl-metrics" not in static.read_text()
