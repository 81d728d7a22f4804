"""Revisions of a service through ``kpl``: calls are shared by weight, and nobody meets an outage."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.installation import Installation, wait_for
from tests.walk.conftest import Terminal
from tests.walk.test_main_job import ENGINES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PROGRAM = """\
import http.server, os, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        tone = os.environ["TONE"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(tone)))
        self.end_headers()
        self.wfile.write(tone)

if os.environ["TONE"] == "broken":
    sys.exit("this revision never answers")
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
"""


@pytest.fixture(scope="module", params=ENGINES)
def installation(request: pytest.FixtureRequest) -> Installation:
    """An installation on each engine: the front door is the same."""
    found: Installation = request.getfixturevalue(f"on_{request.param}")
    return found


class Callers:
    """Somebody who calls a service all the time, and keeps what was not answered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.failed: list[str] = []
        self.answered = 0
        self._is_done = threading.Event()
        self._work = threading.Thread(target=self._call)

    def __enter__(self) -> Callers:
        self._work.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_done.set()
        self._work.join()

    def _call(self) -> None:
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not self._is_done.wait(0.01):
                try:
                    answer = client.get(self.url)
                    said = f"{answer.status_code} {answer.text}"
                except httpx.HTTPError as error:
                    said = repr(error)
                if said.startswith("200 "):
                    self.answered += 1
                else:
                    self.failed.append(said)

    def counted(self, count: int) -> Counter[str]:
        """Return who answers so many further calls."""
        with httpx.Client(trust_env=False, timeout=10) as client:
            return Counter(client.get(self.url).text for _ in range(count))


class Revisions:
    """Calls divided by weight, and what a candidate does to them: the same on every engine, and on the chart."""

    @pytest.fixture
    def callers(self, terminal: Terminal) -> Iterator[Callers]:
        """A service that is called all the time."""
        code = terminal.code("tone", PROGRAM, function="deploy", memory=128)
        words = ("--code", code, "--access", "public", "--env", "TONE=first")
        made = terminal.done("service", "deploy", "tone", *words, seconds=300)
        try:
            with Callers(made["url"]) as found:
                yield found
        finally:
            terminal.done("service", "delete", "tone", "--yes")

    def test_calls_are_shared_and_revisions_change_places_without_an_outage(
        self, terminal: Terminal, callers: Callers
    ) -> None:
        made = terminal.done("service", "update", "tone", "--env", "TONE=second", seconds=300)
        assert [(r["role"], r["state"]) for r in made["revisions"]] == [
            ("current", "running"),
            ("candidate", "running"),
        ]
        assert set(callers.counted(20)) == {"first"}

        terminal.done("service", "traffic", "tone", 25)
        wait_for(lambda: "second" in callers.counted(10), "a call of the candidate")
        shares = callers.counted(200)
        assert shares.total() == 200
        assert 35 <= shares["second"] <= 65, shares

        terminal.done("service", "promote", "tone")
        wait_for(lambda: set(callers.counted(20)) == {"second"}, "the candidate's calls alone")

        def has_ended() -> bool:
            found = terminal.done("service", "show", "tone")["revisions"]
            return [(r["number"], r["state"]) for r in found] == [(2, "running"), (1, "stopped")]

        wait_for(has_ended, "the end of the former revision")
        back = terminal.done("service", "rollback", "tone", seconds=300)
        assert back["revisions"][0]["number"] == 1
        wait_for(lambda: set(callers.counted(20)) == {"first"}, "the former revision's calls alone")
        assert callers.answered > 200
        assert callers.failed == []

    def test_a_candidate_that_does_not_start_takes_no_call(
        self, terminal: Terminal, callers: Callers
    ) -> None:
        words = ("--env", "TONE=broken", "--weight", 50, "--no-wait")
        terminal.done("service", "update", "tone", *words)

        def candidate() -> Any:
            found = terminal.done("service", "show", "tone")["revisions"]
            return next((one for one in found if one["role"] == "candidate"), None)

        # It is started again and again before it is given up.
        wait_for(lambda: any(one["restarts"] for one in candidate()["instances"]), "its end", 240)
        assert candidate()["ready"] == 0
        assert set(callers.counted(50)) == {"first"}
        terminal.done("service", "drop", "tone")
        assert candidate() is None
        assert callers.failed == []


class TestRevisions(Revisions):
    """On each engine."""
