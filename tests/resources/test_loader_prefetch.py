"""Which shards stay in memory while threads read what follows one after the other."""

import threading
from collections.abc import Callable, Iterable

from resources.loader.prefetch import Prefetch

SHARDS = 50


class Opened:
    """Notes which shards are open, and how often each was opened."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.kept: set[int] = set()
        self._open: set[int] = set()
        self._lock = threading.Lock()

    def open(self, shard: int, is_wanted: Callable[[], bool] = lambda: True) -> None:
        with self._lock:
            if shard not in self._open and is_wanted():
                self._open.add(shard)
                self.opened.append(shard)

    def has(self, shard: int) -> bool:
        return shard in self._open

    def retain(self, shards: Iterable[int]) -> None:
        with self._lock:
            self.kept = set(shards)
            self._open &= self.kept


def prefetch(opened: Opened) -> Prefetch:
    """Return what fetches shards of which each is one position of an epoch."""
    return Prefetch(opened, [2**20] * SHARDS, lambda _, position: range(position, SHARDS), together=1)


def test_a_thread_that_is_late_finds_its_shard_still_open():
    opened = Opened()
    ahead = prefetch(opened)
    with ahead.reading(0, 10):
        opened.open(10)
        opened.open(11)
    with ahead.reading(0, 12):  # by another thread, before the one that was given 11 comes
        assert opened.has(11)
        with ahead.reading(0, 11):
            opened.open(11)
    assert opened.opened.count(11) == 1


def test_shards_that_all_threads_have_left_are_let_go_of():
    opened = Opened()
    ahead = prefetch(opened)
    for position in range(SHARDS):
        with ahead.reading(0, position):
            assert position in opened.kept
            assert min(opened.kept) >= position - 4
