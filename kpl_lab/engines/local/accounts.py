"""Numeric accounts of workloads: who runs as which uid, kept in ``local/uids.json``.

There are no passwd entries: a number of a configured range is an account. Numbers are given out
in turn, from a place in the range that differs between installations, so that two installations on
one machine rarely share one and a freed number is not used again soon.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from kpl_lab.engines.local.options import LocalOptions, load_options
from kpl_lab.engines.running.trees import Account
from kpl_lab.errors import EngineError
from kpl_lab.settings import Settings

__all__ = ["PLATFORM", "Account", "Accounts", "accounts_of", "platform_account"]

PLATFORM = "platform"


class _Ledger(TypedDict):
    next: int
    uids: dict[str, int]


class Accounts:
    """The ledger of accounts.

    Parameters
    ----------
    path
        Its file.
    options
        Give the range.
    seed
        Decides where in the range the first number lies.
    """

    def __init__(self, path: Path, options: LocalOptions, *, seed: str) -> None:
        self._path = path
        self._first = options.uid_first
        self._count = options.uid_last - options.uid_first + 1
        self._seed = seed

    def get(self, identity: str) -> Account:
        """Return the account of ``identity``, giving it one the first time.

        Where we are not root there is one account: our own.

        Raises
        ------
        EngineError
            Every number of the range is in use.
        """
        if os.geteuid() != 0:
            return Account(os.geteuid(), os.getegid())
        with self._open() as ledger:
            if identity not in ledger["uids"]:
                ledger["uids"][identity] = self._pick(ledger)
            uid = ledger["uids"][identity]
        return Account(uid, uid)

    def free_all(self, identity: str) -> None:
        """Let go of the numbers of ``identity`` and of its replicas (``identity/0`` …)."""
        if os.geteuid() != 0:
            return
        with self._open() as ledger:
            for name in list(ledger["uids"]):
                if name == identity or name.startswith(identity + "/"):
                    del ledger["uids"][name]

    def _pick(self, ledger: _Ledger) -> int:
        taken = set(ledger["uids"].values())
        if len(taken) >= self._count:
            raise EngineError(
                f"All {self._count} accounts for workloads are in use; delete what has ended, or "
                "widen LocalOptions.uid_first and uid_last.",
                code="no_account",
            )
        offset = ledger["next"]
        while self._first + offset % self._count in taken:
            offset += 1
        ledger["next"] = (offset + 1) % self._count
        return self._first + offset % self._count

    @contextmanager
    def _open(self) -> Iterator[_Ledger]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ledger = self._read()
            before = json.dumps(ledger)
            yield ledger
            after = json.dumps(ledger)
            if after != before or not self._path.exists():
                fresh = self._path.with_suffix(".new")
                fresh.write_text(after)
                fresh.replace(self._path)

    def _read(self) -> _Ledger:
        try:
            found: _Ledger = json.loads(self._path.read_text())
        except FileNotFoundError:
            start = int(hashlib.sha256(self._seed.encode()).hexdigest(), 16) % self._count
            return {"next": start, "uids": {}}
        return found


def accounts_of(settings: Settings, options: LocalOptions | None = None) -> Accounts:
    """Return the ledger of an installation."""
    return Accounts(
        settings.home.local / "uids.json",
        options or load_options(settings.home),
        seed=settings.instance,
    )


def platform_account(settings: Settings) -> Account:
    """Return the account of the platform's own unprivileged processes (``kpl``).

    Our own where we are not root. For those who start these processes and own their folders.
    """
    return accounts_of(settings).get(PLATFORM)
