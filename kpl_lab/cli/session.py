"""What every command of ``kpl`` needs: the client, and where words and results go."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from textwrap import indent
from typing import IO, Any, ParamSpec, TypeVar

import click
from pydantic import BaseModel

from kpl_lab.cli.output import Column, fields_text, json_text, table_text
from kpl_lab.client import Client, connect
from kpl_lab.client.resources import EndedBadly
from kpl_lab.errors import Forbidden, KplError, NotFound, Unauthenticated, Unavailable

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item", bound=BaseModel)

EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_NOT_FOUND, EXIT_NOT_ALLOWED = 1, 2, 3, 4, 5
EXIT_INTERRUPTED = 130


class Interrupted(click.ClickException):
    """Somebody pressed Ctrl-C while the platform was waited for; says what goes on without them."""

    exit_code = EXIT_INTERRUPTED

    def show(self, file: IO[str] | None = None) -> None:
        """Print the sentence as every other of ours."""
        click.echo(f"kpl: {self.message}", file=file, err=file is None)


@dataclass
class Session:
    """One call of ``kpl``.

    Attributes
    ----------
    url, token
        What ``--url`` and ``--token`` name.
    json
        Whether the result is one JSON object on stdout and nothing else.
    environment
        The variables that the client looks at.
    """

    url: str | None = None
    token: str | None = None
    json: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @cached_property
    def client(self) -> Client:
        """The client for the address and token that are found."""
        client = connect(self.url, self.token, environment=self.environment)
        client.uploads.on_notice = lambda notice: self.warn([notice])
        return client

    @property
    def username(self) -> str:
        """The caller."""
        return self.client.credentials.username or self.client.me().name

    def close(self) -> None:
        """Close the connections, if any were opened."""
        if "client" in self.__dict__:
            self.client.close()

    def say(self, text: str) -> None:
        """Tell a person something on stderr; machines that asked for JSON hear nothing."""
        if not self.json:
            click.echo(text, err=True)

    def warn(self, notices: Sequence[str]) -> None:
        """Tell what a person should know of something that was accepted all the same."""
        for notice in notices:
            self.say(f"Note: {notice}")

    def show(self, item: BaseModel | Mapping[str, Any], columns: Sequence[Column]) -> None:
        """Print one thing: as JSON, or its ``columns`` line by line."""
        if self.json:
            self.show_json(item)
        else:
            item = self.with_address(item) if isinstance(item, BaseModel) else item
            click.echo(fields_text(item, columns))

    def show_json(self, item: BaseModel | Mapping[str, Any]) -> None:
        """Print one thing as JSON."""
        click.echo(json_text(self.with_address(item) if isinstance(item, BaseModel) else item))

    def show_list(self, items: Sequence[BaseModel], columns: Sequence[Column], none: str) -> None:
        """Print several things as JSON or as a table; ``none`` says what an empty list means."""
        items = [self.with_address(item) for item in items]
        if self.json:
            click.echo(json_text({"items": items}))
        elif items:
            click.echo(table_text(items, columns))
        else:
            self.say(none)

    def with_address(self, item: Item) -> Item:
        """Return ``item`` with a ``url`` that can be opened: the API tells the path alone."""
        path = getattr(item, "url", None)
        if not isinstance(path, str) or not path.startswith("/"):
            return item
        return item.model_copy(update={"url": self.client.credentials.url + path})


pass_session = click.make_pass_decorator(Session, ensure=True)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401 - click hands over what the option's type made
        if value:
            setattr(context.ensure_object(Session), name, value)

    return callback


def common_options(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command ``--json``, ``--url`` and ``--token``, and the session as first argument."""
    for option in (
        click.option(
            "--token",
            callback=_keep("token"),
            expose_value=False,
            metavar="TOKEN",
            help="Token to use in place of the one that is found.",
        ),
        click.option(
            "--url",
            callback=_keep("url"),
            expose_value=False,
            metavar="URL",
            help="Address of KPL Lab, e.g. http://127.0.0.1:8000.",
        ),
        click.option(
            "--json",
            is_flag=True,
            callback=_keep("json"),
            expose_value=False,
            help="Print one JSON object and nothing else.",
        ),
    ):
        function = option(function)
    return function


def exit_code_of(error: KplError) -> int:
    """Return the documented exit code for a failure."""
    if isinstance(error, Unavailable):
        return EXIT_UNREACHABLE
    if isinstance(error, NotFound):
        return EXIT_NOT_FOUND
    if isinstance(error, Unauthenticated | Forbidden):
        return EXIT_NOT_ALLOWED
    return EXIT_FAILED


def report(session: Session, error: KplError) -> int:
    """Say what went wrong on stderr, and return the exit code."""
    if isinstance(error, EndedBadly) and session.json:
        click.echo(json_text(session.with_address(error.resource)))
    click.echo(f"kpl: {error.message}", err=True)
    for field_ in error.detail.get("fields", ())[1:]:
        click.echo(f"  {field_.get('field')}: {field_.get('message')}", err=True)
    if error.detail.get("log"):
        click.echo(f"The end of its log:\n{indent(str(error.detail['log']), '  ')}", err=True)
    if error.detail.get("request_id") and error.code == "internal":
        click.echo(f"  (request {error.detail['request_id']} in the platform's log)", err=True)
    return exit_code_of(error)
