"""Owns the cache of a host: `lease` finds a local copy or makes one, once for all processes, within the budget.

It knows no store: what is fetched is a `Remote`, what is made of that a `Made`. A hit opens no connection, waits for
nobody and scans nothing.
"""

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from resources.errors import StoreError
from resources.storage.cache.counters import Counters, host_counts
from resources.storage.cache.download import Made, Remote
from resources.storage.cache.fetch import FULL, Fetcher
from resources.storage.cache.hits import Hits
from resources.storage.cache.intake import Place
from resources.storage.cache.landing import landed
from resources.storage.cache.layout import Layout, spare_name
from resources.storage.cache.leases import leases_in
from resources.storage.cache.locks import locked
from resources.storage.cache.room import Room
from resources.storage.cache.stats import CacheStats, stats_of
from resources.storage.latencies import Policy
from resources.storage.verified import has_digest, is_bound_to_flush, may_be_torn, trust

PATIENCE_S = 300.0
"""Longest silence of another process in seconds: a store gives up on a frozen server sooner."""


class HostCache:
    """The cache in one folder, shared by all processes that name it.

    Args:
        root: The folder, on a local disk; made on the first download.
        budget_bytes: Most bytes that it may hold. None means half of what is free on its disk, counting what it holds
            already as free, judged anew at each download.
        patience_s: How long another process may stand still, in seconds, before waiting for it is an error.

    Attributes:
        hedging: What is known of how long requests take, for whoever sends them.
    """

    def __init__(self, root: Path, *, budget_bytes: int | None = None, patience_s: float = PATIENCE_S) -> None:
        self._layout = Layout(root.absolute())
        self._patience_s = patience_s
        self._hits = Hits(self._layout.root / "hits")
        self._leases = leases_in(self._layout.root / "leases")
        self._room = Room(self._layout, self._hits, self._leases, budget_bytes=budget_bytes, patience_s=patience_s)
        self._counters = Counters(self._layout.counters)
        self.hedging = Policy()
        self._fetcher = Fetcher(self._layout, self._room, self._leases, self._counters, self.hedging)

    @property
    def root(self) -> Path:
        """The folder."""
        return self._layout.root

    def lease(self, name: str, remote: Remote | Made) -> Path:
        """Return a file with the bytes of `remote`, which stays until `release` or the end of this process.

        Args:
            name: Digest of the bytes, by which all processes find them.
            remote: Where the bytes come from if the cache has none.

        Raises:
            ObjectMissing: If the store has no such object.
            IntegrityError: If the store's bytes do not have the digest, twice.
            StoreError: If the store or the disk fails, the budget is too small, or another process hangs.
        """
        try:
            return self._leased(name, remote)
        except OSError as error:
            raise self._told(remote.name, error) from error

    def path_of(self, name: str) -> Path:
        """Return where the copy of `name` lies, if there is one."""
        return self._layout.final(name)

    def open(self, name: str, size_bytes: int) -> int | None:
        """Return a descriptor of the copy of `name`, or None where there is none; the caller closes it.

        Args:
            name: Digest of the bytes.
            size_bytes: How many there are, for the count of hits.
        """
        try:
            descriptor = os.open(self._layout.final(name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._told(name, error) from error
        if is_bound_to_flush() and may_be_torn(os.fstat(descriptor), name):  # to be proved by `lease`
            os.close(descriptor)
            return None
        self._hit(name, size_bytes)
        return descriptor

    def landed(self, name: str, size_bytes: int, start: int, end: int) -> bytes | None:
        """Return unverified bytes of `name` out of a download that is under way, or None where that has none soon."""
        try:
            return landed(self._layout, name, size_bytes, start, end)
        except OSError as error:
            raise self._told(name, error) from error

    def take_in(self, name: str, what: str, size_bytes: int) -> Place | None:
        """Return the place for bytes that are written behind, kept for this process; None if there is a copy by now.

        What is taken in is meant to be read again and again: of the rest of the cache, what was not goes first.

        Args:
            name: Digest of the bytes.
            what: What they are, for people.
            size_bytes: How many.

        Raises:
            StoreError: If there is no room at once, the disk fails, or another process hangs.
        """
        held = ExitStack()
        with self._explained(what):
            try:
                self._leases.take(name)
                held.callback(self._leases.release, name)
                if not held.enter_context(self._turn(name)) or self._layout.final(name).exists():
                    held.close()
                    return None
                evicted = self._room.reserve(name, what, size_bytes, patience_s=0, comes_back=True)
                self._layout.journal(name).unlink(missing_ok=True)
            except BaseException:
                held.close()
                raise
        self._counters.add(misses=1, evictions=evicted)
        return Place(self._layout, self._room, name, size_bytes, held)

    def budget_bytes(self) -> int:
        """Return the most bytes that it may hold now.

        Raises:
            StoreError: If the folder cannot be used.
        """
        with self._explained("its index"):
            self._layout.make()
            return self._room.budget_bytes()

    def join(self, group: str) -> None:
        """Be one of those who read what `group`, a digest, names, until `leave` or the end of this process.

        Raises:
            StoreError: If the folder cannot be used.
        """
        with self._explained(group):
            self._leases.take(group)

    def leave(self, group: str) -> None:
        """Be none of them any more."""
        self._leases.release(group)

    def has_company(self, group: str) -> bool:
        """Return whether another process of this host has joined the group as well."""
        try:
            return self._leases.has_others(group)
        except OSError:
            return False

    def release(self, name: str) -> None:
        """Give back one lease; the file may then be evicted, but stays valid where it is open or mapped."""
        self._leases.release(name)
        self._counters.add_verified()

    def mend(self, name: str, remote: Remote | Made) -> None:
        """Put a good copy in the place of that of `name` if its bytes are damaged.

        The name stays, since others may have leased it: they find the one file or the other under it. Only where there
        is no room for both it goes first.

        Raises:
            ObjectMissing: If the store has no such object.
            IntegrityError: If the store's bytes do not have the digest, twice.
            StoreError: If the store or the disk fails.
        """
        with self._explained(remote.name), self._turn(name):
            if self._is_damaged(name):  # or another process was first
                self._fetcher.replace(name, remote)

    def drop_damaged(self, name: str, *, is_whole: Callable[[Path, str], bool] = has_digest) -> bool:
        """Remove the copy of `name` if its bytes are damaged, as `is_whole` tells; return whether they were.

        Where others have leased it, its name must stay: its time is changed instead, upon which each of them hashes it
        anew when it next asks for it, and mends it.
        """
        with self._explained(name), self._turn(name):
            damaged = self._is_damaged(name, is_whole)
            if damaged and not self._room.forget_idle(name):
                os.utime(self._layout.final(name))
            return damaged

    def count(self, **more: float) -> None:
        """Count more of what `CacheStats` names."""
        self._counters.add(**more)

    def count_often(self, **more: float) -> None:
        """Do so for what happens thousands of times a second: a kill may lose the last of them."""
        self._counters.add_often(**more)

    def stats(self) -> CacheStats:
        """Return what this process did, and what the folder holds."""
        return replace(self._counters.stats(), held_bytes=self._held_bytes())

    def host_stats(self) -> CacheStats:
        """Return what all processes did so far, and what the folder holds.

        Raises:
            StoreError: If the folder cannot be used, or another process keeps its locks for long.
        """
        self._counters.write()
        with self._explained("the statistics"):
            return stats_of(host_counts(self._layout.counters), held_bytes=self._held_bytes())

    def _held_bytes(self) -> int:
        if not self._layout.root.is_dir():
            return 0
        with self._explained("the statistics"):
            return self._room.held_bytes()

    def _leased(self, name: str, remote: Remote | Made) -> Path:
        self._leases.take(name)
        try:
            path = self._layout.final(name)
            try:
                status = path.stat()
            except FileNotFoundError:
                self._miss(name, remote, path)
            else:
                self._hit(name, status.st_size)
                if may_be_torn(status, name):
                    self._prove(name, remote, path)
        except BaseException:
            self._leases.release(name)
            raise
        return path

    def _hit(self, name: str, size_bytes: int) -> None:
        self._hits.add(name)
        self.count_often(hits=1, hit_bytes=size_bytes)

    def _prove(self, name: str, remote: Remote | Made, path: Path) -> None:
        if has_digest(path, name):
            trust(path, name)
        else:
            self.mend(name, remote)

    def _is_damaged(self, name: str, is_whole: Callable[[Path, str], bool] = has_digest) -> bool:
        try:
            damaged = not is_whole(self._layout.final(name), name)
        except FileNotFoundError:  # perhaps evicted just now
            return False
        self.count(damaged=int(damaged))
        return damaged

    def _miss(self, name: str, remote: Remote | Made, path: Path) -> None:
        asked = time.monotonic()
        with self._turn(name) as mine:
            if mine and not path.exists():
                self._fetcher.fetch(name, remote)
                return
        self.count_often(waits=1, waited_s=time.monotonic() - asked)  # a file of its own would hold up 64 who wait
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
        return [_changed(self._layout.journal(entry)) for entry in (name, spare_name(name))]

    @contextmanager
    def _explained(self, what: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise self._told(what, error) from error

    def _told(self, what: str, error: OSError) -> StoreError:
        full = error.errno in FULL
        remedy = "free some space, lower PENSTOCK_CACHE_BYTES," if full else "make it a writable folder,"
        return StoreError(
            f"cannot use local file {error.filename or self.root} for {what}: {error.strerror or error}; "
            f"{remedy} or choose another folder (PENSTOCK_CACHE)"
        )


def _changed(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return None
