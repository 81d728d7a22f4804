"""A PostgreSQL of the tests' own, on a socket; left out by name where there is none."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from kpl_lab.platform.storage.database import open_engine
from tests.installation import free_port

NOBODY = 65534


def binaries() -> Path:
    """Return the folder of the server's programs; skips where it is not installed."""
    folders = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    initdb = shutil.which("initdb", path=os.pathsep.join(map(str, folders)) or None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(initdb).parent


def _as_other(folder: Path) -> list[str]:
    """Return what runs a program as somebody else than root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
    os.chown(folder, NOBODY, NOBODY)
    for parent in (folder, *folder.parents):
        if parent.stat().st_mode & 0o005 != 0o005 and parent.stat().st_uid != NOBODY:
            parent.chmod(parent.stat().st_mode | 0o011)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@contextmanager
def server(folder: Path, listen: str = "") -> Iterator[str]:
    """Run one below ``folder``; gives its URL.

    Parameters
    ----------
    listen
        Address at which it answers others too, who need a password; empty: at its socket alone.
    """
    bin = binaries()
    as_other = _as_other(folder)
    data = folder / "data"
    init = [str(bin / "initdb"), "-D", str(data), "-U", "kpl", "-A", "trust", "--no-sync"]
    subprocess.run([*as_other, *init], check=True, capture_output=True, cwd=folder)
    ctl = [*as_other, str(bin / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    port = free_port() if listen else 5432  # of the socket's name
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
    options = f"-k {folder} -p {port} -c listen_addresses='{listen}' -c fsync=off"
    subprocess.run([*ctl, "-o", options, "start"], check=True, capture_output=True, cwd=folder)
    try:
        own = f"postgresql+psycopg://kpl@/postgres?host={folder}"
        yield _with_password(f"{own}&port={port}", f"{listen}:{port}") if listen else own
    finally:
        stop = [*ctl, "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, capture_output=True, cwd=folder)


def _with_password(own: str, address: str) -> str:
    password = secrets.token_hex(8)
    engine = open_engine(own)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER ROLE kpl PASSWORD '{password}'"))
    engine.dispose()
    return f"postgresql+psycopg://kpl:{password}@{address}/postgres"


def emptied(url: str) -> str:
    """Forget everything in a database; returns its URL."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url
