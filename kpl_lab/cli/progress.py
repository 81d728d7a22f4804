"""Progress on stderr: a bar on a terminal, changes of state line by line in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kpl_lab.cli.session import Interrupted, Session


def is_watched(session: Session) -> bool:
    """Tell whether a person looks at stderr."""
    return sys.stderr.isatty() and not session.json


@contextmanager
def transfer(session: Session, words: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """Show bytes on their way; yields what is to be called with the bytes done and in all."""
    if not is_watched(session):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(True))
    progress = Progress(
        *columns, TransferSpeedColumn(), console=Console(stderr=True), transient=True
    )
    with progress:
        bar = progress.add_task(words, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def changes(session: Session, words: str) -> Callable[[str], None]:
    """Return what is to be called with each state: a line on stderr whenever it is another one.

    For logs and scripts: on a terminal ``waiting`` shows it.
    """
    last: str | None = None

    def tell(state: str) -> None:
        nonlocal last
        if state != last and not is_watched(session):
            session.say(f"{words}: {state}")
        last = state

    return tell


@contextmanager
def waiting(session: Session, words: str) -> Iterator[Callable[[str], None]]:
    """Show what is waited for; yields what is to be called with further words."""
    if not is_watched(session):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(words)) as status:
        yield lambda more: status.update(Text(f"{words}: {more}" if more else words))


@contextmanager
def left_alone(words: str) -> Iterator[None]:
    """Say what goes on when Ctrl-C ends the wait for it.

    Raises
    ------
    Interrupted
        With ``words``, the sentence.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(words) from None
