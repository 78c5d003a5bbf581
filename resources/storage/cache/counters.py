"""Owns the counters of a host: each process writes its own small file, and whoever asks adds them up.

A count is one write without any lock that another process could hold; what happens thousands of times a second is
written with every 64th. The file of a process that has ended (its lock is
free) is added to `total`, which names the files that it includes: killed in between, nothing is counted twice. Counting
never fails: a full or read-only disk loses counts.
"""

import fcntl
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

from resources.canonical import canonical_json, parse_json
from resources.errors import StoreError
from resources.storage.cache.locks import locked
from resources.storage.cache.stats import COUNTED, CacheStats, stats_of
from resources.storage.verified import take_hashed_s

_FORMAT = struct.Struct(f"<{len(COUNTED)}d")
_PLACES = {name: place for place, name in enumerate(COUNTED)}
_TOTAL, _LOCK = "total", "lock"
_MANY, _OFTEN = 64, 64
_PATIENCE_S = 10.0


class _Counts:
    """Numbers in memory; a forked process begins at 0."""

    def __init__(self) -> None:
        self._begin()

    def add(self, more: Mapping[str, float]) -> None:
        if self.process_id != os.getpid():
            self._begin()
        with self._lock:
            for name, number in more.items():
                self._numbers[_PLACES[name]] += number

    def packed(self) -> bytes:
        """Return all numbers as they are written."""
        with self._lock:
            return _FORMAT.pack(*self._numbers)

    def stats(self) -> CacheStats:
        self.add({})
        return stats_of(dict(zip(COUNTED, _FORMAT.unpack(self.packed()), strict=True)))

    def _begin(self) -> None:
        self.process_id = os.getpid()
        self._lock = Lock()
        self._numbers = [0.0] * len(COUNTED)


_PROCESS = _Counts()


class Counters:
    """The counters of one process in `folder`, which is made with the first count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts = _Counts()
        self._descriptor = -1
        self._unwritten = 0
        self._writing = Lock()

    def add(self, **more: float) -> None:
        """Count more of what `CacheStats` names."""
        self._add(more)
        with self._writing, suppress(OSError, StoreError):  # two files of one process would be added up
            if self._descriptor < 0:
                self._descriptor = _begun(self._folder)
            self._unwritten = 0
            os.pwrite(self._descriptor, self._counts.packed(), 0)

    def add_often(self, **more: float) -> None:
        """Do so at less cost: it is written with what is counted next, or with every 64th; a kill may lose as many."""
        self._add(more)
        self._unwritten += 1
        if self._unwritten >= _OFTEN:
            self.add()

    def add_verified(self) -> None:
        """Count the seconds of hashing since this was last asked."""
        if spent_s := take_hashed_s():
            self.add(verify_s=spent_s)

    def write(self) -> None:
        """Write what is counted and not written yet."""
        self.add_verified()
        if self._unwritten:
            self.add()

    def stats(self) -> CacheStats:
        """Return what was counted here."""
        self.add_verified()
        return self._counts.stats()

    def _add(self, more: Mapping[str, float]) -> None:
        if self._counts.process_id != os.getpid():  # the file is that of the parent
            self._unwritten = 0
            self._writing = Lock()
            self._close()
        self._counts.add(more)
        _PROCESS.add(more)

    def _close(self) -> None:
        if self._unwritten:
            self.add()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if os is not None:  # pyright: ignore[reportUnnecessaryComparison]; at the end of Python modules are gone
            self._close()


def process_stats() -> CacheStats:
    """Return what this process counted in all caches."""
    return _PROCESS.stats()


def host_counts(folder: Path, *, patience_s: float = _PATIENCE_S) -> dict[str, float]:
    """Return what all processes counted in `folder` so far, by name.

    Raises:
        OSError: If the folder cannot be read or written.
        StoreError: If another process keeps its lock for longer than `patience_s`.
    """
    if not folder.is_dir():
        return {}
    with locked(folder / _LOCK, patience_s=patience_s):
        counts, included = _total(folder)
        living: list[dict[str, float]] = []
        ended: list[Path] = []
        for path, alive, numbers in _files(folder):
            if alive:
                living.append(numbers)
                continue
            ended.append(path)
            if path.name not in included:
                counts = _sum(counts, numbers)
        _keep(folder, counts, ended)
    return _sum(counts, *living)


def _sum(*counts: Mapping[str, float]) -> dict[str, float]:
    return {name: sum(item.get(name, 0.0) for item in counts) for name in {name for item in counts for name in item}}


def _begun(folder: Path) -> int:
    """Return a descriptor of a new file of this process, locked as long as it is open."""
    folder.mkdir(parents=True, exist_ok=True)
    if sum(1 for _ in folder.iterdir()) > _MANY:
        with suppress(StoreError):  # somebody else is at it
            host_counts(folder, patience_s=0)
    descriptor = os.open(folder / f"{os.getpid()}-{secrets.token_hex(4)}", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _files(folder: Path) -> Iterator[tuple[Path, bool, dict[str, float]]]:
    """Yield each process's file, whether that process lives, and what it counted."""
    for path in sorted(folder.iterdir()):
        if path.name in (_TOTAL, _LOCK) or path.name.startswith("."):
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            alive = not _try_lock(descriptor)
            data = os.pread(descriptor, _FORMAT.size, 0)
        finally:
            os.close(descriptor)
        numbers = struct.unpack(f"<{len(data) // 8}d", data[: len(data) // 8 * 8])
        yield path, alive or not data, dict(zip(COUNTED, numbers, strict=False))


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _total(folder: Path) -> tuple[dict[str, float], frozenset[str]]:
    try:
        value = parse_json((folder / _TOTAL).read_bytes())
        return {name: float(number) for name, number in value["counts"].items()}, frozenset(value["included"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}, frozenset()


def _keep(folder: Path, counts: Mapping[str, float], ended: list[Path]) -> None:
    if not ended:
        return
    aside = folder / f".{_TOTAL}"
    aside.write_bytes(canonical_json({"counts": dict(counts), "included": sorted(path.name for path in ended)}))
    aside.replace(folder / _TOTAL)
    for path in ended:
        path.unlink(missing_ok=True)
