"""What processes write to their logs: what they say, not each request that they send."""

from __future__ import annotations

import subprocess
import sys

WRITES = """
import logging, httpx
from kpl_lab import log_lines
log_lines.begin()
answers = httpx.MockTransport(lambda request: httpx.Response(200))
httpx.Client(transport=answers).get("http://hub/secret")
logging.getLogger("kpl").info("the platform's own word")
logging.getLogger("httpcore").warning("and what is wrong there")
"""


def test_the_requests_that_a_process_sends_are_no_lines_of_its_log() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITES], capture_output=True, text=True, check=True, timeout=60
    )
    lines = done.stderr.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "INFO kpl the platform's own word",
        "WARNING httpcore and what is wrong there",
    ]
