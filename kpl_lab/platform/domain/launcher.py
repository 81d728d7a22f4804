"""Starts the processes of a task on one node, and ends them together.

A program of its own: its text runs inside the task, in whatever Python (3.7 or newer) the image has.
It knows nothing but the variables of :func:`kpl_lab.platform.domain.distributed.variables`.

It gives each process its ``RANK`` and ``LOCAL_RANK`` as ``torchrun`` does
(https://docs.pytorch.org/docs/stable/elastic/run.html), and ``TF_CONFIG`` as TensorFlow reads it
(https://www.tensorflow.org/guide/distributed_training#setting_up_the_tf_config_environment_variable).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

GRACE_SECONDS = 10.0
_LOOK_SECONDS, _TELL_SECONDS = 0.2, 5.0
# A node that has ended already has no name any more, where the processes never meet.
_HOST_SECONDS = 600.0
# What the kernel takes as one variable, less a little: MAX_ARG_STRLEN.
_MAX_VARIABLE_BYTES = 120_000


def say(text: str) -> None:
    """Print a line of our own into the log."""
    sys.stderr.write("kpl-lab: " + text + "\n")
    sys.stderr.flush()


def environment_of(local: int, given: dict[str, str]) -> dict[str, str]:
    """Return the variables of process ``local`` of this node."""
    nodes, node = int(given["NNODES"]), int(given["NODE_RANK"])
    count, hosts = int(given["NPROC_PER_NODE"]), given["VC_WORKER_HOSTS"].split(",")
    port = int(given["MASTER_PORT"])
    is_each = given["KPL_LAUNCH"] == "process"
    workers = count if is_each else 1
    cluster = [f"{hosts[one // workers]}:{port + 1 + one}" for one in range(nodes * workers)]
    task = {"type": "worker", "index": node * workers + local}
    found = {
        "MASTER_ADDR": hosts[0],
        "RANK": str(node * count + local),
        "LOCAL_RANK": str(local),
    }
    tensorflow = json.dumps({"cluster": {"worker": cluster}, "task": task})
    if len(tensorflow) < _MAX_VARIABLE_BYTES:
        found["TF_CONFIG"] = tensorflow
    if is_each:
        if count > 1 and "OMP_NUM_THREADS" not in given:
            # Else each process takes as many threads as the node has cores.
            found["OMP_NUM_THREADS"] = "1"
    else:
        # What torchrun takes in place of its options.
        found["PET_NNODES"] = str(nodes)
        found["PET_NODE_RANK"] = str(node)
        found["PET_NPROC_PER_NODE"] = str(count)
        found["PET_MASTER_ADDR"] = hosts[0]
        found["PET_MASTER_PORT"] = str(port)
    return found


def await_hosts(
    hosts: list[str], tell_after: float = _TELL_SECONDS, give_up_after: float = _HOST_SECONDS
) -> None:
    """Wait until all nodes have a name: they start when their cluster has room for them."""
    since = time.monotonic()
    for node, host in enumerate(hosts):
        is_told = False
        while not has_name(host):
            waited = time.monotonic() - since
            if waited > give_up_after:
                say(f"node {node + 1} of {len(hosts)} ({host}) is not there; going on without it")
                return
            if not is_told and waited > tell_after:
                say(f"waiting for node {node + 1} of {len(hosts)} ({host})")
                is_told = True
            time.sleep(_LOOK_SECONDS)


def has_name(host: str) -> bool:
    """Say whether a name leads anywhere."""
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror:
        return False
    return True


class Node:
    """The processes of one node."""

    def __init__(self, command: list[str], count: int) -> None:
        self._command = command
        self._children: list[subprocess.Popen[bytes]] = []
        self._count = count
        self._asked: int | None = None

    def run(self) -> int:
        """Run all to their end; return 0, or how the first failed (negative: by which signal)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        for local in range(self._count):
            own = dict(os.environ, **environment_of(local, dict(os.environ)))
            self._children.append(subprocess.Popen(self._command, env=own, start_new_session=True))
        if self._asked is not None:
            self._signal(self._asked)  # some of them were not there then
        while True:
            codes = [child.poll() for child in self._children]
            failed = [local for local, code in enumerate(codes) if code]
            if failed and self._asked is None:
                self._tell(failed[0], int(codes[failed[0]] or 0))
                self._end()
                return int(codes[failed[0]] or 0)
            if None not in codes:
                return next((code for code in codes if code), 0)
            time.sleep(0.05)

    def _tell(self, local: int, code: int) -> None:
        node = int(os.environ["NODE_RANK"])
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        rest = "; the others on this node are ended" if self._count > 1 else ""
        rank = node * self._count + local
        say(f"process {rank} (node {node}, local rank {local}) ended {how}{rest}")

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._asked = number
        self._signal(number)

    def _signal(self, number: int) -> None:
        for child in self._children:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)

    def _end(self) -> None:
        self._signal(signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until and any(c.poll() is None for c in self._children):
            time.sleep(0.05)
        self._signal(signal.SIGKILL)


def main(command: list[str]) -> None:
    """Become the command, or start it several times and end as the first that fails."""
    await_hosts(os.environ["VC_WORKER_HOSTS"].split(","))
    count = int(os.environ["NPROC_PER_NODE"]) if os.environ["KPL_LAUNCH"] == "process" else 1
    if count == 1:
        os.environ.update(environment_of(0, dict(os.environ)))
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            # Python ignores them, and who takes its place would go on doing so.
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)  # noqa: S606 (the user's own)
    code = Node(command, count).run()
    if code < 0:
        with contextlib.suppress(OSError):  # of SIGKILL nothing can be changed
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(sys.argv[1:])
