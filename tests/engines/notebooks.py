"""A real Jupyter server with our extension, run by an engine, and what a browser does with it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kpl_lab.engines.spec import Kind, ReplicaState, Workload
from tests.engines.harness import Bench, is_state, limits, see, start

TOKEN = "right-token"
NAME = "server-1"
_COMMAND = (
    "python", "-m", "jupyter_server", "--ServerApp.ip={{host}}", "--ServerApp.port={{port}}",
    "--ServerApp.port_retries=0", "--ServerApp.open_browser=False",
    f"--IdentityProvider.token={TOKEN}", "--ServerApp.root_dir={{home}}",
    "--ServerApp.jpserver_extensions={'kpl_lab': True}",
)  # fmt: skip


def notebook_server(memory_mb: int = 512, image: str = sys.prefix) -> Workload:
    """Return a notebook server of Alice's."""
    return Workload(
        name=NAME,
        kind=Kind.SERVER,
        labels={"instance": "test", "owner": "alice", "resource": "servers", "id": "1"},
        image=image,
        command=_COMMAND,
        identity="user:alice",
        home="alice",
        limits=limits(memory_mb=memory_mb, cpu=2),
        environment={"MEM_LIMIT": str(memory_mb << 20), "CPU_LIMIT": "2"},
        port=8888,
    )


@dataclass
class Notebooks:
    """A running server, as a browser sees it."""

    bench: Bench
    address: str

    @classmethod
    async def open(cls, bench: Bench, workload: Workload) -> Notebooks:
        """Start the server and wait until it listens."""
        await start(bench.engine, workload)
        found = await see(bench.engine, NAME, is_state(ReplicaState.READY), 60)
        address = found.replicas[0].address
        assert address is not None
        opened = cls(bench, address)
        await until_true(opened.answers)
        return opened

    async def answers(self) -> bool:
        """Say whether it answers already."""
        try:
            await self.get("api/status")
        except httpx.TransportError:
            return False
        return True

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.request(
                method,
                f"http://{self.address}/{path}",
                headers={"Authorization": f"token {TOKEN}"},
                **options,
            )
        answer.raise_for_status()
        return answer

    async def get(self, path: str, **options: Any) -> Any:
        """Return the JSON behind an address."""
        return (await self.call("GET", path, **options)).json()

    async def usage(self) -> dict[str, Any]:
        """Return what the status bar is told."""
        found: dict[str, Any] = await self.get("kpl-lab/local/usage")
        return found

    async def start_kernel(self, path: str) -> str:
        """Open a notebook; return its kernel once it runs what it is told."""
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        session = (await self.call("POST", "api/sessions", json=body)).json()
        kernel = str(session["kernel"]["id"])
        await self.execute(kernel, "1 + 1")
        return kernel

    async def type(self, terminal: str, text: str) -> None:
        """Type into a terminal, and wait for the echo of the last letters."""
        connection = await self._connect(f"terminals/websocket/{terminal}")
        await connection.write_message(json.dumps(["stdin", text]))
        said = ""
        while text.strip()[-10:] not in said:
            read = await asyncio.wait_for(connection.read_message(), 40)
            assert isinstance(read, str)
            said += str(json.loads(read)[-1])
        await _close(connection)

    async def _connect(self, path: str) -> WebSocketClientConnection:
        url = f"ws://{self.address}/{path}"
        return await websocket_connect(
            HTTPRequest(url, headers={"Authorization": f"token {TOKEN}"})
        )

    async def execute(self, kernel: str, code: str, *, wait: bool = True) -> None:
        """Run a cell; wait for its end."""
        connection = await self._connect(f"api/kernels/{kernel}/channels")
        id = uuid.uuid4().hex
        header = {
            "msg_id": id, "msg_type": "execute_request", "session": "s", "username": "alice",
            "version": "5.3", "date": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": True}  # fmt: skip
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content,
                   "channel": "shell", "buffers": []}  # fmt: skip
        await connection.write_message(json.dumps(message))
        while wait:
            read = await asyncio.wait_for(connection.read_message(), 40)
            assert isinstance(read, str)
            answer = json.loads(read)
            if (answer["msg_type"], answer["parent_header"].get("msg_id")) == ("execute_reply", id):
                assert answer["content"]["status"] == "ok", answer["content"]
                break
        await _close(connection)


async def _close(connection: WebSocketClientConnection) -> None:
    connection.close()
    while await asyncio.wait_for(connection.read_message(), 40) is not None:
        pass


async def until_true(condition: Callable[[], Awaitable[bool]], seconds: float = 40.0) -> None:
    """Wait for something that has to be asked for."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError("what was waited for did not come")
        await asyncio.sleep(0.2)


def file_of(home: Path, size_mb: int) -> Path:
    """Fill a home with a file of so many MiB."""
    path = home / "data" / "large.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * (size_mb << 20))
    return path
