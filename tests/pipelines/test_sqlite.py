import sqlite3
from pathlib import Path

import pytest
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from pipelines import sqlite
from pipelines.sqlite import quick_commits


def wal_database(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
        connection.execute(text("CREATE TABLE events (number INTEGER)"))
    return engine


def insert(engine: Engine, number: int) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO events VALUES (:number)"), {"number": number})


def numbers(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT number FROM events ORDER BY number")]
    connection.close()
    return found


def test_every_commit_is_seen_by_other_connections_at_once(tmp_path: Path):
    engine = wal_database(tmp_path / "runs.db")
    with quick_commits():
        for number in range(5):
            insert(engine, number)
            assert numbers(tmp_path / "runs.db") == list(range(number + 1))


def test_the_log_is_moved_into_the_database_once_at_the_end(tmp_path: Path):
    engine, log = wal_database(tmp_path / "runs.db"), tmp_path / "runs.db-wal"
    with quick_commits():
        insert(engine, 1)
        insert(engine, 2)
        assert log.stat().st_size > 0
    assert not log.exists()
    assert numbers(tmp_path / "runs.db") == [1, 2]


def test_another_writer_is_not_held_up(tmp_path: Path):
    engine = wal_database(tmp_path / "runs.db")
    with quick_commits():
        insert(engine, 1)
        other = sqlite3.connect(tmp_path / "runs.db", timeout=0)
        other.execute("INSERT INTO events VALUES (2)")
        other.commit()
        other.close()
        insert(engine, 3)
    assert numbers(tmp_path / "runs.db") == [1, 2, 3]


def test_connections_made_afterwards_wait_for_the_disk_again(tmp_path: Path):
    engine = wal_database(tmp_path / "runs.db")

    def synchronous() -> int:
        with engine.connect() as connection:
            return connection.execute(text("PRAGMA synchronous")).scalar_one()

    before = synchronous()
    with quick_commits():
        assert synchronous() == 1
    assert synchronous() == before


def open_files(folder: Path) -> list[str]:
    targets = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [target for target in targets if target.startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
def test_databases_of_many_runs_are_not_all_kept_open(tmp_path: Path):
    engines = [wal_database(tmp_path / f"{number}.db") for number in range(3 * sqlite.KEPT)]
    with quick_commits():
        for number, engine in enumerate(engines):
            insert(engine, number)
        assert 0 < len(open_files(tmp_path)) <= 4 * sqlite.KEPT  # of a database SQLite opens four
    assert not open_files(tmp_path)
    assert [numbers(tmp_path / f"{number}.db") for number in range(len(engines))] == [[n] for n in range(len(engines))]


def test_dagster_has_one_engine_a_database_meanwhile_and_its_own_again_afterwards(tmp_path: Path):
    before = sqlite_event_log.create_engine
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with quick_commits():
        assert sqlite_event_log.create_engine(url, poolclass=NullPool) is sqlite_event_log.create_engine(url)
    assert sqlite_event_log.create_engine is before
