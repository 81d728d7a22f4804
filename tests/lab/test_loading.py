"""What answers the panels is loaded after the server listens, or by the first request."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from kpl_lab.lab import extension, panel

Fetch = Callable[..., Any]


def settings_of(app: Any) -> dict[str, Any]:
    """Return what the handlers find."""
    return dict(app.web_app.settings)


async def test_the_first_request_loads_it_once(jp_fetch: Fetch, jp_serverapp: Any) -> None:
    assert "kpl_lab_door" not in settings_of(jp_serverapp)
    answer = await jp_fetch("kpl-lab", "local", "usage")
    assert json.loads(answer.body)["cpu_limit"] == 1.5
    door = settings_of(jp_serverapp)["kpl_lab_door"]
    await jp_fetch("kpl-lab", "local", "usage")
    assert settings_of(jp_serverapp)["kpl_lab_door"] is door


async def test_without_a_request_it_is_loaded_soon_and_idle_stop_begins(
    jp_fetch: Fetch, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extension, "LOAD_AFTER_SECONDS", 0.1)
    monkeypatch.setenv("KPL_IDLE_STOP_MINUTES", "60")
    monkeypatch.setenv("KPL_SERVER_ID", "7")
    await jp_serverapp.extension_manager.start_all_extensions()
    assert "kpl_lab_door" not in settings_of(jp_serverapp)
    async with asyncio.timeout(10):
        while "kpl_lab_idle" not in settings_of(jp_serverapp):  # noqa: ASYNC110 (nothing tells it)
            await asyncio.sleep(0.02)
    answer = await jp_fetch("kpl-lab", "local", "idle")
    assert json.loads(answer.body)["minutes"] == 60


async def test_where_it_cannot_be_loaded_the_server_runs_on_and_the_log_says_why(
    jp_fetch: Fetch,
    jp_serverapp: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(panel, "Panel", fail)
    logging.getLogger("ServerApp").propagate = True
    logging.getLogger("KplLabExtension").propagate = True
    with pytest.raises(HTTPClientError, match="404"):
        await jp_fetch("kpl-lab", "local", "usage")
    assert "no room" in caplog.text
    assert (await jp_fetch("api", "contents")).code == 200
