"""Logs on stdout, and the progress of builds on stderr."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from kpl_lab.cli.session import Session
from kpl_lab.client.events import LogChunk
from kpl_lab.schemas.tasks import LogPage

# What the builders say of themselves: which step, how it ended; the rest is what the steps print.
_STEP = re.compile(r"(Step \d+/\d+ : .*|#\d+ (?!ERROR|DONE|CACHED).*|\[kpl\] \d+/\d+: .*)")
_ENDED = re.compile(
    r"(#\d+ (DONE|CACHED)| ---> .*|Successfully .*|\[kpl\] (?!the build has failed).*)"
)
_FAILED = re.compile(r"(#\d+ ERROR.*|\[kpl\] the build has failed.*|ERROR: .*)")


def show_log(session: Session, pages: Iterable[LogPage | LogChunk]) -> None:
    """Print a log as it is; as JSON the whole of it, with where it ends."""
    if not session.json:
        for page in pages:
            click.echo(page.text, nl=False)
        return
    last, text = None, []
    for page in pages:
        last = page
        text.append(page.text)
    end = {"next_offset": last.next_offset, "complete": last.complete} if last else {}
    session.show_json({"text": "".join(text), "offset": 0, **end})


def show_build_log(session: Session, pages: Iterable[LogPage | LogChunk]) -> None:
    """Print a build's log on stderr, its steps in colour; nothing where JSON was asked for."""
    rest = ""
    for page in pages:
        if session.json:
            continue
        *lines, rest = (rest + page.text).split("\n")
        for line in lines:
            click.echo(styled(line), err=True)
    if rest and not session.json:
        click.echo(styled(rest), err=True)


def styled(line: str) -> str:
    """Return a line of a build's log with what the builder itself says in colour."""
    if _FAILED.fullmatch(line):
        return click.style(line, fg="red", bold=True)
    if _STEP.fullmatch(line):
        return click.style(line, fg="cyan", bold=True)
    return click.style(line, dim=True) if _ENDED.fullmatch(line) else line
