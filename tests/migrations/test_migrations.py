"""Migrations: they make what the models say, refuse what they do not know, and back up first."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from kpl_lab.clock import ManualClock
from kpl_lab.errors import Conflict
from kpl_lab.platform.storage import upgrade
from kpl_lab.platform.storage.database import Database, open_engine
from kpl_lab.platform.storage.orm import Base


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'kpl.sqlite'}"


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a private PostgreSQL on a socket; skips where there is none."""
    binaries = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    initdb = shutil.which("initdb", path=os.pathsep.join(map(str, binaries)) or None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    bin = Path(initdb).parent
    folder = tmp_path_factory.mktemp("pg")
    as_other: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL does not run as root.
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
        as_other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)
        for parent in (folder, *folder.parents):
            if parent.stat().st_mode & 0o005 != 0o005 and parent.stat().st_uid != 65534:
                parent.chmod(parent.stat().st_mode | 0o011)
    data = folder / "data"
    init = [str(bin / "initdb"), "-D", str(data), "-U", "kpl", "-A", "trust", "--no-sync"]
    subprocess.run([*as_other, *init], check=True, capture_output=True, cwd=folder)
    ctl = [*as_other, str(bin / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    subprocess.run([*ctl, "-o", options, "start"], check=True, capture_output=True, cwd=folder)
    try:
        yield f"postgresql+psycopg://kpl@/postgres?host={folder}"
    finally:
        subprocess.run(
            [*ctl, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite(tmp_path)
    found: str = request.getfixturevalue("postgresql")
    engine = open_engine(found)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return found


def test_models_and_head_agree(url: str) -> None:
    upgrade.upgrade(url)
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert differences == [], "run `python -m kpl_lab.platform.storage.migrations.make WORDS`"


def test_a_fresh_database_can_be_worked_on_and_upgraded_again(url: str) -> None:
    assert upgrade.upgrade(url) is None
    assert upgrade.upgrade(url) is None
    clock = ManualClock()
    database = Database(url, clock)
    upgrade.check(database.engine)
    with database.store() as store:
        store.workspaces.add(name="数据", created_at=clock.now())
    with database.store() as store:
        found = store.workspaces.by_name("数据")
    assert found is not None
    assert found.created_at == clock.now()
    database.close()


def test_two_who_make_the_same_get_a_conflict(url: str) -> None:
    upgrade.upgrade(url)
    clock = ManualClock()
    database = Database(url, clock)
    with pytest.raises(Conflict), database.store() as store:
        for _ in range(2):
            store.workspaces.add(name="x", created_at=clock.now())
    database.close()


def test_downgrading_leaves_nothing(url: str) -> None:
    upgrade.upgrade(url)
    engine = open_engine(url)
    command.downgrade(upgrade.alembic_config(engine), "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_an_empty_database_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    engine = open_engine(sqlite(tmp_path))
    with pytest.raises(Conflict, match="kpl-lab db upgrade") as caught:
        upgrade.check(engine)
    assert caught.value.code == "old_revision"
    engine.dispose()


@pytest.mark.parametrize("do", ["check", "upgrade"])
def test_a_database_of_a_newer_version_is_left_alone(do: str, tmp_path: Path) -> None:
    upgrade.upgrade(sqlite(tmp_path))
    engine = open_engine(sqlite(tmp_path))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer version") as caught:
        if do == "check":
            upgrade.check(engine)
        else:
            upgrade.upgrade(sqlite(tmp_path))
    assert caught.value.code == "unknown_revision"
    engine.dispose()
    assert [p.name for p in tmp_path.glob("*.backup")] == []


def test_an_older_database_is_backed_up_before_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sqlite(tmp_path)
    upgrade.upgrade(url)
    clock = ManualClock()
    database = Database(url, clock)
    with database.store() as store:
        store.workspaces.add(name="precious", created_at=clock.now())
    # Stays open: what was written last is in the log beside the database.
    newer, head = tmp_path / "migrations", upgrade.head()
    shutil.copytree(upgrade.MIGRATIONS, newer)
    (newer / "versions" / "9999_more.py").write_text(
        '"""more"""\nfrom alembic import op\n'
        f'revision, down_revision, branch_labels, depends_on = "9999", "{head}", None, None\n'
        'def upgrade():\n    op.execute("DELETE FROM workspaces")\n'
        "def downgrade():\n    pass\n"
    )
    monkeypatch.setattr(upgrade, "MIGRATIONS", newer)
    backup = upgrade.upgrade(url, clock)
    database.close()
    assert backup is not None
    assert f"{head}.20260101" in backup
    kept = open_engine(f"sqlite:///{backup}")
    with kept.connect() as connection:
        names = connection.execute(text("SELECT name FROM workspaces")).scalars().all()
    kept.dispose()
    assert names == ["precious"]


def test_there_is_one_head_and_a_note_for_each_migration() -> None:
    notes = (upgrade.MIGRATIONS / "NOTES.md").read_text()
    for path in (upgrade.MIGRATIONS / "versions").glob("0*.py"):
        assert f"`{path.stem}`" in notes
    assert upgrade.head() == max(
        p.stem.split("_")[0] for p in (upgrade.MIGRATIONS / "versions").glob("0*.py")
    )


def test_a_database_of_the_first_revision_comes_to_the_newest_with_what_it_held(
    tmp_path: Path,
) -> None:
    engine = open_engine(sqlite(tmp_path))
    command.upgrade(upgrade.alembic_config(engine), "0001")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO servers (name, user, image, state, desired, wanted_mounts, created_at,"
                " updated_at, cpu, memory, gpu, shm) VALUES ('', 'ada', 'base', 'stopped', 'stop',"
                " '[]', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 1, 512, 0, 64)"
            )
        )
    engine.dispose()
    assert upgrade.upgrade(sqlite(tmp_path)) is not None
    database = Database(sqlite(tmp_path), ManualClock())
    with database.store(reads_only=True) as store:
        server = store.servers.get(1)
        assert store.images.find() == []
    database.close()
    assert server is not None
    assert (server.user, server.image, server.image_id) == ("ada", "base", None)
