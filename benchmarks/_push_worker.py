"""Time one call of a client in a loop; run by the client's own Python.

Prints microseconds per call: what the loop took, and what the whole process computed until everything
was delivered, in the background too.

Usage: ``python _push_worker.py push_metric|send_progress CALLS``. Some calls before warm up, and are
not timed: with the first one, our client starts its thread.
"""

from __future__ import annotations

import json
import sys
import time

WARM_UP = 10


def push_metric(calls: int) -> None:
    from kpl_helper import metric

    push = metric.MetricFigure("Loss", y1_name="train").push_metric
    for step in range(calls):
        push(step, 1.0 / (step + 1))


def send_progress(calls: int) -> None:
    from kpl_helper import progress

    for step in range(calls):
        progress.send_progress((step + 1) / calls)


def deliver() -> None:
    import kpl_helper

    # The original has none: it delivers in each call.
    getattr(kpl_helper, "flush", lambda: None)()


def main() -> None:
    work, calls = globals()[sys.argv[1]], int(sys.argv[2])
    work(WARM_UP)
    deliver()
    began, computed = time.perf_counter(), time.process_time()
    work(calls)
    seconds = time.perf_counter() - began
    deliver()
    computed = time.process_time() - computed
    print(json.dumps({"loop": seconds / calls * 1e6, "cpu": computed / calls * 1e6}))


if __name__ == "__main__":
    main()
