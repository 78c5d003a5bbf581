"""Owns the way of one file into the cache: room, download, digest, publication under its name.

Who calls holds the lock of the file and a lease of it.
"""

import errno
from pathlib import Path

from resources.durable import sync
from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.storage.cache.counters import Counters
from resources.storage.cache.download import Made, Remote, download
from resources.storage.cache.layout import Layout, spare_name
from resources.storage.cache.leases import Leases
from resources.storage.cache.room import Room
from resources.storage.latencies import Policy
from resources.storage.verified import WRITE_BITS, is_bound_to_flush, trust

FULL = (errno.ENOSPC, errno.EDQUOT)


class Fetcher:
    """Fetches into one cache folder."""

    def __init__(self, layout: Layout, room: Room, leases: Leases, counters: Counters, hedging: Policy) -> None:
        self._layout = layout
        self._room = room
        self._leases = leases
        self._counters = counters
        self._hedging = hedging

    def fetch(self, name: str, remote: Remote | Made) -> None:
        """Download, verify and publish what is not there."""
        self._counters.add(misses=1)
        self._counters.add(evictions=self._room.reserve(name, remote.name, remote.size_bytes))
        self._fill(name, name, remote)

    def replace(self, name: str, remote: Remote | Made) -> None:
        """Do the same for a damaged copy, in room of its own; the copy goes first only if there is no such room."""
        spare = spare_name(name)
        self._leases.take(spare)
        try:
            try:
                evicted = self._room.reserve(spare, remote.name, remote.size_bytes, patience_s=0)
            except StoreError:
                self._room.forget(name)
                return
            self._counters.add(misses=1, evictions=evicted)
            self._fill(spare, name, remote)
            self._room.forget(spare)
        finally:
            self._leases.release(spare)

    def _fill(self, entry: str, name: str, remote: Remote | Made) -> None:
        """Download into the room of `entry`, verify, and publish as `name`."""
        part, journal = self._layout.part(entry, remote.size_bytes), self._layout.journal(entry)
        path = self._layout.final(name)
        try:
            found = self._download(remote, part, journal)
            if found != name:
                journal.unlink(missing_ok=True)
                self._counters.add(retries=1)
                found = self._download(remote, part, journal)
            if found != name:
                raise altered(remote.name, found)
            publish(part, path)
        except (OSError, IntegrityError, ObjectMissing) as error:
            if not isinstance(error, OSError) or error.errno in FULL:
                self._room.forget(entry)
            raise
        journal.unlink(missing_ok=True)
        trust(path, name)

    def _download(self, remote: Remote | Made, part: Path, journal: Path) -> str:
        is_made = isinstance(remote, Made)
        done = remote.make(part, self._hedging) if is_made else download(remote, part, journal, self._hedging)
        self._counters.add(fetched_bytes=done.fetched_bytes, hedges=done.hedges, hedges_won=done.hedges_won)
        return done.digest


def publish(part: Path, path: Path) -> None:
    """Give a verified file its final name; what a loss of power may do to it, its next reader finds by the digest."""
    flush = is_bound_to_flush()
    if flush:
        sync(part)
        part.chmod(part.stat().st_mode & ~WRITE_BITS)
    path.parent.mkdir(exist_ok=True)
    part.rename(path)
    if flush:
        for folder in (path.parent, path.parent.parent):
            sync(folder)


def altered(what: str, found: str) -> IntegrityError:
    """Return the error of a file in a store whose bytes have the digest `found`, again and again."""
    return IntegrityError(
        f"{what} was altered: its bytes, fetched twice, have digest {found}; "
        "delete it there and make it again, or restore it from a backup"
    )
