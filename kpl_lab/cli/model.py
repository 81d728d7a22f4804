"""``kpl model``: list, show, create, download, delete."""

from __future__ import annotations

from pathlib import Path

import click

from kpl_lab.cli.options import (
    delete_options,
    delete_thing,
    download,
    download_options,
    list_options,
    no_wait_option,
    source_option,
)
from kpl_lab.cli.output import Column, age_text, bytes_text, state_text
from kpl_lab.cli.progress import transfer, waiting
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.cli.values import NEW_NAME, REFERENCE
from kpl_lab.schemas.models import ModelDetail, ModelVersionView

LIST = (
    Column("NAME", "name"),
    Column("STATE", text=state_text),
    Column("VERSION", "version"),
    Column("SIZE", "bytes", bytes_text),
    Column("CREATED", "created_at", age_text),
)


def _newest(detail: ModelDetail) -> ModelVersionView | None:
    return max(detail.versions, key=lambda version: version.number, default=None)


def _files_text(detail: ModelDetail) -> str:
    newest = _newest(detail)
    names = [f"{f.path} ({bytes_text(f.bytes)})" for f in newest.files[:20]] if newest else []
    return ", ".join(names) or "-"


def _metrics_text(detail: ModelDetail) -> str:
    newest = _newest(detail)
    return ", ".join(f"{k} {v}" for k, v in newest.metrics.items()) if newest else "-"


def _lineage_text(detail: ModelDetail) -> str:
    newest = _newest(detail)
    links = newest.lineage if newest else []
    words = [
        f"{link.relation.replace('_', ' ')} {link.kind} {link.name}"
        + (f":{link.version}" if link.version else "")
        for link in links
    ]
    return ", ".join(words) or "-"


SHOW = (
    *LIST[:1],
    Column("ID", "id"),
    *LIST[1:],
    Column("OWNER", "owner"),
    Column("VISIBLE", "visibility"),
    Column("ABOUT", "description"),
    Column("METRICS", text=_metrics_text),
    Column("LINEAGE", text=_lineage_text),
    Column("FILES", text=_files_text),
    Column("WHY", "message"),
)


@click.group("model")
def model() -> None:
    """Trained models: numbered versions with files, metrics and lineage."""


@model.command("list")
@list_options
@common_options
@pass_session
def list_(session: Session, limit: int, search: str | None) -> None:
    """List models, newest first."""
    items = session.client.models.list(limit=limit, search=search)
    session.show_list(items, LIST, "No models yet; a successful training makes one.")


@model.command("show")
@click.argument("ref", metavar="NAME")
@common_options
@pass_session
def show(session: Session, ref: str) -> None:
    """Show one model: files, metrics, what it was made from."""
    session.show(session.client.models.get(ref), SHOW)


@model.command("create")
@click.argument("name", type=NEW_NAME)
@source_option
@click.option("--description", default="", help="What it is.")
@no_wait_option
@common_options
@pass_session
def create(session: Session, name: str, source: Path, description: str, no_wait: bool) -> None:
    """Make a model of a folder or file; a name of yours gets its next version."""
    models = session.client.models
    with transfer(session, f"Sending {source.name}") as on_progress:
        detail = models.create(
            name, source, description=description, wait=False, on_progress=on_progress
        )
    if not no_wait:
        with waiting(session, f"Preparing {name}"):
            detail = models.wait_ready(detail)
    session.show(detail, SHOW)


@model.command("download")
@click.argument("ref", metavar="NAME[:VERSION]", type=REFERENCE)
@download_options
@common_options
@pass_session
def download_(session: Session, ref: str, target: Path | None) -> None:
    """Download the files of a model into a new folder."""
    download(session, session.client.models, ref, target)


@model.command("delete")
@click.argument("ref", metavar="NAME")
@delete_options
@common_options
@pass_session
def delete(session: Session, ref: str, no_wait: bool, yes: bool) -> None:
    """Delete a model with all its versions."""
    delete_thing(session, session.client.models, ref, wait=not no_wait, sure=yes)
