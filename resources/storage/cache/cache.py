"""Owns the cache of a host: `lease` finds a local copy or makes one, once for all processes, within the budget.

It knows no store: what is fetched is a `Remote`. A hit opens no connection, waits for nobody and scans nothing.
"""

import errno
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from resources.durable import sync
from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.storage.cache.download import Remote, download
from resources.storage.cache.hits import Hits
from resources.storage.cache.layout import Layout
from resources.storage.cache.leases import leases_in
from resources.storage.cache.locks import locked
from resources.storage.cache.room import Room
from resources.storage.cache.stats import CacheStats
from resources.storage.verified import matches, trust

PATIENCE_S = 300.0
"""Longest silence of another process in seconds: a store gives up on a frozen server sooner."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class HostCache:
    """The cache in one folder, shared by all processes that name it.

    Args:
        root: The folder, on a local disk; made on the first download.
        budget_bytes: Most bytes that it may hold. None means half of what is free on its disk, counting what it holds
            already as free, judged anew at each download.
        patience_s: How long another process may stand still, in seconds, before waiting for it is an error.
    """

    def __init__(self, root: Path, *, budget_bytes: int | None = None, patience_s: float = PATIENCE_S) -> None:
        self._layout = Layout(root.absolute())
        self._patience_s = patience_s
        self._hits = Hits(self._layout.root / "hits")
        self._leases = leases_in(self._layout.root / "leases")
        self._room = Room(self._layout, self._hits, self._leases, budget_bytes=budget_bytes, patience_s=patience_s)
        self._counting = Lock()
        self._counts: dict[str, float] = {}

    @property
    def root(self) -> Path:
        """The folder."""
        return self._layout.root

    def lease(self, name: str, remote: Remote) -> Path:
        """Return a file with the bytes of `remote`, which stays until `release` or the end of this process.

        Args:
            name: Digest of the bytes, by which all processes find them.
            remote: Where the bytes come from if the cache has none.

        Raises:
            ObjectMissing: If the store has no such object.
            IntegrityError: If the store's bytes do not have the digest, twice.
            StoreError: If the store or the disk fails, the budget is too small, or another process hangs.
        """
        with self._explained(remote.name):
            self._leases.take(name)
            try:
                path = self._layout.final(name)
                if path.exists():
                    self._hits.add(name)
                    self._count(hits=1)
                else:
                    self._miss(name, remote, path)
            except BaseException:
                self._leases.release(name)
                raise
            return path

    def open(self, name: str) -> int | None:
        """Return a descriptor of the copy of `name`, or None where there is none; the caller closes it."""
        try:
            descriptor = os.open(self._layout.final(name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            with self._explained(name):
                raise error
        self._hits.add(name)
        self._count(hits=1)
        return descriptor

    def release(self, name: str) -> None:
        """Give back one lease; the file may then be evicted, but stays valid where it is open or mapped."""
        self._leases.release(name)

    def drop_damaged(self, name: str) -> None:
        """Remove the copy of `name` unless its bytes have the digest after all, since another process fetched it."""
        with self._explained(name), self._turn(name):
            path = self._layout.final(name)
            if path.exists() and not matches(path, name):
                self._room.forget(name)

    def stats(self) -> CacheStats:
        """Return what this process did, and what the folder holds."""
        held_bytes = 0
        if self._layout.root.is_dir():
            with self._explained("the statistics"):
                held_bytes = self._room.held_bytes()
        with self._counting:
            return CacheStats(**self._counts, held_bytes=held_bytes)  # pyright: ignore[reportArgumentType]

    def _miss(self, name: str, remote: Remote, path: Path) -> None:
        asked = time.monotonic()
        with self._turn(name) as mine:
            if mine and not path.exists():
                self._count(misses=1)
                self._fetch(name, remote, path)
                return
        self._count(waits=1, waited_s=time.monotonic() - asked)
        trust(path, name)  # it was hashed by the process that published it while this one waited

    @contextmanager
    def _turn(self, name: str) -> Generator[bool]:
        """Hold the lock of `name`, or yield False once another process has published it."""
        self._layout.make()
        final = self._layout.final(name)
        missing = not final.exists()
        with locked(
            self._layout.lock(name),
            patience_s=self._patience_s,
            done=lambda: missing and final.exists(),
            progress=lambda: self._progress(name),
        ) as mine:
            yield mine

    def _progress(self, name: str) -> object:
        try:
            return self._layout.journal(name).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _fetch(self, name: str, remote: Remote, path: Path) -> None:
        """Download, verify and publish; the caller holds the lock and a lease of `name`."""
        self._count(evictions=self._room.reserve(name, remote.name, remote.size_bytes))
        part, journal = self._layout.part(name, remote.size_bytes), self._layout.journal(name)
        try:
            found = self._download(remote, part, journal)
            if found != name:
                journal.unlink(missing_ok=True)
                found = self._download(remote, part, journal)
            if found != name:
                raise _altered(remote, found)
            _publish(part, path)
        except (OSError, IntegrityError, ObjectMissing) as error:
            if not isinstance(error, OSError) or error.errno in _FULL:
                self._room.forget(name)
            raise
        journal.unlink(missing_ok=True)
        trust(path, name)

    def _download(self, remote: Remote, part: Path, journal: Path) -> str:
        done = download(remote, part, journal)
        self._count(fetched_bytes=done.fetched_bytes)
        return done.digest

    def _count(self, **more: float) -> None:
        with self._counting:
            for name, number in more.items():
                self._counts[name] = self._counts.get(name, 0) + number

    @contextmanager
    def _explained(self, what: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in _FULL
            remedy = "free some space, lower PENSTOCK_CACHE_BYTES," if full else "make it a writable folder,"
            raise StoreError(
                f"cannot use local file {error.filename or self.root} for {what}: {error.strerror or error}; "
                f"{remedy} or choose another folder (PENSTOCK_CACHE)"
            ) from error


def _publish(part: Path, path: Path) -> None:
    """Give a flushed and verified file its final name, for good."""
    part.chmod(part.stat().st_mode & 0o555)
    path.parent.mkdir(exist_ok=True)
    part.rename(path)
    for folder in (path.parent, path.parent.parent):
        sync(folder)


def _altered(remote: Remote, found: str) -> IntegrityError:
    return IntegrityError(
        f"{remote.name} was altered: its bytes, fetched twice, have digest {found}; "
        "delete it there and make it again, or restore it from a backup"
    )
