"""Cost of a metric or a progress value in the training loop: ours beside the original client.

The original's `send_progress` makes a request at each call; its `push_metric` does nothing since
0.0.3, so that `send_progress` is the peer of both. The platform is a local server that answers at
once. Ours sends in the background: that all arrived by the end of the program is checked.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from benchmarks._common import (
    ORIGINAL_HELPER,
    ROOT,
    PeerMissingError,
    Row,
    emit,
    run_program,
    run_worker,
    sized,
)
from benchmarks._push_worker import WARM_UP

CALLS = sized(200_000, 2000)
CALLS_OF_ORIGINAL = sized(300, 20)
WHAT = ("push_metric", "send_progress")
PEER = "original send_progress"
ANSWER = b'{"code": "Success", "msg": "", "data": null}'
WORKER = Path(__file__).with_name("_push_worker.py")


class Platform(ThreadingHTTPServer):
    """Takes what clients post, and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    def points(self) -> int:
        """Return how many points came, and forget what came."""
        bodies, self.bodies = self.bodies, []
        found = [piece for body in bodies for piece in json.loads(body)["points"]]
        return sum(len(piece["x"]) for piece in found)

    def progress(self) -> float:
        """Return the last progress that came, and forget what came."""
        bodies, self.bodies = self.bodies, []
        found = [json.loads(body).get("progress") for body in bodies]
        return max(float(value) for value in found if value is not None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Platform

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)


@contextmanager
def platform() -> Iterator[Platform]:
    """Run a server in a thread of this process."""
    server = Platform()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def own(server: Platform, what: str, variables: Mapping[str, str]) -> dict[str, float]:
    """Return what a call costs in microseconds, after making sure that nothing was lost."""
    here = {**variables, "PYTHONPATH": str(ROOT)}
    server.bodies.clear()
    costs: dict[str, float] = run_worker(sys.executable, WORKER, [what, str(CALLS)], here)
    if what == "push_metric" and (came := server.points()) != CALLS + WARM_UP:
        raise RuntimeError(f"{came} of {CALLS + WARM_UP} points came")
    if what == "send_progress" and (last := server.progress()) != 1:
        raise RuntimeError(f"the last progress that came is {last}")
    return costs


def original(server: Platform, python: Path, variables: Mapping[str, str]) -> dict[str, float]:
    """Return what a call costs in microseconds."""
    server.bodies.clear()
    arguments = ["send_progress", str(CALLS_OF_ORIGINAL)]
    costs: dict[str, float] = run_worker(python, WORKER, arguments, variables)
    if len(server.bodies) < CALLS_OF_ORIGINAL:
        raise RuntimeError(f"the original made {len(server.bodies)} of {CALLS_OF_ORIGINAL} calls")
    return costs


def medians(python: Path | None) -> dict[str, float]:
    """Return what calls cost, those of the peer too where there is a Python with it."""
    found: dict[str, list[float]] = defaultdict(list)
    with platform() as server, tempfile.TemporaryDirectory(prefix="kpl-bench-") as folder:
        token = Path(folder, "token")
        token.write_text("token", encoding="utf-8")
        variables = {
            "KPL_INNER": "1",
            "KPL_ENV": "pipeline",
            "KPL_ENV_TASK_ID": "1",
            "KPL_ENV_PARAMETER": "{}",
            "KPL_ENV_INTERNAL_API_HOST": f"http://127.0.0.1:{server.server_address[1]}",
            "KPL_TOKEN_LOCATE": str(token),
        }
        for _ in range(sized(5, 1)):
            costs = {what: own(server, what, variables) for what in WHAT}
            if python is not None:
                costs[PEER] = original(server, python, variables)
            for name, measured in costs.items():
                for kind, cost in measured.items():
                    found[f"{name} {kind}"].append(cost)
    return {name: median(values) for name, values in found.items()}


def main() -> None:
    python, missing = None, ""
    try:
        python = ORIGINAL_HELPER.python()
    except PeerMissingError as error:
        missing = str(error)
    found = medians(python)

    def row(title: str, what: str, kind: str, goal: str = "") -> Row:
        value, peer = found[f"{what} {kind}"], found.get(f"{PEER} {kind}")
        return Row(title, PEER, "µs/call", value, peer, True, goal, missing)

    for what in WHAT:
        emit(row(f"cost of {what} in the loop", what, "loop", "≤ 5 µs"))
    emit(row("CPU time of push_metric, delivery included", "push_metric", "cpu"))


if __name__ == "__main__":
    run_program(main)
