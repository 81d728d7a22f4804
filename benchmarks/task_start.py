"""Submit to the first line of the command's output, beside the same command as a plain process."""

from __future__ import annotations

import subprocess
import time
from statistics import median

from benchmarks._common import Row, emit, run_program, sized
from benchmarks._installation import installation
from benchmarks._tasks import COMMAND, project, submit


def plain(*before: str) -> float:
    """Return the seconds from starting the command until its first line can be read.

    Parameters
    ----------
    before
        What runs the command's shell; empty: nothing does.
    """
    began = time.perf_counter()
    command = [*before, "/bin/sh", "-c", COMMAND]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - began


def main() -> None:
    with installation() as (client, _), project() as code:
        submit(client, code)  # the first one is not like those that follow
        plain()
        pairs = [(submit(client, code), plain()) for _ in range(sized(11, 1))]
    emit(
        Row(
            "task start: packed, sent, admitted, first line read",
            "plain process",
            "s",
            value=median(ours for ours, _ in pairs),
            peer_value=median(peer for _, peer in pairs),
            lower_is_better=True,
            goal="≤ 0.3 s more",
        )
    )


if __name__ == "__main__":
    run_program(main)
