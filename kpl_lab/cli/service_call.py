"""``kpl service call``: one request to a deployed service, through the front door."""

from __future__ import annotations

import base64
import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import httpx

from kpl_lab.cli.progress import waiting
from kpl_lab.cli.session import (
    EXIT_FAILED,
    EXIT_NOT_ALLOWED,
    Session,
    common_options,
    pass_session,
)
from kpl_lab.cli.values import Parsed
from kpl_lab.client.transport import Request
from kpl_lab.schemas.services import ServiceDetail

DEFAULT_FIELD = "file"
_AWAY = (502, 503, 504)


def parse_file(text: str) -> tuple[str, Path]:
    """Read ``PATH`` or ``FIELD=PATH``; a file whose own name has an equals sign is found too."""
    field, equals, rest = text.partition("=")
    path = Path(text)
    if equals and not path.is_file():
        path = Path(rest)
    else:
        field = DEFAULT_FIELD
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}; check the path.")
    return field, path


def parse_data(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Read JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{text!r} is not JSON: {error}.") from error


FILE = Parsed("[FIELD=]PATH", parse_file)
DATA = Parsed("JSON", parse_data)


@click.command("call")
@click.argument("ref", metavar="NAME")
@click.option("--path", default="/predict", show_default=True, help="Path below the address.")
@click.option("--file", "files", multiple=True, type=FILE, help="Send as a form's file.")
@click.option("--data", type=DATA, help="Send as a JSON body.")
@click.option(
    "--method",
    type=click.Choice(["GET", "POST", "PUT", "DELETE"]),
    help="Default: POST with a body, else GET.",
)
@common_options
@pass_session
def call(
    session: Session,
    ref: str,
    path: str,
    files: tuple[tuple[str, Path], ...],
    data: Any,  # noqa: ANN401 - JSON is anything
    method: str | None,
) -> None:
    """Call a service and print its answer; fails where the status is 400 or more."""
    if files and data is not None:
        raise click.UsageError("Send either --file or --data, not both.")
    with ExitStack() as opened, waiting(session, f"Calling {ref}"):
        request = Request(
            method or ("POST" if files or data is not None else "GET"),
            path,
            content=None if data is None else json.dumps(data).encode(),
            headers={"Content-Type": "application/json"} if data is not None else {},
            files={
                field: (file.name, opened.enter_context(file.open("rb"))) for field, file in files
            }
            or None,
        )
        answer = session.client.services.call(ref, request)
    _print(session, answer)
    _exit(session, ref, answer)


def _print(session: Session, answer: httpx.Response) -> None:
    body = body_of(answer)
    if session.json:
        headers = dict(answer.headers)
        session.show_json({"status": answer.status_code, "headers": headers, "body": body})
        return
    if isinstance(body, str):
        click.echo(body if _is_text(answer) else answer.content)
    else:
        click.echo(json.dumps(body, ensure_ascii=False, indent=2))


def _is_text(answer: httpx.Response) -> bool:
    try:
        answer.content.decode(answer.encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def body_of(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the body as JSON where it is, else as text, else in base64."""
    try:
        return json.loads(answer.content)
    except (json.JSONDecodeError, UnicodeDecodeError):
        pass
    return answer.text if _is_text(answer) else base64.b64encode(answer.content).decode()


def _exit(session: Session, ref: str, answer: httpx.Response) -> None:
    status, code = answer.status_code, EXIT_FAILED
    if status < 400:
        return
    if status in _AWAY:
        words = _why_away(session.client.services.get(ref))
    elif status in (401, 403):
        words, code = "you may not call it; ask its owner", EXIT_NOT_ALLOWED
    else:
        words = "the service refused; its answer says why"
    click.echo(f"kpl: {ref} answered {status}: {words}.", err=True)
    raise click.exceptions.Exit(code)


def _why_away(service: ServiceDetail) -> str:
    name = shlex.quote(service.name)
    if service.state == "stopped":
        return f"it is stopped; start it with `kpl service start {name}`"
    if service.state == "running":
        return f"its replicas do not answer; see `kpl service logs {name}`"
    return f"it is {service.state}; see `kpl service show {name}`"
