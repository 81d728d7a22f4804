"""Migrations: they make what the models say, refuse what they do not know, and back up first."""

from __future__ import annotations

import resource
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from kpl_lab.clock import ManualClock
from kpl_lab.errors import Conflict, StorageFull
from kpl_lab.platform.storage import upgrade
from kpl_lab.platform.storage.database import Database, open_engine
from kpl_lab.platform.storage.orm import Base
from tests.postgresql import emptied, server


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'kpl.sqlite'}"


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite(tmp_path)
    return emptied(request.getfixturevalue("postgresql"))


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


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Database]:
    """A database that is in use; what was written last is in the log beside it."""
    upgrade.upgrade(sqlite(tmp_path))
    made = Database(sqlite(tmp_path), ManualClock())
    with made.store() as store:
        store.workspaces.add(name="precious", created_at=ManualClock().now())
    yield made
    made.close()


@pytest.fixture
def newer(old: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """``old``; and ours is a version with one more migration, which empties the workspaces."""
    folder, head = tmp_path / "migrations", upgrade.head()
    shutil.copytree(upgrade.MIGRATIONS, folder)
    (folder / "versions" / "9999_more.py").write_text(
        '"""more"""\nfrom alembic import op\n'
        f'revision, down_revision, branch_labels, depends_on = "9999", "{head}", None, None\n'
        'def upgrade():\n    op.execute("DELETE FROM workspaces")\n'
        "def downgrade():\n    pass\n"
    )
    monkeypatch.setattr(upgrade, "MIGRATIONS", folder)
    return old


def workspaces_in(backup: str) -> list[str]:
    """Return what a backup holds, after a look at all of its pages."""
    kept = open_engine(f"sqlite:///{backup}")
    with kept.connect() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
        names = connection.execute(text("SELECT name FROM workspaces")).scalars().all()
    kept.dispose()
    return list(names)


def test_an_older_database_is_backed_up_before_it_is_changed(
    tmp_path: Path, newer: Database
) -> None:
    backup = upgrade.upgrade(sqlite(tmp_path), ManualClock())
    assert backup is not None
    assert ".20260101" in backup
    assert [path.name for path in tmp_path.glob("*.backup*")] == [Path(backup).name]
    assert workspaces_in(backup) == ["precious"]
    with newer.store(reads_only=True) as store:
        assert store.workspaces.names() == {}


def test_a_backup_is_of_one_moment_while_the_old_platform_still_writes(
    tmp_path: Path, newer: Database
) -> None:
    has_written, enough = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            with newer.store() as store:
                for half in ("left", "right"):
                    store.workspaces.add(name=f"{half} {number}" * 20, created_at=store.now())
            if number == 20:
                has_written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert has_written.wait(30)
        backup = upgrade.upgrade(sqlite(tmp_path), ManualClock())
    finally:
        enough.set()
        writer.join()
    assert backup is not None
    names = workspaces_in(backup)
    assert "precious" in names
    left = {name.replace("left", "") for name in names if name.startswith("left")}
    right = {name.replace("right", "") for name in names if name.startswith("right")}
    assert len(left) >= 20
    assert left == right


def test_without_room_for_a_backup_nothing_is_changed(tmp_path: Path, newer: Database) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(StorageFull, match="nothing was changed"):
            upgrade.upgrade(sqlite(tmp_path), ManualClock())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.glob("*.backup*")) == []
    assert upgrade.current(newer.engine) != "9999"
    with newer.store(reads_only=True) as store:
        assert set(store.workspaces.names().values()) == {"precious"}


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
