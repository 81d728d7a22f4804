"""What `make bench` promises: no number without a measurement, and each with what it was measured in."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import _report, page
from benchmarks.__main__ import ProgramFailedError, main, rows_of
from benchmarks._calls import Target, body_of, latencies, throughput
from benchmarks._common import Environment, PeerMissingError, Row, until
from benchmarks._programs import PROGRAMS
from benchmarks._programs import Program as Known
from benchmarks.cluster_scale import PARTS, Measured, Passing, Use, rows

ROW = Row("read", "a peer", "records/s", 200.0, 100.0)
PRINT_A_ROW = f"print({json.dumps(asdict(ROW))!r}, flush=True)\n"
Program = Callable[[str], str]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Write a program that `rows_of` can run; return its module's name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(text: str) -> str:
        (tmp_path / "measures_something.py").write_text(text)
        return "measures_something"

    return write


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[Target]:
    """Run a server that gives one answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Target(f"http://127.0.0.1:{server.server_address[1]}/x", "secret")
        finally:
            server.shutdown()
            thread.join()


def test_a_ratio_above_one_means_that_ours_is_better_whatever_the_unit() -> None:
    assert ROW.ratio == 2
    assert Row("start", "a peer", "s", 2.0, 1.0, lower_is_better=True).ratio == 0.5


@pytest.mark.parametrize(
    ("value", "peer_value", "missing"),
    [(0.0, 1.0, ""), (1.0, 0.0, ""), (1.0, None, ""), (1.0, 1.0, "there is none")],
)
def test_what_was_not_measured_is_no_row(
    value: float, peer_value: float | None, missing: str
) -> None:
    with pytest.raises(ValueError, match=r"measurement|either"):
        Row("read", "a peer", "records/s", value, peer_value, missing=missing)


def test_a_line_says_why_the_peer_has_no_value() -> None:
    line = _report.line_of(Row("read", "a peer", "records/s", 7.0, None, missing="no network"))
    assert line == "| read | records/s | a peer | not measured: no network | 7 | – |  |\n"


def test_a_line_says_what_ours_adds() -> None:
    row = Row("start", "a peer", "s", 1.25, 1.0, lower_is_better=True, goal="≤ 0.3 s more")
    assert (
        _report.line_of(row) == "| start | s | a peer | 1 | 1.25 | 0.8x, +0.25 s | ≤ 0.3 s more |\n"
    )


def test_facts_name_machine_and_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = _report.facts()
    assert {"Date", "Machine", "System", "Load before", "Python", "Ours", "Commit"} <= known.keys()
    assert "jupyterhub " in known["Ours"]
    monkeypatch.setenv("KPL_BENCH_CACHE", str(tmp_path))
    place = tmp_path / "hub" / "lib" / "python3.11" / "site-packages" / "spawner-2.1.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: spawner\nVersion: 2.1\n")
    never_made = Environment("other", (), ("other",))
    assert _report.peers([Environment("hub", (), ("spawner",)), never_made]) == {
        "Peers": "spawner 2.1"
    }
    assert _report.peers([never_made]) == {}


def test_the_page_is_made_of_what_was_measured() -> None:
    assert page.COMMITTED.read_text("utf-8") == page.text(), (
        "what was measured has changed: run `python -m benchmarks.page`"
    )
    parts = {path.stem for path in page.COMMITTED.with_suffix("").iterdir()}
    assert parts <= PROGRAMS.keys()


def test_what_all_runs_share_stands_on_the_page_once(tmp_path: Path) -> None:
    results = tmp_path / "results.md"
    for name, date in (("one", "Monday"), ("two", "Tuesday")):
        page.keep(tmp_path / "results", name, page.Part({"Date": date, "Machine": "big"}, [ROW]))
    programs = {name: Known(name, f"The {name}") for name in ("one", "two", "three")}
    page.write(results, programs)
    text = results.read_text("utf-8")
    assert text.count("- Machine: big\n") == text.count("big") == 1
    line = "| read | records/s | a peer | 100 | 200 | 2x |  |\n"
    assert f"## The one\n\n{_report.HEAD}{line}\n`one` · Date: Monday\n" in text
    assert f"## The two\n\n{_report.HEAD}{line}\n`two` · Date: Tuesday\n" in text
    assert text.endswith("## Not measured yet\n\n`three`\n")
    assert {path.name for path in tmp_path.iterdir()} == {"results", "results.md"}


def test_rows_are_what_a_program_prints(program: Program) -> None:
    assert rows_of(program(PRINT_A_ROW)) == [ROW]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PRINT_A_ROW + "raise SystemExit('the disk is full')", r"ended with 1:\nthe disk is full"),
        ("print('nothing')", "printed no row"),
    ],
)
def test_a_program_that_fails_gives_no_rows_and_says_why(
    program: Program, text: str, why: str
) -> None:
    with pytest.raises(ProgramFailedError, match=why):
        rows_of(program(text))


def test_a_program_that_can_measure_nothing_here_keeps_what_it_measured(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
from benchmarks._common import LeftOutError, run_program
def main():
    raise LeftOutError("there is no Docker")
run_program(main)
"""
    results = tmp_path / "results.md"
    page.keep(tmp_path / "results", "something", page.Part({"Date": "long ago"}, [ROW]))
    assert main([], {"something": Known(program(text), "Something")}, results) == 0
    assert "left out (measures_something: there is no Docker)" in capsys.readouterr().err
    assert "- Date: long ago\n" in results.read_text("utf-8")


def test_a_program_that_hangs_is_ended_and_takes_down_what_it_started(
    program: Program, tmp_path: Path
) -> None:
    taken_down = tmp_path / "taken-down"
    text = f"""
import signal
from pathlib import Path
from benchmarks._common import run_program
def main():
    try:
        signal.pause()
    finally:
        Path({str(taken_down)!r}).touch()
run_program(main)
"""
    with pytest.raises(ProgramFailedError, match="was not done after"):
        rows_of(program(text), seconds=5)
    assert taken_down.exists()


@pytest.mark.parametrize(
    ("words", "text", "code", "is_kept"),
    [
        ([], PRINT_A_ROW, 0, True),
        (["--only", "one"], PRINT_A_ROW, 0, True),
        (["--only", "two"], PRINT_A_ROW, 0, False),
        (["--quick"], PRINT_A_ROW, 0, False),
        ([], PRINT_A_ROW + "raise SystemExit(3)", 1, False),
    ],
)
def test_a_program_that_succeeded_takes_the_place_of_its_earlier_run(
    program: Program, tmp_path: Path, words: list[str], text: str, code: int, is_kept: bool
) -> None:
    results = tmp_path / "results.md"
    folder = tmp_path / "results"
    page.keep(folder, "one", page.Part({"Date": "long ago"}, [ROW]))
    programs = {name: Known(program(text), name) for name in ("one", "two")}
    page.write(results, programs)
    before = results.read_text("utf-8")
    assert main(words, programs, results) == code
    known = page.read(folder, "one")
    assert known is not None
    assert known.rows == [ROW]
    assert (known.conditions["Date"] != "long ago") is is_kept
    if code or "--quick" in words:
        assert results.read_text("utf-8") == before
        assert page.read(folder, "two") is None
    else:
        assert results.read_text("utf-8") == page.text(results, programs) != before
        assert (page.read(folder, "two") is None) is (words == ["--only", "one"])


def test_a_job_that_passes_through_is_not_charged_for_what_goes_on_anyway() -> None:
    def use(cpu: float, grown: float) -> Use:
        mib = dict.fromkeys(PARTS, 100.0)
        after = dict.fromkeys(PARTS, 100.0 + grown)
        return Use(2.0, mib, after, dict.fromkeys(PARTS, cpu), Counter({"get Pod": 30, "list": 20}))

    idle = use(4.0, 0.0)
    first = Measured(0.1, idle, idle, [0.01], Passing(10, use(5.0, 1.0), idle))
    found = Measured(1.0, idle, idle, [0.01], Passing(50, use(9.0, 3.0), idle))
    values = {
        one.name.removeprefix("cluster at 100% of its load: "): (
            one.value,
            one.peer_value,
            one.peer,
        )
        for one in rows(first, found)
    }
    assert values["Jobs of one pod passing through"] == (25.0, 5.0, "at 10%")
    assert values["CPU of the runner, a Job passing through"] == (100.0, 100.0, "at 10%")
    assert values["calls to the API server, a Job passing through"] == (1.0, 5.0, "at 10%")
    grown = values["memory of the controller, 50 Jobs passing through"]
    assert grown == (103.0, 100.0, "before them")


def test_waiting_has_an_end_that_names_what_did_not_come() -> None:
    with pytest.raises(TimeoutError, match=r"0\.01 s in vain for rain"):
        until(lambda: False, "rain", seconds=0.01, pause=0.001)


def test_a_peer_that_cannot_be_installed_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPL_BENCH_CACHE", str(tmp_path))
    place = Environment("peer", (str(tmp_path / "no-such-package"),), ())
    with pytest.raises(PeerMissingError, match="no-such-package"):
        place.python()
    assert place.versions() == []


def test_calls_are_measured_in_turns_and_at_once() -> None:
    with answering(b"17") as direct, answering(b"17") as through:
        assert all(seconds > 0 for seconds in latencies(direct, through, 5))
        assert throughput(direct, connections=2, seconds=0.1) > 1


def test_calls_that_reach_another_process_are_no_comparison() -> None:
    with (
        answering(b"17") as direct,
        answering(b"18") as through,
        pytest.raises(RuntimeError, match="answered by b'17' and b'18'"),
    ):
        latencies(direct, through, 5)


def test_a_refused_call_is_not_counted() -> None:
    with (
        answering(b"sign in first", status=401) as target,
        pytest.raises(RuntimeError, match="401"),
    ):
        throughput(target, connections=2, seconds=0.1)


def test_an_answer_is_taken_when_it_is_whole() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert body_of(whole) == b"ok"
    assert [body_of(whole[:size]) for size in (5, len(whole) - 1)] == [None, None]
