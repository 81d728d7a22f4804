"""Whose a bucket is: that of one installation, and of the one database that knows what lies there.

A random word in the bucket and in the database ties them together. An empty or a much older database
would take everything for orphans.
"""

from __future__ import annotations

import secrets

from kpl_lab.errors import Conflict
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.remote import Owner, Remote

MARK = "bucket"


def claim(database: Database, remote: Remote, instance: str) -> None:
    """Note whose bucket this is, where nobody's name is there; repeatable.

    Raises
    ------
    Conflict
        It is another installation's, or was filled with another database.
    """
    found, word = _compared(database, remote, instance)
    if found is not None and found.word:
        return
    if word is None:
        word = secrets.token_hex(8)
        with database.store() as store:  # first: a crash in between leaves a bucket to be claimed
            store.marks.set(MARK, word)
    remote.own(Owner(instance, word))


def check(database: Database, remote: Remote, instance: str) -> None:
    """Refuse a bucket that is not ours, and change nothing.

    Raises
    ------
    Conflict
        As :func:`claim`.
    """
    _compared(database, remote, instance)


def _compared(database: Database, remote: Remote, instance: str) -> tuple[Owner | None, str | None]:
    found = remote.owner()
    if found is not None and found.instance != instance:
        raise Conflict(
            f"{remote.bucket.url} holds the files of the installation {found.instance}, and this one "
            f"is {instance}. Name another prefix in KPL_STORAGE_URL; to go on as {found.instance} "
            "with a fresh KPL_HOME and its database, set KPL_INSTANCE.",
            code="storage_of_another",
        )
    with database.store(reads_only=True) as store:
        word = store.marks.get(MARK)
    if found is not None and found.word and found.word != word:
        raise Conflict(
            f"{remote.bucket.url} was filled with another database than this one, which is new or "
            "too old to know what lies there. Restore the newest backup of the database. To go on "
            "with this one and give up what it does not know, remove the object kpl-lab.json from the "
            "bucket and run `kpl-lab up` again.",
            code="storage_of_another_database",
        )
    return found, word
