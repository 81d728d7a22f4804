"""Resource pools: who may use which, and what is left in them for somebody."""

from __future__ import annotations

import math

from kpl_lab.errors import Invalid
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain.ledgers import KINDS, Books, Ledger
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.schemas.pools import Amount, Pool, PoolView


def usable(context: Context, user: Reader) -> list[Pool]:
    """Return the pools that somebody may use, in the file's order; an administrator may use all.

    Those that are for an administrator like for anybody come first.
    """
    found = context.pools.pools
    own = [one for one in found if one.is_for(user.name, user.groups)]
    return [*own, *(one for one in found if user.sees_all and one not in own)]


def choose(context: Context, user: Reader, wanted: str | None) -> str:
    """Return the name of the pool that is meant; the user's first where none is named.

    Empty where the installation has no pools.

    Raises
    ------
    Invalid
        There is no such pool for the user, or none at all.
    """
    if not context.pools.pools:
        if not wanted:
            return ""
        raise Invalid(
            "This installation has no resource pools; leave the pool out.", code="no_pool"
        )
    names = [one.name for one in usable(context, user)]
    if not names:
        raise Invalid("You may use no resource pool. Ask an administrator for one.", code="no_pool")
    if wanted and wanted not in names:
        raise Invalid(
            f"There is no resource pool {wanted!r} for you; you may use {', '.join(names)}.",
            code="unknown_pool",
            detail={"pool": wanted, "pools": names},
        )
    return wanted or names[0]


def require_kept(context: Context, user: Reader, pool: str) -> None:
    """Refuse more of what runs in a pool that somebody may not use any longer.

    Raises
    ------
    Invalid
        It is gone, or is for others by now.
    """
    if not pool or not context.pools.pools:
        return
    if pool not in [one.name for one in usable(context, user)]:
        raise Invalid(
            f"You may not use the resource pool {pool!r} any longer; deploy to another one.",
            code="unknown_pool",
        )


def idle_gpu_minutes(context: Context, pool: str) -> float:
    """Return after how many minutes a server that does not use its GPUs is stopped; 0: never."""
    found = context.pools.named(pool) if pool else None
    own = found.idle_gpu_minutes if found is not None else None
    return context.options.idle_gpu_minutes if own is None else own


def views(context: Context, user: Reader, found: Books) -> list[PoolView]:
    """Return how the pools stand that somebody may use."""
    return [_view(one, found, user.name) for one in usable(context, user)]


def _view(pool: Pool, found: Books, user: str) -> PoolView:
    ledger, quota = found.pools[pool.name], found.quota(pool.name, user)
    return PoolView(
        name=pool.name,
        title=pool.title,
        description=pool.description,
        dedicated=bool(pool.users or pool.groups),
        **{kind: _amount(ledger, kind) for kind in KINDS},
        quota={} if quota is None else _limited(quota),
    )


def _amount(ledger: Ledger, kind: str) -> Amount:
    return Amount(limit=getattr(ledger.limit, kind), used=getattr(ledger.used, kind))


def _limited(quota: Ledger) -> dict[str, Amount]:
    """Return the kinds of which a quota has a limit."""
    return {k: _amount(quota, k) for k in KINDS if math.isfinite(getattr(quota.limit, k))}
