"""Commands that wait: they say for what, and Ctrl-C says what goes on without them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from kpl_lab.client.credentials import Credentials, save_credentials
from tests.doubles.platform import TOKEN, Platform
from tests.doubles.routes import Routes
from tests.doubles.server import Server, running

WAITS = {"progress": 10, "message": "Waiting for 1 GPU (0 free); 2 ahead of you."}


async def _progress() -> AsyncIterator[str]:
    yield f"data: {json.dumps(WAITS)}\n\n"
    await asyncio.Event().wait()


def _asked(_: Request) -> Response:
    return JSONResponse({}, status_code=202)


def _told(_: Request) -> Response:
    return StreamingResponse(_progress(), media_type="text/event-stream")


@pytest.fixture
def server(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A platform behind a hub on which a server waits for room for ever."""
    plain = Routes.app

    def with_hub(routes: Routes) -> Starlette:
        place = "/hub/api/users/{user}/server"
        return Starlette(
            routes=[
                Route(place, _asked, methods=["POST"]),
                Route(f"{place}/progress", _told),
                Mount("/", plain(routes)),
            ]
        )

    monkeypatch.setattr(Routes, "app", with_hub)
    with running(platform) as found:
        yield found


@contextmanager
def started(server: Server, home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``kpl`` as a process of its own, as a terminal does."""
    save_credentials(home / ".kpl/credentials.json", Credentials(server.url, TOKEN, username="ada"))
    command = [sys.executable, "-c", "from kpl_lab.cli.kpl import main; main()", *words]
    with subprocess.Popen(
        command,
        env={**os.environ, "HOME": str(home)},
        cwd=home,  # not the checkout, whose own installation would be asked
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What is started in the background of a script begins with interrupts switched off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    return process.stderr.readline()


@pytest.mark.timeout(60)
def test_a_start_says_what_it_waits_for_and_an_interrupt_that_it_goes_on(
    server: Server, home: Path
) -> None:
    with started(server, home, "server", "start") as process:
        assert line(process) == (
            "Starting the notebook server: Waiting for 1 GPU (0 free); 2 ahead of you.\n"
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert err == (
        "kpl: Interrupted. The server starts all the same, when there is room; "
        "`kpl server stop` ends it.\n"
    )
    assert (process.returncode, out) == (130, "")


@pytest.mark.timeout(60)
def test_an_interrupt_of_a_wait_for_a_task_says_how_to_end_it(
    server: Server, platform: Platform, home: Path
) -> None:
    platform.ends = ("running", None, None)
    words = ("task", "submit", "--algorithm", "digits", "--name", "run", "--wait")
    with started(server, home, *words) as process:
        assert line(process).startswith("task 1 'run': ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert err.endswith(
        "kpl: Interrupted. The task 'run' goes on; `kpl task show 1` shows it, "
        "`kpl task stop 1` ends it.\n"
    )
    assert process.returncode == 130
