"""The relay beside a task: accepts what clients send, keeps it, and forwards it to the platform.

The original clients raise when the platform does not answer, and the task dies with them. So a
task talks to this small server on its own machine: metrics, progress and results are stored and
answered at once, uploads are stored and answered with the platform's own answer, however long
that takes. It uses the standard library alone, so that one relay per task stays small.

Started as ``python -m kpl_lab.engines.local.relay --config FILE``; FILE is JSON of
:class:`RelayConfig`. On SIGTERM (the command has ended) it reads event files once more, delivers
what is left and exits; while the platform is away it stays for ``drain_seconds``.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import logging
import os
import signal
import socket
import threading
import time
import urllib.parse
from collections import defaultdict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kpl_lab.engines.local.relay_server import (
    TOO_MANY,
    RelayHandler,
    RelayServer,
    connection_to,
    seconds_asked,
)
from kpl_lab.engines.local.spool import Spool, to_json
from kpl_lab.engines.local.tensorboard import EventFollower, Scalar
from kpl_lab.retry import backoff

log = logging.getLogger(__name__)

# Answers of a platform, or of a door before it, that is away or has no room for now. Any other
# error of its own is about this one delivery.
AWAY = frozenset({TOO_MANY, 502, 503, 504, 507})
# Below the size of a call that the platform takes.
MAX_BATCH_POINTS = 50_000


@dataclass(frozen=True, kw_only=True)
class RelayConfig:
    """What a relay is told at its start.

    Attributes
    ----------
    url
        Base of the platform's runtime surface, e.g. ``http://127.0.0.1:9000/kpl/runtime``.
    token, metric_token
        What the task's clients must show: the JWT, and the word in the oldest clients' bodies.
    spool
        Folder of its own for what was accepted.
    outputs
        Folder in which event files are looked for; None: none are.
    port_file
        Where the port is written once it listens.
    port
        Port of the loopback to listen on; 0: a free one.
    listen_fd
        An inherited listening socket; None: it listens on ``port``.
    gate
        Unix socket that leads to the platform, where the network does not; None: the network.
    drain_seconds
        How long to go on after SIGTERM while the platform does not answer.
    digest_seconds
        How long a delivery is repeated that the platform fails at; then it is left out.
    """

    url: str
    token: str
    metric_token: str
    task_id: int
    spool: str
    outputs: str | None = None
    port_file: str | None = None
    port: int = 0
    gate: str | None = None
    listen_fd: int | None = None
    drain_seconds: float = 3600.0
    digest_seconds: float = 60.0
    event_poll_seconds: float = 1.0

    @classmethod
    def read(cls, path: Path) -> RelayConfig:
        """Read a configuration file; keys that are not ours are ignored."""
        found = json.loads(path.read_text())
        names = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in found.items() if key in names})


@dataclass(frozen=True)
class _Answer:
    """What the platform said to a delivery; ``seconds_asked``: how long it wants to be left alone."""

    status: int
    text: str
    seconds_asked: float

    def __str__(self) -> str:
        return f"{self.status} {self.text}"

    @property
    def is_final(self) -> bool:
        """Tell whether the same again would be answered the same."""
        return self.status < 500 and self.status not in AWAY


class Forwarder:
    """Delivers records in order, over one connection that is kept open."""

    def __init__(self, config: RelayConfig, spool: Spool, stopping: threading.Event) -> None:
        self._config = config
        self._spool = spool
        self._stopping = stopping
        self._target = urllib.parse.urlsplit(config.url)
        self._connection: http.client.HTTPConnection | None = None

    def run(self, give_up: threading.Event) -> None:
        """Deliver until ``stopping`` is set and nothing is left, or ``give_up`` is set."""
        offset = self._spool.delivered
        while not give_up.is_set():
            record = self._spool.next_after(offset, wait_seconds=0.5)
            if record is None:
                if self._stopping.is_set():
                    return
                continue
            if record.message is not None and not self._deliver(
                record.offset, record.message, give_up
            ):
                return
            self._spool.mark_delivered(record)
            offset = record.end

    def _deliver(self, offset: int, message: dict[str, Any], give_up: threading.Event) -> bool:
        """Try until the platform has answered; False when told to give up first.

        A delivery at which the platform fails again and again is left out: it would keep all that
        come after it.
        """
        failing_since: float | None = None
        for wait in backoff(0.05, max_seconds=2.0):
            asked = 0.0
            try:
                answer = self._post(offset, message)
            except (OSError, http.client.HTTPException) as error:
                log.info("delivery %s waits: %s", offset, error)
                self._close()
                failing_since = None
            else:
                if answer.is_final:
                    if answer.status != 200:
                        log.warning("delivery %s was refused: %s", offset, answer)
                    return True
                moment = time.monotonic()
                failing_since = None if answer.status in AWAY else failing_since or moment
                if failing_since and moment - failing_since >= self._config.digest_seconds:
                    log.error("delivery %s is left out: %s", offset, answer)
                    return True
                asked = answer.seconds_asked
            if give_up.wait(max(wait, asked)):
                return False
        return False

    def _post(self, offset: int, message: dict[str, Any]) -> _Answer:
        if self._connection is None:
            self._connection = connection_to(self._config, timeout_seconds=30)
        delivery = f"{self._config.task_id}:{self._spool.instance}:{offset}"
        self._connection.request(
            "POST",
            self._target.path + message["path"],
            body=to_json(message["body"]),
            headers={
                "Content-Type": "application/json",
                "Authorization": self._config.token,
                "X-KPL-Delivery": delivery,
            },
        )
        answer = self._connection.getresponse()
        text = answer.read(4096).decode("utf-8", "replace")
        return _Answer(answer.status, text, seconds_asked(answer))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def metrics_of(scalars: list[Scalar], key: str, task_id: int) -> dict[str, Any]:
    """Return the batch of our own metrics call that says what an event file said.

    A tag is a figure; its series is named after the run's folder, or the tag where there is none.
    """
    points: dict[tuple[str, str], tuple[list[int], list[float | str]]] = defaultdict(
        lambda: ([], [])
    )
    for one in scalars:
        # The name of a folder need not be text.
        run = os.fsencode(one.run).decode("utf-8", "replace")
        xs, ys = points[(one.tag, one.tag if run == "." else run)]
        xs.append(one.step)
        finite = one.value - one.value == 0
        ys.append(
            one.value if finite else str(one.value).replace("inf", "Infinity").replace("nan", "NaN")
        )
    return {
        "task_id": task_id,
        "batch_id": hashlib.sha256(os.fsencode(f"{task_id} {key}")).hexdigest()[:32],
        "figures": [
            {"title": title, "series": [{"name": series, "type": "line"}]}
            for title, series in points
        ],
        "points": [
            {"title": title, "series": series, "x": xs, "y": ys}
            for (title, series), (xs, ys) in points.items()
        ],
    }


class Relay:
    """One relay: a server, a forwarder and a reader of event files, each in a thread."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._spool = Spool(Path(config.spool))
        self._stopping = threading.Event()
        self._give_up = threading.Event()
        self._forwarder = Forwarder(config, self._spool, self._stopping)
        self.server = RelayServer(self._listen(), RelayHandler, config, self._spool)

    def _listen(self) -> socket.socket:
        if self._config.listen_fd is not None:
            return socket.socket(fileno=self._config.listen_fd)
        fresh = socket.create_server(("127.0.0.1", self._config.port), backlog=128)
        if self._config.port_file:
            target = Path(self._config.port_file)
            new = target.with_suffix(".new")
            new.write_text(str(fresh.getsockname()[1]))
            new.replace(target)
        return fresh

    def run(self) -> int:
        """Serve until told to stop and everything was delivered; 1 when something was left."""
        threads = [
            threading.Thread(target=self.server.serve_forever, args=(0.2,), daemon=True),
            threading.Thread(target=self._forwarder.run, args=(self._give_up,), daemon=True),
            threading.Thread(target=self._follow_events, daemon=True),
        ]
        for thread in threads:
            thread.start()
        self._stopping.wait()
        threads[2].join()
        self._spool.wake()
        threads[1].join(self._config.drain_seconds)
        self._give_up.set()
        self.server.shutdown()
        return 0 if self._spool.is_empty else 1

    def stop(self) -> None:
        """Begin to end; safe in a signal handler."""
        self._stopping.set()

    def _follow_events(self) -> None:
        if self._config.outputs is None:
            return
        memory = Path(self._config.spool) / "event-files.json"
        follower = EventFollower(Path(self._config.outputs), memory)
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._config.event_poll_seconds)
            try:
                for key, scalars in follower.poll():
                    self._keep_scalars(key, scalars)
            except OSError as error:  # disk full: what was not kept is read again next time
                log.warning("curves of event files wait: %s", error)

    def _keep_scalars(self, key: str, scalars: list[Scalar]) -> None:
        """Accept what an event file said, in calls of a size that the platform takes."""
        for first in range(0, len(scalars), MAX_BATCH_POINTS):
            # A repetition, when more has come, finds the same points in all but the last call.
            name = f"{key}+{first}" if first else key
            part = scalars[first : first + MAX_BATCH_POINTS]
            body = metrics_of(part, name, self._config.task_id)
            self._spool.append({"path": "/task/metrics/batch", "body": body})


def main() -> int:
    """Run one relay until its task has ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    relay = Relay(RelayConfig.read(parser.parse_args().config))
    signal.signal(signal.SIGTERM, lambda *_: relay.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return relay.run()


if __name__ == "__main__":
    raise SystemExit(main())
