"""Owns the index of the cache: the order in which entries go, in a small SQLite file that may be lost at any time.

Files are the truth. Every process compares index and files before its first reservation, so an index that is missing,
damaged, or behind after a crash is made anew. It is opened for each transaction, under a lock that all processes share.
"""

import errno
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

from resources.errors import StoreError
from resources.storage.cache.eviction import Queue
from resources.storage.cache.layout import Layout
from resources.storage.cache.locks import locked

_VERSION = 1
_TABLES = (
    "CREATE TABLE entry (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, queue TEXT NOT NULL, turn INTEGER NOT NULL)",
    "CREATE INDEX by_turn ON entry (queue, turn, bytes)",
    "CREATE TABLE ghost (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, turn INTEGER NOT NULL)",
    "CREATE TABLE held (queue TEXT PRIMARY KEY, bytes INTEGER NOT NULL)",
    "INSERT INTO held VALUES ('small', 0), ('main', 0), ('ghost', 0)",
    f"PRAGMA user_version = {_VERSION}",
)


class Index:
    """The index of one cache folder, as one process sees it."""

    def __init__(self, layout: Layout, *, patience_s: float) -> None:
        self._layout = layout
        self._patience_s = patience_s
        self._compared = False

    @contextmanager
    def opened(self) -> Generator["Table"]:
        """Yield the index for one transaction; no other process or thread has it meanwhile.

        Raises:
            StoreError: If another process keeps it for too long, or it cannot be written.
        """
        with locked(self._layout.root / "index.lock", patience_s=self._patience_s), closing(self._connect()) as db:
            table = Table(db)
            try:
                if not self._compared:
                    table.follow(self._layout.held())
                    self._compared = True
                yield table
                db.commit()
            except BaseException as error:  # files may have gone whose entries come back
                self._compared = False
                if isinstance(error, sqlite3.Error):
                    raise self._explained(error) from error
                raise

    def _connect(self) -> sqlite3.Connection:
        file = self._layout.root / "index"
        try:
            return self._prepared(file)
        except sqlite3.OperationalError as error:
            raise self._explained(error) from error
        except sqlite3.DatabaseError:  # damaged, or of another version
            for damaged in (file, file.with_name("index-journal")):
                damaged.unlink(missing_ok=True)
            return self._prepared(file)

    def _prepared(self, file: Any) -> sqlite3.Connection:  # Any: a path
        db = sqlite3.connect(file, isolation_level=None)
        try:
            # A killed process leaves a journal that is rolled back. Power loss may cost the index: it is made anew.
            db.execute("PRAGMA journal_mode = PERSIST")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN IMMEDIATE")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"index of version {version}")
            if version == 0:
                self._compared = False
                for statement in _TABLES:
                    db.execute(statement)
        except BaseException:
            db.close()
            raise
        return db

    def _explained(self, error: sqlite3.Error) -> Exception:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return OSError(errno.ENOSPC, "No space left on device", str(self._layout.root / "index"))
        return StoreError(
            f"cannot use the index of the cache {self._layout.root}: {error}; it may be deleted while nothing runs"
        )


class Table:
    """The queues of `resources.storage.cache.eviction`, in SQL."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @classmethod
    def in_memory(cls) -> "Table":
        """Return an empty one of its own."""
        db = sqlite3.connect(":memory:", isolation_level=None)
        for statement in _TABLES:
            db.execute(statement)
        return cls(db)

    def bytes_in(self, queue: Queue) -> int:
        """Return the bytes of a queue."""
        return self._one("SELECT bytes FROM held WHERE queue = ?", queue)[0]

    def count(self) -> int:
        """Return the number of entries."""
        return self._one("SELECT count(*) FROM entry")[0]

    def oldest(self, queue: Queue) -> tuple[str, int] | None:
        """Return name and bytes of the first entry of a queue."""
        return self._one("SELECT name, bytes FROM entry WHERE queue = ? ORDER BY turn LIMIT 1", queue)

    def size_of(self, name: str) -> int | None:
        """Return the bytes that are held or reserved for `name`."""
        found = self._one("SELECT bytes FROM entry WHERE name = ?", name)
        return found[0] if found else None

    def append(self, queue: Queue, name: str, size_bytes: int) -> None:
        """Put an entry last in a queue, taking it out of where it was."""
        self.remove(name)
        self._db.execute(
            "INSERT INTO entry VALUES (?, ?, ?, (SELECT coalesce(max(turn), 0) + 1 FROM entry WHERE queue = ?))",
            (name, size_bytes, queue, queue),
        )
        self._add(queue, size_bytes)

    def remove(self, name: str) -> None:
        """Forget an entry."""
        if found := self._one("DELETE FROM entry WHERE name = ? RETURNING queue, bytes", name):
            self._add(found[0], -found[1])

    def take_ghost(self, name: str) -> bool:
        """Return whether `name` is a ghost, which it is no more."""
        found = self._one("DELETE FROM ghost WHERE name = ? RETURNING bytes", name)
        if found:
            self._add("ghost", -found[0])
        return found is not None

    def add_ghost(self, name: str, size_bytes: int, *, most_bytes: int) -> None:
        """Remember an evicted entry, and forget the oldest ghosts beyond `most_bytes`."""
        self.take_ghost(name)
        self._db.execute(
            "INSERT INTO ghost VALUES (?, ?, (SELECT coalesce(max(turn), 0) + 1 FROM ghost))", (name, size_bytes)
        )
        self._add("ghost", size_bytes)
        while self._one("SELECT bytes FROM held WHERE queue = 'ghost'")[0] > most_bytes:
            self.take_ghost(self._one("SELECT name FROM ghost ORDER BY turn LIMIT 1")[0])

    def follow(self, files: list[tuple[str, int]]) -> None:
        """Make the entries those of `files`, names with bytes; what is known keeps its place in its queue."""
        known = dict(self._db.execute("SELECT name, bytes FROM entry").fetchall())
        for name in known.keys() - dict(files).keys():
            self.remove(name)
        for name, size_bytes in files:
            if known.get(name) != size_bytes:
                self.append("small", name, size_bytes)

    def _add(self, queue: str, size_bytes: int) -> None:
        self._db.execute("UPDATE held SET bytes = bytes + ? WHERE queue = ?", (size_bytes, queue))

    def _one(self, statement: str, *values: object) -> Any:  # Any: a row of SQLite
        return self._db.execute(statement, values).fetchone()
