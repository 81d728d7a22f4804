"""The ends of a process: normal exit, SIGTERM, fork, and children of `multiprocessing`."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading

from kpl_helper import _sender

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

_hooked = False


def watch_process() -> None:
    """See to it that this process flushes when it ends; called when its first value is noted."""
    global _hooked
    if not _hooked:
        _hooked = True
        atexit.register(_flush)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_parent)
    _flush_with_multiprocessing()
    _flush_on_sigterm()


def _flush() -> None:
    sender = _sender.current_sender()
    if sender is not None:
        sender.flush()


def _flush_on_sigterm() -> None:
    """Flush before the default action, unless somebody handles or ignores the signal already.

    A handler of the algorithm's own is never wrapped: it ends in a normal exit, which flushes.
    """
    if os.environ.get("KPL_HELPER_SIGTERM") == "0":
        return
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(signum: int, frame: FrameType | None) -> None:
    _flush()
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        # Not called on by a handler that replaced it: end as the default action would.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _forget_parent() -> None:
    """In a forked child: what the parent noted is the parent's to send, and its threads are not here."""
    sender = _sender.current_sender()
    if sender is not None:
        sender.start_afresh()
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _flush_with_multiprocessing() -> None:
    """Children of `multiprocessing` end without atexit; they run its own finalizers instead.

    A child that is handed a figure unpickles it before it has become one, and then drops the finalizers
    that are there; hence the second registration, which runs right after that.
    """
    process: Any = sys.modules.get("multiprocessing.process")
    if process is None or "multiprocessing.util" not in sys.modules:
        return
    from multiprocessing.util import register_after_fork

    register_after_fork(_flush, _finalize)
    if process.parent_process() is not None:
        _finalize(_flush)


def _finalize(flush: Callable[[], None]) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, flush, exitpriority=100)
