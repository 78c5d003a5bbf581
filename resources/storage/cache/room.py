"""Owns the budget of the cache: room is reserved before a download begins, so that it is never exceeded.

A reservation is an empty part file whose name says how many bytes it will have; the index only remembers the order.
"""

import shutil
import time

from resources.errors import StoreError
from resources.storage.cache.eviction import admit, make_room
from resources.storage.cache.hits import Hits
from resources.storage.cache.index import Index, Table
from resources.storage.cache.layout import Layout
from resources.storage.cache.leases import Leases

_PAUSE_S = 0.05


class Room:
    """The room in one cache folder, as one process sees it.

    Args:
        layout: The folder.
        hits: How often entries were read.
        leases: What is in use.
        budget_bytes: Most bytes to hold; None means half of what is free on the disk, with what is held.
        patience_s: Longest wait in seconds for others to let go of something.
    """

    def __init__(
        self, layout: Layout, hits: Hits, leases: Leases, *, budget_bytes: int | None, patience_s: float
    ) -> None:
        self._layout = layout
        self._hits = hits
        self._leases = leases
        self._budget_bytes = budget_bytes
        self._patience_s = patience_s
        self._index = Index(layout, patience_s=patience_s)

    def reserve(
        self, name: str, what: str, size_bytes: int, *, patience_s: float | None = None, comes_back: bool = False
    ) -> int:
        """Reserve room for `name` and return how many entries were evicted for it.

        The caller holds lock and lease of `name`. What a killed process reserved for the same is taken over.

        Args:
            name: Name of the entry.
            what: What it is, for people.
            size_bytes: Bytes to reserve.
            patience_s: Longest wait for others, in seconds; None means that of all waits.
            comes_back: Whether it is known to be read again and again, so that it goes after what may not be.

        Raises:
            StoreError: If it can never fit, or others use all the rest for too long.
        """
        deadline, evicted = time.monotonic() + (self._patience_s if patience_s is None else patience_s), 0
        while True:
            with self._index.opened() as table:
                reserved, more = self._attempt(table, name, what, size_bytes, comes_back)
            evicted += more
            if reserved:
                return evicted
            if time.monotonic() > deadline:
                raise self._none(what, size_bytes, "other processes are reading or fetching all the rest")
            time.sleep(_PAUSE_S)

    def forget(self, name: str) -> None:
        """Remove files and reservation of `name`."""
        with self._index.opened() as table:
            self._layout.remove(name, table.size_of(name) or 0)
            table.remove(name)

    def forget_idle(self, name: str) -> bool:
        """Do so unless somebody leases `name`; return whether it was done."""
        with self._index.opened() as table:
            if not self._dropped(name, table.size_of(name) or 0):
                return False
            table.remove(name)
            return True

    def held_bytes(self) -> int:
        """Return the bytes held and reserved by all processes."""
        with self._index.opened() as table:
            return _held(table)

    def budget_bytes(self) -> int:
        """Return the most bytes that may be held now."""
        with self._index.opened() as table:
            return self._budget(table)

    def _attempt(self, table: Table, name: str, what: str, size_bytes: int, comes_back: bool) -> tuple[bool, int]:
        budget_bytes = self._budget(table)
        if size_bytes > budget_bytes:
            raise self._none(what, size_bytes, f"it may hold {budget_bytes:,} bytes in all")
        reserved = table.size_of(name)
        if reserved == size_bytes and self._layout.part(name, size_bytes).exists():
            return True, 0
        if reserved is not None:
            self._layout.remove(name, reserved)
            table.remove(name)
        self._check_share(table, what, size_bytes, budget_bytes)
        fits, evicted = make_room(
            table, self._hits, need_bytes=size_bytes, budget_bytes=budget_bytes, drop=self._dropped
        )
        if fits:
            self._layout.journal(name).unlink(missing_ok=True)
            self._layout.part(name, size_bytes).touch()
            admit(table, self._hits, name, size_bytes, comes_back=comes_back)
        return fits, evicted

    def _budget(self, table: Table) -> int:
        if self._budget_bytes is not None:
            return self._budget_bytes
        return (shutil.disk_usage(self._layout.root).free + _held(table)) // 2

    def _check_share(self, table: Table, what: str, size_bytes: int, budget_bytes: int) -> None:
        mine = sum(table.size_of(name) or 0 for name in self._leases.names())
        if mine + size_bytes > budget_bytes:
            reason = f"this process is using {mine:,} of its {budget_bytes:,} bytes and needs both at once"
            raise self._none(what, size_bytes, reason)

    def _dropped(self, name: str, size_bytes: int) -> bool:
        with self._leases.idle(name) as free:
            if free:
                self._layout.remove(name, size_bytes)
            return free

    def _none(self, what: str, size_bytes: int, reason: str) -> StoreError:
        return StoreError(
            f"the cache {self._layout.root} has no room for {what} of {size_bytes:,} bytes: {reason}; "
            "raise PENSTOCK_CACHE_BYTES, or move PENSTOCK_CACHE to a larger disk"
        )


def _held(table: Table) -> int:
    return table.bytes_in("small") + table.bytes_in("main")
