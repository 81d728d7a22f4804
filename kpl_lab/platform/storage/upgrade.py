"""Brings a database to the revision that this version needs; refuses one it does not know."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.errors import Conflict, StorageFull
from kpl_lab.platform.storage.database import open_engine

MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(engine: Engine) -> Config:
    """Return Alembic's configuration for our migrations on ``engine``; no file is needed."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = engine
    return config


def head() -> str:
    """Return the revision that this version's models have."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return str(ScriptDirectory.from_config(config).get_current_head())


def current(engine: Engine) -> str | None:
    """Return the revision that the database has; None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _known_revisions() -> set[str]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def check(engine: Engine) -> None:
    """Refuse a database that this version cannot work on.

    Raises
    ------
    Conflict
        Made by a newer version, or not upgraded yet; says which command helps.
    """
    found = current(engine)
    if found == head():
        return
    if found is not None and found not in _known_revisions():
        raise Conflict(
            f"The database has revision {found}, which this version does not know: a newer version "
            "has written it. Install that version, or restore the backup made before its upgrade.",
            code="unknown_revision",
        )
    raise Conflict(
        f"The database has revision {found or 'none'}, this version needs {head()}: "
        "run `kpl-lab db upgrade`.",
        code="old_revision",
    )


def upgrade(url: str, clock: Clock = SYSTEM_CLOCK) -> str | None:
    """Bring the database at ``url`` to the newest revision.

    Returns
    -------
    str or None
        Path of the backup that was made of an SQLite database, None where none was needed.

    Raises
    ------
    Conflict
        A newer version has written it.
    StorageFull
        There is no room for the backup; nothing was changed.
    """
    engine = open_engine(url)
    try:
        found = current(engine)
        if found == head():
            return None
        if found is not None and found not in _known_revisions():
            check(engine)
        backup = _back_up(engine, found, clock) if found else None
        command.upgrade(alembic_config(engine), "head")
        return backup
    finally:
        engine.dispose()


def _back_up(engine: Engine, revision: str, clock: Clock) -> str | None:
    """Copy an SQLite database as it is at one moment, whoever still writes to it."""
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database:
        return None
    source = Path(database)
    target = source.with_name(f"{source.name}.{revision}.{clock.now():%Y%m%d%H%M%S}.backup")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(part)) as new:
            part.chmod(source.stat().st_mode & 0o777)
            # All pages in one step: between steps others could write, and it would begin anew.
            old.backup(new)
            # The copy needs no log of its own beside it.
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        part.unlink(missing_ok=True)
        raise StorageFull(
            f"The database could not be copied to {target} before its upgrade ({error}), so "
            "nothing was changed. Make room on that disk and try again.",
            code="no_backup",
        ) from error
    part.replace(target)
    return str(target)
