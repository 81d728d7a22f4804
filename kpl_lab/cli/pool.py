"""``kpl pool``: what there is to run on."""

from __future__ import annotations

import math

import click

from kpl_lab.cli.output import Column
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.schemas.pools import Amount, PoolView


def _free(amount: Amount) -> str:
    """Return what is free of what there is; a dash where there is none."""
    if amount.limit == 0:
        return "-"
    return f"{max(amount.limit - amount.used, 0):g} of {amount.limit:g}"


def _gib(amount: Amount) -> Amount:
    parts = (math.floor(10 * part / 1024) / 10 for part in (amount.limit, amount.used))
    return Amount(**dict(zip(("limit", "used"), parts, strict=True)))


def _quota(quota: dict[str, Amount]) -> str:
    """Return what is left of one's own quota."""
    words = {"cpu": "CPU", "memory": "GiB", "gpu": "GPU"}
    shown = {kind: _gib(one) if kind == "memory" else one for kind, one in quota.items()}
    return ", ".join(f"{_free(one)} {words[kind]}" for kind, one in shown.items()) or "-"


LIST = (
    Column("NAME", "name"),
    Column("TITLE", "title"),
    Column("DEDICATED", "dedicated", lambda value: "yes" if value else "no"),
    Column("FREE CPU", "cpu", _free),
    Column("FREE GIB", "memory", lambda value: _free(_gib(value))),
    Column("FREE GPU", "gpu", _free),
    Column("LEFT OF YOUR QUOTA", "quota", _quota),
)


@click.group("pool")
def pool() -> None:
    """Resource pools."""


@pool.command("list")
@common_options
@pass_session
def list_(session: Session) -> None:
    """List the pools that you may use; the first is yours where you name none."""
    pools: list[PoolView] = session.client.capacity().pools
    nothing = "This installation has no resource pools: everything shares all that there is."
    session.show_list(pools, LIST, nothing)
