"""``kpl dataset``: create, list, show, download, mount, unmount, delete."""

from __future__ import annotations

from pathlib import Path
from typing import cast

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
from kpl_lab.cli.output import Column, age_text, bytes_text, percent_text, state_text
from kpl_lab.cli.progress import transfer, waiting
from kpl_lab.cli.server import find_server
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.cli.values import NEW_NAME, REFERENCE
from kpl_lab.client.datasets import PURPOSES
from kpl_lab.errors import NotFound
from kpl_lab.naming import split_reference
from kpl_lab.schemas.datasets import DatasetDetail, DatasetFormat, DatasetVersionView

LIST = (
    Column("NAME", "name"),
    Column("STATE", text=state_text),
    Column("VERSION", "version"),
    Column("RECORDS", "records"),
    Column("SIZE", "bytes", bytes_text),
    Column("CREATED", "created_at", age_text),
)
SHOW = (
    *LIST[:1],
    Column("ID", "id"),
    *LIST[1:],
    Column("PROGRESS", "progress", percent_text),
    Column("FORMAT", "format"),
    Column("PURPOSE", "purpose"),
    Column("OWNER", "owner"),
    Column("VISIBLE", "visibility"),
    Column("ABOUT", "description"),
    Column("FIELDS", text=lambda d: _fields_text(d)),
    Column("CLASSES", text=lambda d: _classes_text(d)),
    Column("LEFT OUT", text=lambda d: _skipped_text(d)),
    Column("WHY", "message"),
)
SHOW_MOUNT = (
    Column("DATASET", "dataset"),
    Column("VERSION", "version"),
    Column("PATH", "path"),
    Column("STATE", "state"),
)


def _newest(detail: DatasetDetail) -> DatasetVersionView | None:
    return max(detail.versions, key=lambda version: version.number, default=None)


def _fields_text(detail: DatasetDetail) -> str:
    newest = _newest(detail)
    return ", ".join(f"{f.name}: {f.type}" for f in newest.fields) if newest else "-"


def _classes_text(detail: DatasetDetail) -> str:
    newest = _newest(detail)
    counts = [f"{c.class_name} {c.count}" for c in newest.classes] if newest else []
    return ", ".join(counts) or "-"


def _skipped_text(detail: DatasetDetail) -> str:
    newest = _newest(detail)
    return "; ".join(newest.skipped) if newest and newest.skipped else "-"


@click.group("dataset")
def dataset() -> None:
    """Data for algorithms: versioned, immutable, mounted read-only."""


@dataset.command("create")
@click.argument("name", type=NEW_NAME)
@source_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["auto", "kpl", "files", "image-folder"]),
    default="auto",
    show_default=True,
    help="What lies in PATH; auto looks.",
)
@click.option(
    "--purpose",
    type=click.Choice(PURPOSES),
    default=PURPOSES[0],
    show_default=True,
    help="What its records are for.",
)
@no_wait_option
@common_options
@pass_session
def create(
    session: Session, /, name: str, source: Path, format_: str, purpose: str, no_wait: bool
) -> None:
    """Make a dataset of a folder, archive or file; a name of yours gets its next version."""
    datasets = session.client.datasets
    with transfer(session, f"Sending {source.name}") as on_progress:
        detail = datasets.create(
            name,
            source,
            format=cast("DatasetFormat", format_),
            purpose=purpose,
            wait=False,
            on_progress=on_progress,
        )
    if not no_wait:
        with waiting(session, f"Preparing {name}") as say:
            detail = datasets.wait_ready(
                detail, on_look=lambda found: say(percent_text(found.progress))
            )
    session.show(detail, SHOW)


@dataset.command("list")
@list_options
@common_options
@pass_session
def list_(session: Session, limit: int, search: str | None) -> None:
    """List datasets, newest first."""
    items = session.client.datasets.list(limit=limit, search=search)
    session.show_list(items, LIST, "No datasets yet; make one with `kpl dataset create`.")


@dataset.command("show")
@click.argument("ref", metavar="NAME")
@common_options
@pass_session
def show(session: Session, ref: str) -> None:
    """Show one dataset: records, bytes, version, fields, classes."""
    session.show(session.client.datasets.get(ref), SHOW)


@dataset.command("download")
@click.argument("ref", metavar="NAME[:VERSION]", type=REFERENCE)
@download_options
@common_options
@pass_session
def download_(session: Session, ref: str, target: Path | None) -> None:
    """Download a dataset in the KPL format into a new folder."""
    download(session, session.client.datasets, ref, target)


@dataset.command("mount")
@click.argument("ref", metavar="NAME[:VERSION]", type=REFERENCE)
@click.option("--server", help="Name of the notebook server; default: this one, or the only one.")
@no_wait_option
@common_options
@pass_session
def mount(session: Session, ref: str, server: str | None, no_wait: bool) -> None:
    """Show a dataset in a running notebook server, read-only, under datasets/."""
    found = find_server(session, server)
    name, version = split_reference(ref)
    with waiting(session, f"Mounting {ref}"):
        mounted = session.client.servers.mount(found.id, name, version, wait=not no_wait)
    session.show(mounted, SHOW_MOUNT)
    if mounted.state == "mounted" and not mounted.enforced:
        session.say("Read-only holds by file mode alone here: the engine runs without privileges.")
    if mounted.state == "mounted" and mounted.message:
        session.say(mounted.message)


@dataset.command("unmount")
@click.argument("ref", metavar="NAME")
@click.option("--server", help="Name of the notebook server; default: this one, or the only one.")
@no_wait_option
@common_options
@pass_session
def unmount(session: Session, ref: str, server: str | None, no_wait: bool) -> None:
    """Take a dataset out of a running notebook server."""
    found = find_server(session, server)
    name, version = split_reference(ref)
    servers = session.client.servers
    mounts = [
        m
        for m in servers.mounts(found.id)
        if name in (m.dataset, str(m.dataset_id)) and version in (None, m.version)
    ]
    if not mounts:
        raise NotFound(
            f"{ref!r} is not mounted in this server; `kpl server list` shows what is.",
            code="not_mounted",
        )
    for one in mounts:
        servers.unmount(found.id, one.id, wait=not no_wait)
    gone = mounts[0].model_dump(mode="json")
    session.show({**gone, "state": "unmounting" if no_wait else "unmounted"}, SHOW_MOUNT)


@dataset.command("delete")
@click.argument("ref", metavar="NAME")
@delete_options
@common_options
@pass_session
def delete(session: Session, ref: str, no_wait: bool, yes: bool) -> None:
    """Delete a dataset with all its versions."""
    delete_thing(session, session.client.datasets, ref, wait=not no_wait, sure=yes)
