"""Makes Dagster's own SQLite databases quick to write to for the length of a command.

Dagster makes an engine, opens a connection and closes it for each of the two hundred statements of a run. The close of
the last connection to a database moves its log into it and waits for the disk, so every single event did; and a new
engine compiles every statement anew. Data, models and the registry are not in these databases.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

KEPT = 8
"""Databases that are kept open. Each run has one of its own; the two or three that all share are used all the time."""
_STORAGES = (
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
)
"""Dagster's modules that make engines, each by a `create_engine` of its own namespace."""
T = TypeVar("T")


@contextmanager
def quick_commits() -> Generator[None]:
    """Let SQLite, which Dagster keeps in WAL mode, commit without waiting for the disk meanwhile.

    A killed process loses nothing. When the power fails, the last events of a run may be lost; the database stays
    whole.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    readers: OrderedDict[str, sqlite3.Connection] = OrderedDict()

    def connected(connection: Any, _record: Any) -> None:  # Any: SQLAlchemy's connection of any database
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous=NORMAL")
        file: str = connection.execute("PRAGMA database_list").fetchone()[2]
        if file:
            _keep(readers, file, lambda: _reader(file), lambda reader: reader.close())

    event.listen(Engine, "connect", connected)
    try:
        with _engines_kept():
            yield
    finally:
        event.remove(Engine, "connect", connected)
        for reader in readers.values():
            reader.close()


@contextmanager
def _engines_kept() -> Generator[None]:
    """Let Dagster's SQLite storages have the same engine again for the same database meanwhile."""
    modules: list[Any] = [import_module(name) for name in _STORAGES]  # Any: their namespaces are written to
    makers = [module.create_engine for module in modules]
    engines: OrderedDict[str, Engine] = OrderedDict()

    def create_engine(url: str, **options: Any) -> "Engine":  # Any: SQLAlchemy's options, the same for each database
        return _keep(engines, url, lambda: makers[0](url, **options), lambda engine: engine.dispose())

    for module in modules:
        module.create_engine = create_engine
    try:
        yield
    finally:
        for module, maker in zip(modules, makers, strict=True):
            module.create_engine = maker


def _keep(kept: OrderedDict[str, T], name: str, make: Callable[[], T], close: Callable[[T], None]) -> T:
    """Return what is kept under `name`, made if it is not; close what was not asked for longest."""
    found = kept.get(name)
    if found is None:
        found = kept[name] = make()
    kept.move_to_end(name)
    while len(kept) > KEPT:
        close(kept.popitem(last=False)[1])
    return found


def _reader(file: str) -> sqlite3.Connection:
    """Return a connection that takes part in the log of `file` and locks nothing."""
    reader = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
    return reader
