"""Ledgers of what is promised: of everything, of each resource pool, and of each user's quota in it.

Whatever runs is promised from up to three of them. The narrowest that lacks something gives the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kpl_lab.errors import QuotaExceeded
from kpl_lab.platform.domain.faults import BY_CODE, Explanation, explain_fault
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.pools import Quota

KINDS = {"cpu": "CPU cores", "memory": "MiB of memory", "gpu": "GPUs"}
_ONE = {"cpu": "CPU core", "memory": "MiB of memory", "gpu": "GPU"}
# Who is kept waiting: the pool (empty: every), the user (empty: everybody), and of which kind.
Held = frozenset[tuple[str, str, str]]


@dataclass(frozen=True)
class Amounts:
    """Cores, MiB and whole GPUs."""

    cpu: float = 0.0
    memory: float = 0.0
    gpu: float = 0.0

    @classmethod
    def of(cls, resources: Resources, count: int = 1) -> Amounts:
        """Return what ``count`` workloads of these ceilings hold."""
        return cls(resources.cpu * count, resources.memory * count, resources.gpu * count)

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.cpu + other.cpu, self.memory + other.memory, self.gpu + other.gpu)

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(self.cpu - other.cpu, self.memory - other.memory, self.gpu - other.gpu)

    @classmethod
    def most(cls, quota: Quota) -> Amounts:
        """Return a quota as amounts; endless where it has no limit."""
        kinds = (quota.cpu, quota.memory, quota.gpu)
        return cls(*(math.inf if most is None else float(most) for most in kinds))

    def within(self, most: Amounts) -> Amounts:
        """Return the lesser of each kind."""
        return Amounts(*(min(getattr(self, kind), getattr(most, kind)) for kind in KINDS))

    def lacks(self, wanted: Amounts) -> list[str]:
        """Return the kinds of which ``wanted`` needs more than this."""
        tolerance = 1e-6  # sums of fractions of cores
        # Below nothing is what has become smaller than its promises: who wants none lacks none.
        return [k for k in KINDS if getattr(wanted, k) > max(getattr(self, k), 0.0) + tolerance]


ENDLESS = Amounts(math.inf, math.inf, math.inf)


@dataclass(frozen=True)
class Ledger:
    """What may be promised and what is; of everything, of a pool, or of one user's quota in it.

    Attributes
    ----------
    limit
        What there is now.
    allowed
        What the administrator allows; endless where nothing says so.
    place
        Where, as a sentence goes on after an amount; empty: in all.
    is_own
        Whether it is one user's: who waits for it keeps nobody else waiting.
    is_gone
        Whether it is of a pool that is no longer in the administrator's file.
    """

    limit: Amounts
    used: Amounts = Amounts()
    allowed: Amounts = ENDLESS
    place: str = ""
    is_own: bool = False
    is_gone: bool = False

    @property
    def free(self) -> Amounts:
        """What is left to promise."""
        return self.limit - self.used

    def with_use(self, more: Amounts) -> Ledger:
        """Return the ledger with a further promise."""
        return replace(self, used=self.used + more)


@dataclass(frozen=True)
class Shortage:
    """Of which kinds there is not enough, and in which ledger.

    Attributes
    ----------
    bound
        What was compared with.
    held
        Who may take nothing of which kinds meanwhile.
    """

    kinds: list[str]
    ledger: Ledger
    wanted: Amounts
    bound: Amounts
    held: Held = frozenset()

    @property
    def text(self) -> str:
        """What is waited for, as a sentence's end."""
        return _words(self.kinds, self.wanted, self.ledger)


@dataclass(frozen=True)
class Books:
    """All ledgers.

    Attributes
    ----------
    shares
        What each user may hold at a time, by pool; pools without quotas are left out.
    varies
        Whether there may be more again later: what waits for it is not given up.
    grows
        Whether more is brought for what asks for it.
    """

    whole: Ledger
    pools: Mapping[str, Ledger]
    quotas: Mapping[tuple[str, str], Ledger]
    shares: Mapping[str, Amounts]
    varies: bool = False
    grows: bool = False

    def ledgers(self, pool: str, owner: str) -> list[Ledger]:
        """Return what something of a user in a pool is promised from, the narrowest first.

        A pool that is gone has nothing; where there are no pools at all, none is asked for.
        """
        if not pool or not self.pools:
            return [self.whole]
        found = [self.pools.get(pool) or _gone(pool), self.whole]
        if pool in self.shares:
            found.insert(0, self._quota(pool, owner))
        return found

    def _quota(self, pool: str, owner: str) -> Ledger:
        place, most = f" of your quota in the pool {pool}", self.shares[pool]
        known = self.quotas.get((pool, owner))
        return known or Ledger(most, allowed=most, place=place, is_own=True)

    def quota(self, pool: str, owner: str) -> Ledger | None:
        """Return a user's quota in a pool; None: it has none."""
        return self._quota(pool, owner) if pool in self.shares else None

    def shortage(self, pool: str, owner: str, wanted: Amounts) -> Shortage | None:
        """Return what is lacking for something; None: there is room."""
        asked = [(one, one.free.lacks(wanted)) for one in self.ledgers(pool, owner)]
        lacking = [(ledger, kinds) for ledger, kinds in asked if kinds]
        if not lacking:
            return None
        first, kinds = lacking[0]
        # Who waits for their own quota keeps themselves waiting; everybody else, who comes later.
        whom = owner if first.is_own else ""
        held = {(pool if one.place else "", whom, kind) for one, of in lacking for kind in of}
        return Shortage(kinds, first, wanted, first.free, frozenset(held))

    def behind(self, pool: str, owner: str, wanted: Amounts, kinds: list[str]) -> Shortage:
        """Return what something waits for that others wait for longer, of these kinds."""

        def free(ledger: Ledger) -> float:
            left: float = getattr(ledger.free, kinds[0])
            return left

        ledger = min(self.ledgers(pool, owner), key=free)
        return Shortage(kinds, ledger, wanted, ledger.free)

    def never(
        self, pool: str, owner: str, wanted: Amounts, *, is_queued: bool = False
    ) -> Shortage | None:
        """Return what there is too little of even when nothing else runs; None: it fits.

        Parameters
        ----------
        is_queued
            It waits already: that machines are away for a while does not end it.
        """
        by_rule = self.varies if is_queued else self.grows
        for ledger in self.ledgers(pool, owner):
            bound = ledger.allowed if by_rule else ledger.limit
            kinds = bound.lacks(wanted)
            if kinds:
                return Shortage(kinds, ledger, wanted, bound)
        return None

    def with_use(self, pool: str, owner: str, more: Amounts) -> Books:
        """Return the books with a further promise."""
        return self.with_all({(pool, owner): more})

    def with_all(self, used: Mapping[tuple[str, str], Amounts]) -> Books:
        """Return the books with further promises, by pool and user."""
        whole, pools, quotas = self.whole, dict(self.pools), dict(self.quotas)
        for (pool, owner), amounts in used.items():
            whole = whole.with_use(amounts)
            if pool in pools:
                pools[pool] = pools[pool].with_use(amounts)
            if pool in self.shares:
                known = quotas.get((pool, owner)) or self._quota(pool, owner)
                quotas[pool, owner] = known.with_use(amounts)
        return replace(self, whole=whole, pools=pools, quotas=quotas)


def _gone(pool: str) -> Ledger:
    place = f" in the pool {pool}"
    return Ledger(Amounts(), allowed=Amounts(), place=place, is_gone=True)


class Blocked:
    """What others wait for: later ones may not take of these kinds.

    What is lacking in all is lacking in every pool.
    """

    def __init__(self) -> None:
        self._held: set[tuple[str, str, str]] = set()

    def add(self, shortage: Shortage) -> None:
        """Take up what somebody waits for."""
        self._held |= shortage.held

    def of(self, pool: str, owner: str, wanted: Amounts) -> list[str]:
        """Return the kinds of which something wants a part and may not take it."""
        ways = [(place, whom) for place in {pool, ""} for whom in ("", owner)]
        return [
            kind
            for kind in KINDS
            if getattr(wanted, kind) > 0 and any((*way, kind) in self._held for way in ways)
        ]


def require_possible(found: Books, pool: str, owner: str, wanted: Amounts) -> None:
    """Refuse at once what can never fit.

    Raises
    ------
    QuotaExceeded
        Names the resource, what was asked for and what there is in all, in the pool or in the quota.
    """
    never = found.never(pool, owner, wanted)
    if never is None:
        return
    kind = never.kinds[0]
    asked, there = getattr(wanted, kind), getattr(never.bound, kind)
    what, most = _amount(kind, asked), _plain(there)
    detail = {"resource": kind, "asked": asked, "limit": there, "pool": pool}
    if never.ledger.is_own:
        raise QuotaExceeded(
            f"This asks for {what}; your quota in the pool {pool} is {most}, so it could never "
            "start. Ask for less, or have an administrator raise the quota.",
            code="never_fits",
            detail=detail,
        )
    if never.ledger.place:
        raise QuotaExceeded(
            f"This asks for {what}; the pool {pool} has {most}, so it could never start. "
            "Ask for less, or choose another pool.",
            code="never_fits",
            detail=detail,
        )
    raise QuotaExceeded(
        f"This asks for {what}; this installation has {most}, so it could never start. "
        "Ask for less, or use a larger machine.",
        code="never_fits",
        detail=detail,
    )


def explain_impossible(never: Shortage, pool: str) -> Explanation:
    """Return why something that was admitted once to a pool, or none, can never start by now."""
    asked, there = (
        " and ".join(_amount(kind, getattr(amounts, kind)) for kind in never.kinds)
        for amounts in (never.wanted, never.bound)
    )
    code = "pool_never_fits" if never.ledger.place else "never_fits"
    if never.ledger.is_gone:
        code = "pool_gone"
    return explain_fault(BY_CODE[code], {"asked": asked, "there": there, "pool": pool})


def _plain(amount: float) -> str:
    """Return a number without exponent and without zeros that say nothing."""
    return f"{amount:.2f}".rstrip("0").rstrip(".")


def _amount(kind: str, amount: float) -> str:
    return f"{_plain(amount)} {(_ONE if amount == 1 else KINDS)[kind]}"


def _words(lacking: list[str], wanted: Amounts, ledger: Ledger) -> str:
    """Return what something waits for, as a sentence's end."""
    parts = [
        f"{_amount(kind, getattr(wanted, kind))} "
        f"({_plain(max(getattr(ledger.free, kind), 0))} free)"
        for kind in lacking
    ]
    return "waiting for " + " and ".join(parts) + ledger.place
