"""A service called through the front door, public and private, beside the same process direct."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks._common import emit
from benchmarks._installation import installation
from kpl_lab.schemas.services import ServiceCreate, ServiceUpdate

CALLS = 600
ENVIRONMENT = (
    "version: 1\nimage: {from_image: 'python:3.11'}\ndeploy: {cmd: exec python3 serve.py}\n"
)
SERVER = """
import asyncio, os, time
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"
class P(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        if b" /slow" in data: time.sleep(0.005)
        self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(P, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()
asyncio.run(main())
"""


def times(client: httpx.Client, url: str) -> list[float]:
    found = []
    for _ in range(CALLS):
        began = time.perf_counter()
        client.get(url).raise_for_status()
        found.append(time.perf_counter() - began)
    return found


def measure(direct: str, through: str, headers: dict[str, str], name: str) -> None:
    with httpx.Client(headers=headers, trust_env=False) as client:
        for path, what in (("noop", "no-op"), ("slow", "5-ms model")):
            for url in (direct, through):
                times(client, url + path)
            ours, peer = times(client, through + path), times(client, direct + path)
            emit(
                f"service call, {name}, {what} (p50)",
                "the same process called directly",
                "ms",
                value=median(ours) * 1000,
                peer_value=median(peer) * 1000,
                lower_is_better=True,
            )


def direct_address(home: Path) -> str:
    import yaml

    found: Any = yaml.safe_load((home / "frontdoor" / "dynamic" / "platform.yml").read_text())
    services = found["http"]["services"]
    name = next(n for n in services if n.startswith("kpl-svc-"))
    return str(services[name]["loadBalancer"]["servers"][0]["url"]) + "/"


def main() -> None:
    with installation() as (client, home, credentials), tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        (code / "environment.yml").write_text(ENVIRONMENT)
        (code / "serve.py").write_text(SERVER)
        service = client.services.deploy(ServiceCreate(name="bench"), code)
        client.services.wait_ready(service.id)
        through = credentials["url"] + service.url
        headers = {"Authorization": f"token {credentials['token']}"}
        deadline = time.monotonic() + 30
        while httpx.get(through, headers=headers, trust_env=False).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        direct = direct_address(home)
        measure(direct, through, headers, "private")
        client.services.update(service.id, ServiceUpdate(access="public"))
        while httpx.get(through, trust_env=False).status_code != 200:
            assert time.monotonic() < deadline + 30
            time.sleep(0.1)
        measure(direct, through, {}, "public")


if __name__ == "__main__":
    main()
