"""``make down`` removes from a real cluster what runs, with all that belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.installation import wait_for
from tests.kubernetes.harness import why_not
from tests.kubernetes_installation import kubectl_of, kubernetes_installation
from tests.walk.conftest import Terminal

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(600)]


def test_down_leaves_nothing_of_a_task_over_two_pods(tmp_path: Path) -> None:
    """Its Job, its pods, and what leads one of them to the other, and keeps others away."""
    if reason := why_not():
        pytest.skip(reason)
    with kubernetes_installation("kpl-down-") as found:
        terminal, kubectl = Terminal(found, tmp_path), kubectl_of(found)
        code = terminal.code("long", "import time\ntime.sleep(600)\n", memory=128)
        terminal.done("task", "submit", "--code", code, "--nodes", 2)
        wait_for(lambda: kubectl.objects("networkpolicies"), "the task's policy")
        wait_for(lambda: len(kubectl.objects("pods")) == 2, "the task's pods")
    # What is left after it has been looked for there.
