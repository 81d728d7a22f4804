"""Does it listen, where it should, and is it well? For services and servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from kpl_lab.engines.running.probe import Probe
from kpl_lab.engines.spec import Cause, ReplicaState

_START_INTERVAL_SECONDS = 0.1
_PORTS_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of a replica's life; see ``RunningOptions`` and ``Workload`` for their meaning."""

    time_limit: float | None
    grace: float
    start_timeout: float
    health: float
    health_timeout: float
    health_failures: int
    unhealthy_restart: float
    wrong_port: float
    restarts_max: int
    restart_first: float
    restart_last: float
    relay_wait: float
    watchdog: float


class Watched(Protocol):
    """What of a replica's plan decides how it is watched."""

    @property
    def kind(self) -> str:
        """A service is restarted when it stays unhealthy; a server is not."""

    @property
    def health(self) -> str | None:
        """Path of the HTTP check; None: a TCP connect."""

    @property
    def timing(self) -> Timing:
        """Seconds."""


@dataclass(frozen=True)
class Doom:
    """Why a supervisor ends its command."""

    cause: Cause
    detail: dict[str, Any] = field(default_factory=dict)
    is_polite: bool = True


class ServiceWatch:
    """Watches one run of a command that serves.

    Parameters
    ----------
    port
        Where it was told to listen.
    ports
        Gives the ports on which it listens so that others can reach it.
    host
        Address to ask.
    state
        What was known before; one that was ready does not begin again.
    """

    def __init__(
        self,
        plan: Watched,
        port: int,
        ports: Callable[[], set[int]],
        *,
        host: str = "127.0.0.1",
        state: ReplicaState = ReplicaState.STARTING,
    ) -> None:
        self._plan = plan
        self._port = port
        self._ports = ports
        self._host = host
        self._probe: Probe | None = None
        self._begin = time.monotonic()
        self._next_probe = 0.0
        self._next_look = self._begin + _PORTS_INTERVAL_SECONDS
        self._elsewhere_since: float | None = None
        self._elsewhere: list[int] = []
        self._failures = 0
        self._unhealthy_since: float | None = None
        self.state = state
        self.was_ready = state is not ReplicaState.STARTING

    @property
    def wait_seconds(self) -> float:
        """How long the loop may sleep without missing something."""
        if self._probe is not None:
            return 0.02
        return min(1.0, max(0.02, self._next_probe - time.monotonic()))

    def close(self) -> None:
        """Give up the check under way."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def step(self) -> Doom | None:
        """Go on; ``state`` is then up to date. Returns why the command must end, if it must."""
        moment = time.monotonic()
        if self._probe is None and moment >= self._next_probe:
            timing = self._plan.timing
            self._probe = Probe(
                self._port, self._plan.health, timing.health_timeout, host=self._host
            )
        if self._probe is not None:
            outcome = self._probe.result()
            if outcome is not None:
                self._probe = None
                self._judge(outcome, moment)
        return self._check_start(moment) if not self.was_ready else self._check_health(moment)

    def _judge(self, is_well: bool, moment: float) -> None:
        timing = self._plan.timing
        if is_well:
            self._failures, self._unhealthy_since = 0, None
            self.state, self.was_ready = ReplicaState.READY, True
        elif self.was_ready:
            self._failures += 1
            if self._failures >= timing.health_failures:
                self.state = ReplicaState.UNHEALTHY
                self._unhealthy_since = self._unhealthy_since or moment
        # An unhealthy one is asked as often as one that starts, to see it recover at once.
        is_calm = self.state is ReplicaState.READY and self._failures == 0
        self._next_probe = moment + (
            timing.health if is_calm else min(timing.health, _START_INTERVAL_SECONDS * 5)
        )
        if not self.was_ready:
            self._next_probe = moment + _START_INTERVAL_SECONDS

    def _check_health(self, moment: float) -> Doom | None:
        since = self._unhealthy_since
        if self._plan.kind != "service" or since is None:
            return None
        if moment - since < self._plan.timing.unhealthy_restart:
            return None
        return Doom(Cause.SIGNAL, {"unhealthy_seconds": round(moment - since)})

    def _check_start(self, moment: float) -> Doom | None:
        timing = self._plan.timing
        is_late = moment - self._begin > timing.start_timeout
        if moment >= self._next_look or is_late:
            self._next_look = moment + _PORTS_INTERVAL_SECONDS
            self._look_elsewhere(moment)
        detail: dict[str, Any] = {"port": self._port}
        if self._elsewhere:
            since = self._elsewhere_since or moment
            if is_late or moment - since >= timing.wrong_port:
                return Doom(Cause.WRONG_PORT, {**detail, "listening": self._elsewhere})
        elif is_late:
            return Doom(Cause.NEVER_LISTENED, {**detail, "seconds": round(timing.start_timeout)})
        return None

    def _look_elsewhere(self, moment: float) -> None:
        ports = self._ports()
        # Listening where it should but not yet well: it is loading, not lost.
        self._elsewhere = [] if self._port in ports else sorted(ports)
        if not self._elsewhere:
            self._elsewhere_since = None
        elif self._elsewhere_since is None:
            self._elsewhere_since = moment
