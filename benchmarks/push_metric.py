"""Cost of a metric or a progress value in the training loop: ours beside the original client.

The original's `send_progress` makes a request at each call; its `push_metric` does nothing since 0.0.3, so
that `send_progress` is the peer of both. The platform is a local server that answers at once.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks._common import ROOT, alternate, emit, environment, run_worker

CALLS = 100_000
CALLS_OF_ORIGINAL = 300
ANSWER = b'{"code": "Success", "msg": "", "data": null}'
WORKER = Path(__file__).with_name("_push_worker.py")


class _Platform(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)


def main() -> None:
    original = environment("kpl-helper-original", ["kpl-helper==0.1.3", "protobuf<3.21"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Platform)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
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
        ours = {**variables, "PYTHONPATH": str(ROOT)}

        def own(what: str) -> float:
            return float(run_worker(sys.executable, WORKER, [what, str(CALLS)], ours))

        def peer() -> float:
            arguments = ["send_progress", str(CALLS_OF_ORIGINAL)]
            return float(run_worker(original, WORKER, arguments, variables))

        costs = alternate(
            {
                "peer": peer,
                "push_metric": lambda: own("push_metric"),
                "send_progress": lambda: own("send_progress"),
            }
        )
    server.shutdown()
    server.server_close()
    for what in ("push_metric", "send_progress"):
        emit(
            f"cost of {what} in the loop",
            "original send_progress (kpl-helper 0.1.3)",
            "µs/call",
            peer_value=costs["peer"],
            value=costs[what],
            lower_is_better=True,
        )


if __name__ == "__main__":
    main()
