"""A platform in one event loop: API, controller and in-memory engine, driven as clients do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from kpl_lab.engines.fake import FakeEngine, Script
from kpl_lab.engines.spec import Workload
from kpl_lab.platform import scopes
from kpl_lab.platform.app import create_app
from kpl_lab.platform.context import Context
from kpl_lab.platform.runtime.controller import Controller

if TYPE_CHECKING:
    from tests.platform.conftest import Hub

API = "/kpl/api/v1"
PATIENCE_SECONDS = 30.0
RESYNC_SECONDS = 0.1
WAITS = Script(run_seconds=None)

ENVIRONMENT = """
version: 1
image:
  from_image: python:3.11
train:
  resource: {limits: {cpu: 1, memory: 512}}
  outputs: [{key: save, name: model}]
  cmd: python train.py
test:
  outputs: [{key: out, name: files, kind: files}]
  cmd: python test.py
infer:
  inputs: [{key: model, name: model, kind: model}, {key: more, name: more, optional: true}]
  outputs: [{key: out, name: results}]
  cmd: python infer.py
deploy:
  resource: {limits: {cpu: 1, memory: 512}}
  inputs: [{key: model, name: model, kind: model, optional: true}]
  cmd: python serve.py
"""
BUILT = ENVIRONMENT.replace("python:3.11", "python:3.11\n  runs: [pip install thing]")
CODE = {"environment.yml": ENVIRONMENT, "train.py": "print('hi')\n", "parameter.yml": "lr: 0.1\n"}
FINAL = ("succeeded", "failed", "stopped")


class User:
    """A user of the platform, through its API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object = None, **headers: str) -> Any:
        answer = await self.http.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def upload(self, content: bytes, filename: str = "digits.tar") -> int:
        made = await self.post("uploads", {"filename": filename, "size": len(content)})
        put = await self.http.put(f"uploads/{made['id']}", params={"offset": 0}, content=content)
        assert put.status_code == 200, put.text
        await self.post(f"uploads/{made['id']}/complete")
        return int(made["id"])

    async def code(self, files: Mapping[str, bytes | str] = CODE) -> int:
        from tests.platform.conftest import tar_of

        return await self.upload(tar_of(files))

    async def submit(self, files: Mapping[str, bytes | str] = CODE, **body: Any) -> Any:
        """Submit a task of a code folder; return its detail."""
        headers = {"Idempotency-Key": body.pop("key")} if "key" in body else {}
        body = {"upload": await self.code(files), "code_name": "digits", **body}
        return await self.post("tasks", body, **headers)

    async def deploy(self, files: Mapping[str, bytes | str] = CODE, **body: Any) -> Any:
        """Deploy a service of a code folder; return its detail."""
        made = {"name": "digits", "upload": await self.code(files), "code_name": "digits", **body}
        return await self.post("services", made)

    async def until(self, path: str, *states: str) -> Any:
        """Wait until something is in one of these states; return it."""
        found: Any = None

        async def is_there() -> bool:
            nonlocal found
            found = await self.get(path)
            return found["state"] in states

        await until(is_there, lambda: f"{path} to be {states}; it is {found}")
        return found

    async def ended(self, task: Mapping[str, Any]) -> Any:
        return await self.until(f"tasks/{task['id']}", *FINAL)

    async def gone(self, path: str) -> None:
        """Wait until something is not there any more."""

        async def is_gone() -> bool:
            return (await self.http.get(path)).status_code == 404

        await until(is_gone, lambda: f"{path} to be gone")


async def until(is_so: Callable[[], Any], what: Callable[[], str] = lambda: "it") -> None:
    """Wait for a condition, which may be asynchronous."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = is_so()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, f"waited for {what()}"
        await asyncio.sleep(0.01)


class Site:
    """The platform's parts at work.

    ``controller`` is the one that runs; ``restart`` kills it wherever it is and starts a fresh one.
    """

    def __init__(self, context: Context, hub: Hub) -> None:
        assert isinstance(context.engine, FakeEngine)
        self.context = context
        self.engine = context.engine
        self.hub = hub
        self.app = create_app(context)
        self.controller = Controller(context, resync_seconds=RESYNC_SECONDS)
        self._threads = ThreadPoolExecutor()
        self._transfers = ThreadPoolExecutor()
        self._work: asyncio.Task[None] | None = None
        self._clients: list[httpx.AsyncClient] = []

    def scripts(self, *found: Script) -> None:
        """Let tasks follow these scripts in turn; the last one goes on for all others."""
        left = list(found)
        self.engine.script = lambda _workload: left.pop(0) if len(left) > 1 else left[0]

    def client(self, prefix: str = f"{API}/", **headers: str) -> httpx.AsyncClient:
        made = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url=f"http://platform{prefix}",
            headers=headers,
            timeout=60,
        )
        self._clients.append(made)
        return made

    def user(self, name: str = "alice", *granted: str) -> User:
        token = self.hub.add(name, *(granted or (scopes.SELF,)))
        return User(self.client(Authorization=f"token {token}"))

    def internal(self) -> User:
        """Return the hub itself."""
        from tests.platform.conftest import INTERNAL

        return User(self.client(Authorization=f"token {INTERNAL}"))

    def runtime(self, workload: str) -> httpx.AsyncClient:
        """Return what a client inside a workload has: the runtime surface and its token."""
        token = self.workload(workload).secrets["token"]
        return self.client("/kpl/runtime/", Authorization=token)

    def workload(self, name: str) -> Workload:
        return self.engine.workloads[name]

    def start(self) -> None:
        self._transfers = ThreadPoolExecutor()
        own = replace(self.context, transfers=self._transfers)
        self.controller = Controller(own, resync_seconds=RESYNC_SECONDS)
        self._threads = ThreadPoolExecutor()
        asyncio.get_running_loop().set_default_executor(self._threads)
        self._work = asyncio.create_task(self.controller.run())

    async def kill(self) -> None:
        """End the controller wherever it is."""
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
            self._work = None
            # Nothing of a dead process goes on: what is in a thread gets to its end before.
            with ThreadPoolExecutor(1) as other:
                for threads in (self._transfers, self._threads):
                    await asyncio.get_running_loop().run_in_executor(other, threads.shutdown)

    async def restart(self) -> None:
        await self.kill()
        self.start()

    async def close(self) -> None:
        await self.kill()
        for client in self._clients:
            await client.aclose()
        await self.engine.close()


@contextlib.asynccontextmanager
async def running(context: Context, hub: Hub) -> AsyncIterator[Site]:
    """Run the platform for the length of a test."""
    site = Site(context, hub)
    site.start()
    try:
        yield site
    finally:
        await site.close()
