"""Owns the opening of shards before their turn: what the order needs next is fetched, verified and mapped meanwhile."""

from collections.abc import Callable, Iterable
from threading import Lock

from resources.errors import PenstockError
from resources.storage.background import in_background

AT_ONCE = 2
"""Shards that are opened at a time: each is fetched in several requests."""


class Ahead:
    """Opens what is wanted next, in that order.

    Args:
        open_shard: Opens a shard by its number; what it cannot open is told by who reads it.
    """

    def __init__(self, open_shard: Callable[[int], object]) -> None:
        self._open = open_shard
        self._lock = Lock()
        self._todo: list[int] = []
        self._begun: set[int] = set()
        self._epoch = -1
        self._running = 0

    def want(self, epoch: int, shards: Iterable[int]) -> None:
        """Say which shards are needed next; those that were begun in this epoch are left out."""
        with self._lock:
            if epoch != self._epoch:
                self._epoch, self._begun = epoch, set()
            self._todo = [shard for shard in shards if shard not in self._begun]
            begin = min(AT_ONCE - self._running, len(self._todo))
            self._running += begin
        for _ in range(begin):
            in_background(self._work)

    def _work(self) -> None:
        while (shard := self._next()) is not None:
            try:
                self._open(shard)
            except PenstockError:
                continue

    def _next(self) -> int | None:
        with self._lock:
            if not self._todo:
                self._running -= 1
                return None
            shard = self._todo.pop(0)
            self._begun.add(shard)
            return shard
