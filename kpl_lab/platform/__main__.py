"""``python -m kpl_lab.platform [--listen-fd N | --replica HOST:PORT]``: the API on the loopback.

With ``--listen-fd`` it answers on a listening socket that it was handed, which outlives it. With
``--replica`` it is a further one of an installation on PostgreSQL: it answers at that address to
callers from outside, and has neither a runner nor a hub beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
from collections.abc import Sequence

import uvicorn

from kpl_lab import log_lines
from kpl_lab import settings as installation
from kpl_lab.engines.registry import create_engine
from kpl_lab.engines.running.client import RunnerEngine
from kpl_lab.platform import door
from kpl_lab.platform.app import create_app
from kpl_lab.platform.context import create_context
from kpl_lab.settings import Home

START_FAILED = 3


def _sockets(number: int | None, home: Home) -> list[socket.socket] | None:
    """Return what to listen on; None: a socket of our own."""
    if number is None:
        return None
    handed = socket.socket(fileno=number)
    handed.set_inheritable(False)
    door.lend(handed.dup(), home.door("platform"))
    return [handed]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="kpl_lab.platform")
    parser.add_argument("--listen-fd", type=int, help="number of a listening socket")
    parser.add_argument("--replica", metavar="HOST:PORT", help="be a further one, at an address")
    options = parser.parse_args(arguments)
    log_lines.begin()
    settings = installation.load()
    if options.replica and not settings.database_url:
        parser.error("--replica needs a PostgreSQL in KPL_DATABASE_URL: SQLite is of one machine")
    host, _, port = (options.replica or f"127.0.0.1:{settings.ports.platform}").rpartition(":")
    engine = create_engine(settings)
    if options.replica and isinstance(engine, RunnerEngine):
        engine.stand_apart()
    context = create_context(settings, engine)
    try:
        config = uvicorn.Config(
            create_app(context, is_replica=bool(options.replica)),
            host=host,
            port=int(port),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
        )
        server = uvicorn.Server(config)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=_sockets(options.listen_fd, settings.home))
        if not server.started:
            raise SystemExit(START_FAILED)
    finally:
        context.close()


if __name__ == "__main__":
    main()
