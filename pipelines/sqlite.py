"""Makes Dagster's own SQLite databases quick to write to for the length of a command.

Dagster opens and closes a connection for each of the two hundred statements of a run. The close of the last connection
to a database moves its log into it and waits for the disk, so every single event did. Data, models and the registry
are not in these databases.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quick_commits() -> Generator[None]:
    """Let SQLite, which Dagster keeps in WAL mode, commit without waiting for the disk meanwhile.

    A killed process loses nothing. When the power fails, the last events of a run may be lost; the database stays
    whole.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    kept: dict[str, sqlite3.Connection] = {}

    def connected(connection: Any, _record: Any) -> None:  # Any: SQLAlchemy's connection of any database
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous=NORMAL")
        file: str = connection.execute("PRAGMA database_list").fetchone()[2]
        if file and file not in kept:
            kept[file] = _reader(file)

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)
        for reader in kept.values():
            reader.close()


def _reader(file: str) -> sqlite3.Connection:
    """Return a connection that takes part in the log of `file` and locks nothing."""
    reader = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
    return reader
