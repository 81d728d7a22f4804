"""Inside a real container: what its group tells, and whom memory that runs out costs."""

from __future__ import annotations

import inspect

import pytest

from kpl_lab.measures import cgroups, processes
from tests.engines.docker_harness import DockerBench
from tests.engines.harness import end_of, limits, start, task, text_of

pytestmark = pytest.mark.docker

# The parent holds most of the memory and is no kernel; its child is one, and eats the rest.
MAIN = """
import subprocess, sys
from cgroups import Counters
from processes import expend

own = Counters.of_this_process()
print("limit", own.memory_limit_bytes() >> 20, "kills", own.oom_kills())
print("counts", own.cpu_seconds() > 0, len(own.pids()) > 0)
held = b"x" * (60 << 20)
print("holds", 60 <= own.memory_bytes() >> 20 < 100)
eat = "input(); held = [b'x' * (1 << 20) for _ in iter(int, 1)]"
child = subprocess.Popen([sys.executable, "-c", eat], stdin=subprocess.PIPE)
print("expends", expend(child.pid))
child.communicate(b"go")
print("ended", child.returncode, "kills", own.oom_kills())
"""
FILES = {
    "main.py": MAIN,
    "cgroups.py": inspect.getsource(cgroups),
    "processes.py": inspect.getsource(processes),
}


async def test_a_kernel_dies_before_the_larger_process_that_started_it(docker: DockerBench) -> None:
    code = docker.folder("code", FILES)
    wanted = task("t", "python3 main.py", code=str(code), limits=limits(memory_mb=100))
    handle = await start(docker.engine, wanted)
    end = await end_of(docker.engine, "t")
    assert (await text_of(docker.engine, handle)).splitlines() == [
        "limit 100 kills 0",
        "counts True True",
        "holds True",
        "expends True",
        "ended -9 kills 1",
    ]
    assert end.exit_code == 0
