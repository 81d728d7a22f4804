"""The thread that carries metrics, progress, results and failures to the platform.

The loop's side is one append to a deque, which needs no lock. The thread takes the deque over about once
a second, and sends. A batch keeps its id until the platform has answered, so that a repetition is harmless.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque

from kpl_helper._buffer import Batch, Pending, Series
from kpl_helper._numbers import number_from_env
from kpl_helper.base import Config, get_config, logger
from kpl_helper.errors import NotOnPlatformError, PlatformRefusedError, PlatformUnreachableError

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from typing import Any

ROUTE = "/task/metrics/batch"
#: Seconds between two looks at the buffer.
INTERVAL = 1.0
#: Seconds for connecting, and for each read or write.
REQUEST_TIMEOUT = 10.0
#: Longest pause between two attempts, seconds; while somebody waits for a flush the second one counts.
LONGEST_PAUSE = 30.0
LONGEST_PAUSE_IN_FLUSH = 0.5
#: How often a batch is offered to a platform that answers and does not take it.
REFUSALS = 3
#: Results, curves, figures and failures that wait; points have a limit of their own.
EVENT_LIMIT = 10_000


class _Waiter:
    """Somebody who waits until everything is sent; a bare lock, so that signal handlers may use it."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> bool:
        return self._lock.acquire(timeout=max(0.0, self.deadline - time.monotonic()))

    def release(self) -> None:
        self._lock.release()


class Sender:
    """Buffer and background thread of one process.

    Parameters
    ----------
    config
        Where the platform is and which task this is.

    Attributes
    ----------
    limit
        Points kept while the platform does not answer (``KPL_HELPER_BUFFER_POINTS``).
    patience
        Seconds that the flush at exit may take (``KPL_HELPER_FLUSH_SECONDS``).
    """

    def __init__(self, config: Config) -> None:
        self.limit = int(number_from_env("KPL_HELPER_BUFFER_POINTS", 500_000))
        self.patience = number_from_env("KPL_HELPER_FLUSH_SECONDS", 10.0)
        self._config = config
        # Kept for good, so that figures may hold on to it; a forked child empties it.
        self._raw: deque[tuple[Series, float, float]] = deque()
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything that waits, and the thread: for a forked child."""
        self._raw.clear()
        self._events: deque[tuple[Any, ...]] = deque()
        self._progress: float | None = None
        self._progress_taken: float | None = None
        self._wake: queue.SimpleQueue[_Waiter | None] = queue.SimpleQueue()
        self._waiters: list[_Waiter] = []
        self._pending = Pending(self.limit)
        self._inflight: Batch | None = None
        self._connection: Any = None
        self._overflown = 0
        self._lost = 0
        self._told: tuple[int, float] = (0, 0.0)
        self._failed_attempts = 0
        self._thread: threading.Thread | None = None
        self._running = False

    # What the training loop calls.

    def add_point(self, series: Series, x: float, y: float) -> None:
        """Append one point; the whole cost in the loop."""
        raw = self._raw
        raw.append((series, x, y))
        if not self._running or len(raw) > self.limit:
            self._attend()

    def set_progress(self, value: float) -> None:
        """Note the progress; the latest value is what gets sent."""
        self._progress = value
        if not self._running:
            self._attend()

    def add_event(self, kind: str, *details: object) -> None:
        """Note a ``figure``, ``scalar``, ``curve`` or ``failure``; `Pending` has an ``add_…`` for each."""
        self._events.append((kind, *details))
        if len(self._events) > EVENT_LIMIT:
            self._events.popleft()
            self._lost += 1
        if not self._running:
            self._attend()

    def _attend(self) -> None:
        if not self._running:
            self._start()
        while len(self._raw) > self.limit:
            self._raw.popleft()
            self._overflown += 1

    def _start(self) -> None:
        from kpl_helper import _lifecycle

        self._running = True
        _lifecycle.watch_process()
        thread = threading.Thread(target=self._run, name="kpl-helper", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread can be had (limits, or the interpreter ends): the flush at exit sends.
            return
        self._thread = thread

    # Waiting for it.

    def nudge(self) -> None:
        """Send what is there now, without waiting for it."""
        self._wake.put(None)

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until everything is sent.

        Parameters
        ----------
        seconds
            Longest wait; `patience` by default.

        Returns
        -------
        bool
            Whether everything was delivered. What was not is said in the log, and kept.
        """
        if not self._running:
            return True
        waiter = _Waiter(self.patience if seconds is None else seconds)
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._wake.put(waiter)
        else:
            self._send_until(waiter)
        delivered = waiter.wait()
        if not delivered:
            logger.warning(
                "[kpl-helper]: the platform at %s did not answer in time; %d points and other metrics were not delivered",
                self._config.api,
                self._pending.count
                + len(self._raw)
                + (self._inflight.points if self._inflight else 0),
            )
        return delivered

    def _send_until(self, waiter: _Waiter) -> None:
        self._waiters.append(waiter)
        while self._waiters:
            self._cycle()
            if self._waiters:
                time.sleep(self._pause())

    # The thread.

    def _run(self) -> None:
        while True:
            self._listen(self._pause())
            self._cycle()

    def _listen(self, seconds: float) -> None:
        try:
            item = self._wake.get(timeout=seconds)
            while True:
                if item is not None:
                    self._waiters.append(item)
                item = self._wake.get_nowait()
        except queue.Empty:
            return

    def _pause(self) -> float:
        now = time.monotonic()
        self._waiters = [waiter for waiter in self._waiters if waiter.deadline > now]
        if not self._failed_attempts:
            return INTERVAL
        longest = LONGEST_PAUSE_IN_FLUSH if self._waiters else LONGEST_PAUSE
        pause = min(0.1 * 2.0 ** min(self._failed_attempts, 12), longest)
        # The clock's last digits spread the attempts of many processes.
        return pause * (1.0 - 0.25 * (now * 1000.0 % 1.0))

    def _cycle(self) -> None:
        self._take_over()
        if self._send_all():
            self._failed_attempts = 0
            for waiter in self._waiters:
                waiter.release()
            self._waiters = []
        else:
            self._failed_attempts += 1
        self._tell_losses()

    def _take_over(self) -> None:
        pending = self._pending
        for _ in range(len(self._events)):
            kind, *details = self._events.popleft()
            getattr(pending, f"add_{kind}")(*details)
        try:
            for _ in range(len(self._raw)):
                pending.add_point(*self._raw.popleft())
        except IndexError:
            # The loop dropped from the same end, because the buffer is full.
            pass
        progress = self._progress
        if progress != self._progress_taken and progress is not None:
            self._progress_taken = progress
            pending.set_progress(progress)
        pending.keep_within_limit()

    def _send_all(self) -> bool:
        while True:
            if self._inflight is None:
                self._inflight = self._pending.next_batch(self._config.task_id)
            if self._inflight is None:
                return True
            if not self._offer(self._inflight):
                return False
            self._inflight = None
            self._take_over()

    def _offer(self, batch: Batch) -> bool:
        """Return whether the batch is done with: taken, or refused for good."""
        from kpl_helper._http import PASSING_STATUSES, Connection

        try:
            if self._connection is None:
                self._connection = Connection(self._config, REQUEST_TIMEOUT)
            self._connection.post_json(ROUTE, batch.body)
        except PlatformUnreachableError as error:
            self._say_once(error)
            return False
        except PlatformRefusedError as error:
            if error.status in PASSING_STATUSES:
                self._say_once(error)
                return False
            batch.attempts += 1
            if error.status < 400 and batch.attempts < REFUSALS:
                return False
            self._lost += batch.points
            logger.error(
                "[kpl-helper]: %d points and other metrics dropped: %s", batch.points, error
            )
        except NotOnPlatformError as error:
            self._lost += batch.points
            logger.error("[kpl-helper]: metrics cannot be sent: %s", error)
        return True

    def _say_once(self, error: Exception) -> None:
        if self._failed_attempts == 3:
            logger.warning("[kpl-helper]: metrics are kept and sent later: %s", error)

    def _tell_losses(self) -> None:
        gone = self._overflown + self._pending.thinned
        told, when = self._told
        if gone > told and time.monotonic() - when > 60.0:
            self._told = (gone, time.monotonic())
            logger.warning(
                "[kpl-helper]: the platform does not keep up or does not answer; "
                "%d older points were thinned out so far (KPL_HELPER_BUFFER_POINTS is %d)",
                gone,
                self.limit,
            )


_sender: Sender | None = None


def current_sender() -> Sender | None:
    """Return the sender if something has already been noted in this process."""
    return _sender


def get_sender() -> Sender | None:
    """Return this process's sender; ``None`` where there is no task to send for."""
    global _sender
    if _sender is None and get_config().has_task:
        _sender = Sender(get_config())
    return _sender


def flush(timeout: float = 10.0) -> bool:
    """Wait until metrics, progress and results have reached the platform.

    Parameters
    ----------
    timeout
        Longest wait, seconds.

    Returns
    -------
    bool
        Whether nothing is left; ``True`` outside the platform.
    """
    return _sender is None or _sender.flush(timeout)
