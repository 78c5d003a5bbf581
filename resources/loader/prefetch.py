"""Owns the fetching of shards before their turn: by the order, within a bound of bytes, and the letting go of others.

What the readers need now comes first, then what follows. It knows neither stores nor how a shard is opened.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from resources.errors import PenstockError
from resources.storage.background import in_background

AHEAD_BYTES = 96 * 2**20
"""Least bytes that are fetched ahead of those in use, if there are as many; and as many shards as are in use."""
MOST_AHEAD = 256
"""Most shards ahead, however small, unless more are in use."""
IN_FLIGHT_BYTES = 256 * 2**20
"""Bytes of shards that are being fetched from which on no other begins."""
MOST_IN_FLIGHT = 16
_LATE = 3
"""Positions beyond one a thread that are given out before the first of them is waited for."""


class Open(Protocol):
    """Holds shards that are open."""

    def open(self, shard: int, is_wanted: Callable[[], bool]) -> None:
        """Open a shard, unless it is open, or another thread is about it, or it is wanted no longer."""
        ...

    def has(self, shard: int) -> bool:
        """Return whether a shard is open, or about to be."""
        ...

    def retain(self, shards: Iterable[int]) -> None:
        """Let go of all others."""
        ...


class Prefetch:
    """Has the shards open that come next.

    Args:
        opened: Holds those that are open.
        sizes_bytes: Bytes of each shard.
        shards_from: Returns the shards that an epoch needs from a position on, in that order.
        together: How many of these are in use at a time.
        in_flight_bytes: Bytes that are being fetched from which on no other shard begins.
    """

    def __init__(
        self,
        opened: Open,
        sizes_bytes: Sequence[int],
        shards_from: Callable[[int, int], Iterable[int]],
        together: int,
        in_flight_bytes: int = IN_FLIGHT_BYTES,
    ) -> None:
        self._opened = opened
        self._sizes_bytes = sizes_bytes
        self._shards_from = shards_from
        self._together = together
        self._in_flight_bytes = in_flight_bytes
        self._lock = Lock()
        self._readers: list[tuple[int, int]] = []
        self._latest = deque[tuple[int, int]]()
        self._most_readers = 1
        self._todo: list[int] = []
        self._needed: frozenset[int] = frozenset()
        self._wanted_now: frozenset[int] = frozenset()
        self._in_flight: set[int] = set()
        self._failed: set[int] = set()

    @contextmanager
    def reading(self, epoch: int, position: int) -> Generator[None]:
        """Say that samples from a position on are being read, so that what they need stays, and what follows comes."""
        with self._lock:
            self._readers.append((epoch, position))
            wanted = self._wanted(*min(self._readers))
            self._needed = frozenset(wanted[: self._together])
            self._wanted_now = frozenset(wanted)
            self._opened.retain(self._wanted_now.union(self._wanted(*self._oldest(epoch, position))))
            self._todo = [shard for shard in wanted if shard not in self._failed and not self._opened.has(shard)]
            begun = self._begun()
        self._begin(begun)
        try:
            yield
        finally:
            with self._lock:
                self._readers.remove((epoch, position))

    def _oldest(self, epoch: int, position: int) -> tuple[int, int]:
        """Return the first of the latest positions: a thread may have been given one that follows, and be late."""
        self._latest.append((epoch, position))
        self._most_readers = max(self._most_readers, len(self._readers))
        while len(self._latest) > self._most_readers + _LATE:
            self._latest.popleft()
        return min(self._latest)

    def _wanted(self, epoch: int, position: int) -> list[int]:
        wanted, ahead_bytes = list[int](), 0
        for shard in self._shards_from(epoch, position):
            ahead = len(wanted) - self._together
            if ahead >= self._together and (ahead_bytes >= AHEAD_BYTES or ahead >= MOST_AHEAD):
                break
            ahead_bytes += self._sizes_bytes[shard] if ahead >= 0 else 0
            wanted.append(shard)
        return wanted

    def _begun(self) -> list[int]:
        """Return what is to be opened at once: some of what is to be done, which counts as in flight now."""
        begun = list[int]()
        while self._todo and self._may_begin(self._todo[0]):
            shard = self._todo.pop(0)
            if shard not in self._in_flight:
                self._in_flight.add(shard)
                begun.append(shard)
        return begun

    def _may_begin(self, shard: int) -> bool:
        """Return whether there is room; what is not needed yet takes none of what somebody waits for."""
        if shard not in self._needed and not self._needed.isdisjoint(self._in_flight):
            return False
        flying_bytes = sum(self._sizes_bytes[shard] for shard in self._in_flight)
        return flying_bytes < self._in_flight_bytes and len(self._in_flight) < MOST_IN_FLIGHT

    def _begin(self, shards: Iterable[int]) -> None:
        for shard in shards:
            in_background(lambda shard=shard: self._open(shard))

    def _open(self, shard: int) -> None:
        failed = True
        try:
            self._opened.open(shard, lambda: shard in self._wanted_now)  # or its reader was quicker, and has left it
            failed = False
        except PenstockError:  # told by who reads it
            pass
        finally:
            with self._lock:
                self._in_flight.discard(shard)
                if failed:
                    self._failed.add(shard)
                begun = self._begun()
            self._begin(begun)
