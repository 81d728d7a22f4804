"""A service called through the front door, public and private, beside the same process direct.

Direct calls and those through the front door alternate in one loop, over connections that stay
open on both sides; the process says its number in each answer, so that it is the same one.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import httpx
import yaml

from benchmarks._calls import Target, latencies, throughput
from benchmarks._common import Row, alternate, emit, run_program, sized, until
from benchmarks._installation import installation
from kpl_lab.schemas.services import ServiceCreate, ServiceUpdate

CONNECTIONS = 8
SLICE_SECONDS = sized(10, 2) / 10
ROUNDS = sized(5, 1)
PEER = "the same process called directly"
ENVIRONMENT = (
    "version: 1\nimage: {from_image: 'python:3.11'}\ndeploy: {cmd: exec python3 serve.py}\n"
)
# One process that does one thing at a time, as most models do.
SERVER = """
import asyncio, os, time
BODY = b"%d" % os.getpid()
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(BODY), BODY)
class P(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.data = transport, b""
    def data_received(self, data):
        self.data += data
        while b"\\r\\n\\r\\n" in self.data:
            head, _, self.data = self.data.partition(b"\\r\\n\\r\\n")
            if b"/slow" in head.split(b"\\r\\n", 1)[0]: time.sleep(0.005)
            self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(P, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()
asyncio.run(main())
"""
# Path, name, calls one after the other, and what quality.md asks of a public service's throughput.
MODELS = (
    ("noop", "no-op", sized(2000, 20), "≥ 0.7x"),
    ("slow", "5-ms model", sized(300, 10), "≥ 0.92x"),
)
ADDED = {"public": "≤ 0.3 ms more", "private": "≤ 1 ms more"}


def measure(direct: str, through: str, token: str, access: str) -> None:
    """Print the rows of one kind of access."""
    for path, what, calls, goal in MODELS:
        targets = Target(direct + path, token), Target(through + path, token)
        peer, ours = latencies(*targets, calls)
        name = f"service call, {access}, {what}"
        title = f"{name}: one after the other, median"
        emit(Row(title, PEER, "ms", ours * 1000, peer * 1000, True, ADDED[access]))
        rates = alternate(
            {
                which: partial(throughput, target, CONNECTIONS, SLICE_SECONDS)
                for which, target in zip(("direct", "through"), targets, strict=True)
            },
            ROUNDS,
        )
        title = f"{name}: {CONNECTIONS} at once"
        asked = goal if access == "public" else ""
        emit(Row(title, PEER, "calls/s", rates["through"], rates["direct"], goal=asked))


def direct_address(home: Path, service: int) -> str:
    """Return the address to which the front door passes the calls of a service."""
    found = yaml.safe_load((home / "frontdoor" / "dynamic" / "platform.yml").read_text())
    servers = found["http"]["services"][f"kpl-svc-{service}"]["loadBalancer"]["servers"]
    return str(servers[0]["url"]).rstrip("/") + "/"


def wait_for(url: str, token: str) -> None:
    """Wait until the front door lets a caller with this token, or without any, through."""
    headers = {"Authorization": f"token {token}"} if token else {}
    with httpx.Client(headers=headers, trust_env=False) as client:
        until(lambda: client.get(url).status_code == 200, f"an answer of {url}", seconds=30)


def main() -> None:
    with (
        installation() as (client, found),
        tempfile.TemporaryDirectory(prefix="kpl-bench-") as folder,
    ):
        code = Path(folder, "code")
        code.mkdir()
        (code / "environment.yml").write_text(ENVIRONMENT)
        (code / "serve.py").write_text(SERVER)
        service = client.services.deploy(ServiceCreate(name="bench"), code)
        client.services.wait_ready(service.id, timeout_seconds=60)
        through, token = found.url + service.url, found.credentials["token"]
        wait_for(through, token)
        refused = httpx.get(through, trust_env=False).status_code
        if refused not in (401, 403):
            raise RuntimeError(f"the private service answers strangers with {refused}")
        direct = direct_address(found.home, service.id)
        measure(direct, through, token, "private")
        client.services.update(service.id, ServiceUpdate(access="public"))
        wait_for(through, "")
        measure(direct, through, "", "public")


if __name__ == "__main__":
    run_program(main)
