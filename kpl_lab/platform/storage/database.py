"""One database, SQLite or PostgreSQL, and the transactions on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError, IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.orm import Session

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.errors import Conflict, Invalid, KplError, StorageFull, Unavailable
from kpl_lab.platform.storage.store import Store

BUSY_MILLISECONDS = 15_000
# Where PostgreSQL tells of events, once the transaction that wrote them holds.
CHANNEL = "kpl_lab_events"
# PostgreSQL hears of a client whose machine is lost after hours; until then its rows are locked.
IDLE_SECONDS = 60.0
# And a client of a database whose machine is lost: within half a minute in place of a quarter of an hour.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_FAR = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def _connect_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 (a DBAPI object)
    # SQLAlchemy begins transactions itself (below), so the driver must not.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={BUSY_MILLISECONDS}",
        "foreign_keys=ON",
        "cache_size=-16000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _limit_idle(engine: Engine, seconds: float) -> None:
    """End sessions that do nothing inside a transaction for so long: they may hold rows."""

    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 (a DBAPI object)
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = {round(seconds * 1000)}")
        cursor.close()
        connection.commit()

    event.listen(engine, "connect", connected)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read lock later can only fail.
    reads_only = connection.get_execution_options().get("kpl_reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def open_engine(url: str) -> Engine:
    """Return a connection pool for ``url``, set up for its kind of database."""
    arguments = _FAR if make_url(url).get_backend_name() == "postgresql" else {}
    engine = create_engine(
        url,
        pool_pre_ping=not url.startswith("sqlite"),
        pool_size=20,
        connect_args=dict(arguments),
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _connect_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name == "postgresql":
        _limit_idle(engine, IDLE_SECONDS)
    return engine


def connect_arguments(engine: Engine) -> dict[str, Any]:
    """Return how the driver reaches a PostgreSQL, for a connection beside the pool."""
    _, found = engine.dialect.create_connect_args(engine.url)
    return {**_FAR, **found}


class Database:
    """Opens units of work.

    Parameters
    ----------
    url
        SQLAlchemy URL.
    clock
        Given to each store.
    """

    def __init__(self, url: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.engine = open_engine(url)
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []

    def limit_idle(self, seconds: float) -> None:
        """Have PostgreSQL end what does nothing inside a transaction for so long.

        For connections that are opened from here on. SQLite needs none: its locks end with who
        holds them.
        """
        if self.is_shared:
            _limit_idle(self.engine, seconds)

    @property
    def is_shared(self) -> bool:
        """Whether processes of several machines may use it: it tells all of them of events."""
        return self.engine.dialect.name == "postgresql"

    def on_events(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit that wrote events; it must return at once."""
        self._listeners.append(listener)

    @contextmanager
    def store(self, *, reads_only: bool = False) -> Iterator[Store]:
        """Open one transaction: committed at the end, rolled back by any exception.

        It begins with the first question to the database, so that who waits for something else
        first (the hub's word on a token) holds no lock meanwhile.

        Raises
        ------
        StorageFull, Unavailable
            The disk has no room, or the database does not answer.
        Conflict
            Somebody else made the same thing at the same moment.
        """
        engine = self.engine.execution_options(kpl_reads_only=reads_only)
        with Session(engine, expire_on_commit=False) as session:
            store = Store(session, self._clock)
            try:
                yield store
                store.events.write_out()
                if store.events.added and self.is_shared:
                    session.execute(text(f"NOTIFY {CHANNEL}"))
                session.commit()
            except (OperationalError, InternalError, IntegrityError, DataError) as error:
                session.rollback()
                raise _translate(error) from error
            except NoConnectionLeft as error:
                raise Unavailable(
                    "The database does not answer at the moment; try again in a few seconds."
                ) from error
            except UnicodeEncodeError as error:  # half a surrogate pair, which JSON lets through
                session.rollback()
                raise Invalid("A text holds characters that no text has.") from error
        if store.events.added:
            for listener in self._listeners:
                listener()
        store.run_after_commit()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _translate(
    error: OperationalError | InternalError | IntegrityError | DataError,
) -> KplError:
    text = str(error.orig)
    if isinstance(error, IntegrityError):
        return Conflict(
            "Somebody else made or removed the same thing at this very moment; try again.",
            detail={"cause": text[:200]},
        )
    if isinstance(error, DataError):
        return Invalid(
            "A value cannot be stored: it is too large, or holds characters that no text has.",
            detail={"cause": text[:200]},
        )
    if "full" in text or "No space" in text:
        return StorageFull(
            "The disk that holds the database has no room left; free some space and try again."
        )
    return Unavailable(
        "The database does not answer at the moment; try again in a few seconds.",
        detail={"cause": text[:200]},
    )
