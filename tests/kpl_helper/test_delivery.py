"""Metrics, progress and results arrive, however the script ends and whatever the platform does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

PUSH = """
from kpl_helper import metric, flush, send_progress
from kpl_helper.result import send_curve_result, send_scalar_result
import os, sys, signal, time
figure = metric.MetricFigure("Loss", y1_name="train")
def push(start, stop):
    for x in range(start, stop):
        figure.push_metric(x, x / 2)
"""


def numbers(platform: Any, title: str = "Loss", series: str = "train") -> list[float]:
    return [x for x, _ in platform.points(title, series)]


def test_everything_arrives_after_a_normal_end(platform: Any, start: Callable[..., Any]) -> None:
    script = start(
        PUSH
        + """
both = metric.MetricFigure("Both", "a", y2_name="b", y2_type=metric.PLOT_LINE)
push(0, 25_000)
both.push_metric(x=1, y1=0.0, y2=0.0)
send_progress(0.25)
send_progress(0.5)
send_scalar_result(top1=0.92, top5=float("nan"), note="good")
send_curve_result("ROC", "fpr", [0, 1], "tpr", [0.5, float("inf")])
"""
    )
    assert script.end() == 0, script.output
    assert platform.points("Loss", "train") == [(x, x / 2) for x in range(25_000)]
    assert platform.points("Both", "a") == [(1, 0)]
    assert platform.points("Both", "b") == [(1, 0)]
    figures = {
        figure["title"]: figure["series"] for b in platform.batches for figure in b["figures"]
    }
    assert figures["Both"] == [{"name": "a", "type": "line"}, {"name": "b", "type": "line"}]
    assert platform.latest("progress") == 0.5
    assert platform.latest("scalars") == {"top1": 0.92, "top5": "NaN", "note": "good"}
    assert platform.latest("curves") == [
        {"title": "ROC", "x": "fpr", "y": "tpr", "data": [[0, 0.5], [1, "Infinity"]]}
    ]
    assert {request["headers"]["Authorization"] for request in platform.requests} == {
        "jwt-of-task-7"
    }
    assert {batch["task_id"] for batch in platform.batches} == {7}


def test_numbers_that_json_does_not_know_survive(platform: Any, start: Callable[..., Any]) -> None:
    script = start(
        PUSH
        + """
for x, y in enumerate([1.5, float("nan"), float("inf"), float("-inf")]):
    figure.push_metric(x, y)
"""
    )
    assert script.end() == 0
    assert [y for _, y in platform.points("Loss", "train")] == [1.5, "NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize(("ending", "status"), [("sys.exit(3)", 3), ("raise ValueError('x')", 1)])
def test_everything_arrives_after_other_ends(
    platform: Any, start: Callable[..., Any], ending: str, status: int
) -> None:
    script = start(PUSH + f"push(0, 500)\n{ending}\n")
    assert script.end() == status
    assert numbers(platform) == list(range(500))


def test_everything_arrives_before_sigterm_ends_the_process(
    platform: Any, start: Callable[..., Any]
) -> None:
    script = start(PUSH + "push(0, 500)\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n")
    assert script.end() == -signal.SIGTERM
    assert numbers(platform) == list(range(500))


def test_sigterm_from_outside_interrupts_a_sleeping_script(
    platform: Any, start: Callable[..., Any]
) -> None:
    script = start(PUSH + "push(0, 500)\nprint('pushed')\ntime.sleep(60)\n")
    script.wait_for("pushed")
    script.send_signal(signal.SIGTERM)
    assert script.end() == -signal.SIGTERM
    assert numbers(platform) == list(range(500))


OWN_HANDLER = """
def own(number, frame):
    print("own handler")
    if callable(previous):
        previous(number, frame)
    sys.exit(7)
"""


@pytest.mark.parametrize("first", [True, False])
def test_a_handler_of_the_algorithm_keeps_its_say(
    platform: Any, start: Callable[..., Any], first: bool
) -> None:
    install = OWN_HANDLER + "previous = signal.signal(signal.SIGTERM, own)\n"
    push = "push(0, 500)\n"
    script = start(
        PUSH.replace("figure =", (install if first else "") + "figure =")
        + push
        + ("" if first else install)
        + "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n"
    )
    assert script.end() == 7
    assert "own handler" in script.output
    assert numbers(platform) == list(range(500))


def test_an_ignored_sigterm_stays_ignored(platform: Any, start: Callable[..., Any]) -> None:
    script = start(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        + PUSH
        + "push(0, 5)\nos.kill(os.getpid(), signal.SIGTERM)\n"
        + "assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN\n"
    )
    assert script.end() == 0, script.output
    assert numbers(platform) == list(range(5))


def test_a_forked_child_sends_its_own_points_and_not_its_parents(
    platform: Any, start: Callable[..., Any]
) -> None:
    script = start(
        PUSH
        + """
push(0, 100)
child = os.fork()
if child == 0:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    push(1000, 1100)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
push(100, 200)
"""
    )
    assert script.end() == 0, script.output
    assert sorted(numbers(platform)) == [*range(200), *range(1000, 1100)]
    assert len(platform.batches) == len({batch["batch_id"] for batch in platform.batches})


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_send_before_they_end(
    platform: Any, start: Callable[..., Any], method: str
) -> None:
    script = start(
        f"""
import multiprocessing
from kpl_helper import metric
def work(figure, start):
    for x in range(start, start + 50):
        figure.push_metric(x, 1.0)
if __name__ == "__main__":
    figure = metric.MetricFigure("Loss", "train")
    figure.push_metric(-1, 1.0)
    context = multiprocessing.get_context("{method}")
    children = [context.Process(target=work, args=(figure, n * 100)) for n in (0, 1)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0]
"""
    )
    assert script.end() == 0, script.output
    assert sorted(numbers(platform)) == [-1, *range(50), *range(100, 150)]
    assert all(b["figures"][0]["series"] for b in platform.batches if b["points"])


def test_a_terminated_pool_sends_what_its_workers_noted(
    platform: Any, start: Callable[..., Any]
) -> None:
    script = start(
        PUSH
        + """
import multiprocessing
def work(x):
    figure.push_metric(x, 1.0)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(work, range(40))
"""
    )
    assert script.end() == 0, script.output
    assert sorted(numbers(platform)) == list(range(40))


def test_a_dead_platform_neither_stops_nor_fails_the_script(
    platform: Any, start: Callable[..., Any]
) -> None:
    platform.stop()
    script = start(
        PUSH + "push(0, 1000)\nsend_progress(1.0)\nprint('loop done')\n",
        KPL_HELPER_FLUSH_SECONDS="0.3",
    )
    assert script.end() == 0
    assert "loop done" in script.output
    assert "1000 points" in script.output


def test_the_loop_goes_on_while_the_platform_holds_a_request(
    platform: Any, start: Callable[..., Any]
) -> None:
    platform.gate.clear()
    script = start(
        PUSH + "push(0, 10)\ninput()\npush(10, 30_000)\nsend_progress(0.5)\nprint('loop done')\n"
    )
    assert platform.entered.wait(30)
    script.say("go on")
    script.wait_for("loop done")
    assert platform.requests == []
    platform.gate.set()
    assert script.end() == 0
    assert numbers(platform) == list(range(30_000))


def test_nothing_is_lost_when_the_platform_comes_back(
    platform: Any, start: Callable[..., Any]
) -> None:
    platform.stop()
    script = start(PUSH + "push(0, 20_000)\nprint('pushed')\ninput()\npush(20_000, 20_100)\n")
    script.wait_for("pushed")
    platform.start()
    platform.wait_for(lambda: len(numbers(platform)) == 20_000)
    script.say("end")
    assert script.end() == 0
    assert numbers(platform) == list(range(20_100))


def test_a_batch_whose_answer_was_lost_is_repeated_under_its_id(
    platform: Any, start: Callable[..., Any]
) -> None:
    platform.misbehaviour += [503, "hang up", {"code": "Busy", "msg": "later", "data": None}]
    script = start(PUSH + "push(0, 100)\n")
    assert script.end() == 0
    ids = [request["json"]["batch_id"] for request in platform.requests]
    assert len(ids) == 4
    assert len(set(ids)) == 1
    assert numbers(platform) == list(range(100))


def test_what_the_platform_refuses_for_good_does_not_hold_up_the_rest(
    platform: Any, start: Callable[..., Any]
) -> None:
    platform.misbehaviour += [422]
    script = start(PUSH + "push(0, 100)\nassert flush()\npush(100, 200)\n")
    assert script.end() == 0
    assert numbers(platform) == list(range(100, 200))
    assert "100 points and other metrics dropped" in script.output


def test_beyond_the_buffer_older_points_are_thinned_and_counted(
    platform: Any, start: Callable[..., Any]
) -> None:
    platform.gate.clear()
    script = start(
        PUSH
        + """
push(0, 10)
input()
for start in range(10, 8000, 500):
    push(start, min(start + 500, 8000))
    time.sleep(0)
print("pushed", flush=True)
""",
        KPL_HELPER_BUFFER_POINTS="1000",
    )
    assert platform.entered.wait(30)
    script.say("go on")
    script.wait_for("pushed")
    platform.gate.set()
    assert script.end() == 0
    kept = numbers(platform)
    assert kept[:10] == list(range(10))
    assert kept[-500:] == list(range(7500, 8000))
    assert kept == sorted(set(kept))
    assert len(kept) <= 1010
    assert "older points were thinned out" in script.output


def test_without_a_thread_the_end_of_the_script_sends(
    platform: Any, start: Callable[..., Any]
) -> None:
    script = start(
        """
import threading
def no_thread(self): raise RuntimeError("can't start new thread")
threading.Thread.start = no_thread
"""
        + PUSH
        + "push(0, 100)\n"
    )
    assert script.end() == 0
    assert numbers(platform) == list(range(100))


def test_a_renewed_token_file_is_read_again(
    platform: Any, start: Callable[..., Any], tmp_path: Any
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    platform.misbehaviour += [401]
    script = start(PUSH + "push(0, 10)\nprint('pushed')\ninput()\n", KPL_TOKEN_LOCATE=str(token))
    platform.wait_for(lambda: platform.requests)
    token.write_text("second\n")
    script.wait_for("pushed")
    platform.wait_for(lambda: platform.batches)
    script.say("end")
    assert script.end() == 0
    shown = [request["headers"]["Authorization"] for request in platform.requests]
    assert shown[0] == "first"
    assert shown[-1] == "second"


def test_values_that_are_no_numbers_are_left_out_and_said_once(
    platform: Any, start: Callable[..., Any]
) -> None:
    script = start(
        PUSH
        + """
class Tensor:
    def __init__(self, *values): self.values = values
    def __float__(self):
        if len(self.values) != 1: raise RuntimeError("only one element")
        return self.values[0]
for x in range(3):
    figure.push_metric(x, None)
    figure.push_metric(x, Tensor(1.0, 2.0))
figure.push_metric(3, Tensor(0.5))
figure.push_metric("4", 10 ** 400)
figure.push_metric(5, 1, y2=2)
for _ in range(3):
    figure.push_metric(6, 10 ** 400)
    figure.push_metric(10 ** 400, 6)
send_progress("much")
send_progress(float("nan"))
for _ in range(3): send_progress(1.5)
send_scalar_result(a=[1], b=2)
send_curve_result("bad", "x", [1], "y", [])
"""
    )
    assert script.end() == 0, script.output
    assert platform.points("Loss", "train") == [(3, 0.5), (5, 1)]
    assert platform.latest("progress") == 1.0
    assert platform.latest("scalars") == {"b": 2}
    assert script.output.count("'train' of 'Loss' is not a number") == 3
    assert script.output.count("'train' of 'Loss' has a number beyond the range of a double") == 1
    assert script.output.count("is clamped") == 1
    assert "no second curve" in script.output
    assert "1 x points and 0 y points" in script.output


def test_in_a_notebook_and_in_a_service_metrics_go_nowhere(
    platform: Any, start: Callable[..., Any]
) -> None:
    for kind in ("notebook", "deploy"):
        script = start(PUSH + "push(0, 10)\nsend_progress(0.5)\n", KPL_ENV=kind)
        assert script.end() == 0
    assert platform.requests == []


def test_old_log_lines_show_and_new_scripts_configure_logging_themselves(
    start: Callable[..., Any],
) -> None:
    script = start("import kpl_helper, logging\nlogging.getLogger('x').info('old line')\n")
    assert script.end() == 0
    assert "old line" in script.output
    script = start(
        "import kpl_helper, logging\nlogging.basicConfig(format='NEW %(message)s')\n"
        "kpl_helper.ready(); kpl_helper.done()\nlogging.info('line')\n"
    )
    assert script.end() == 0
    assert "NEW line" in script.output
    assert "NEW [kpl-helper]: ready for using." in script.output
