"""A running task and what the client in it calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.platform.running import WAITS, Site

SUCCESS = {"code": "Success", "msg": "", "data": None}


class Inside:
    """A running task and the client in it."""

    def __init__(self, site: Site, task: Mapping[str, Any]) -> None:
        self.site = site
        self.alice = site.user()
        self.id = int(task["id"])
        self.http = site.runtime(f"task-{self.id}-1")

    async def call(self, path: str, body: object, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def told(self, path: str, body: object, **headers: str) -> None:
        answer = await self.call(path, body, **headers)
        assert (answer.status_code, answer.json()) == (200, SUCCESS), answer.text

    async def metrics(self, **params: Any) -> Any:
        return await self.alice.get(f"tasks/{self.id}/metrics", **params)


async def begin(site: Site) -> Inside:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    return Inside(site, task)


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "msg", "data"}
    assert body["code"] != "Success"
    return str(body["msg"])
