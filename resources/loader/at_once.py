"""Owns the bringing of several shards at once: within a bound of bytes, the answers in their order.

It knows neither stores nor what is done to a shard.
"""

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Condition
from typing import TypeVar

from resources.loader.prefetch import IN_FLIGHT_BYTES, MOST_IN_FLIGHT
from resources.storage.background import in_background

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce:
    """How many shards of a dataset may be on their way here at once.

    Attributes:
        sizes_bytes: Bytes of each shard.
        room_bytes: Bytes that there is room for where they go.
    """

    sizes_bytes: Sequence[int]
    room_bytes: int

    @property
    def takes_any(self) -> bool:
        """Whether there is room for any of the shards."""
        return self.room_bytes >= max(self.sizes_bytes, default=0)

    def share(self, parts: int) -> "AtOnce":
        """Return what one of so many may have on its way that read at the same time."""
        return replace(self, room_bytes=self.room_bytes // parts)

    def begins_below_bytes(self, parts: int) -> int:
        """Return the bytes on their way from which on no other shard begins, for one of `parts`: two shards or more."""
        largest = max(self.sizes_bytes, default=0)
        return min(self.room_bytes, max(IN_FLIGHT_BYTES // parts, 2 * largest)) - largest + 1

    def may_begin(self, shard: int, flying_bytes: int) -> bool:
        """Return whether there is room for a shard beside those on their way."""
        return flying_bytes + self.sizes_bytes[shard] <= min(self.room_bytes, IN_FLIGHT_BYTES)


class Berths:
    """Lets shards come while there is room for them, whichever thread brings them, for whichever dataset.

    One for which there is never room comes alone: then it is for the place that it goes to, to say so.

    Args:
        room_bytes: Bytes that there is room for where they go.
    """

    def __init__(self, room_bytes: int) -> None:
        self._room_bytes = room_bytes
        self._begin()

    @contextmanager
    def of(self, size_bytes: int) -> Generator[None]:
        """Wait until there is room for so many bytes, and keep it for the length of the block."""
        if self._process_id != os.getpid():  # a fork has none of the threads that were bringing shards
            self._begin()
        with self._left:
            self._left.wait_for(lambda: not self._taken_bytes or self._taken_bytes + size_bytes <= self._room_bytes)
            self._taken_bytes += size_bytes
        try:
            yield
        finally:
            with self._left:
                self._taken_bytes -= size_bytes
                self._left.notify_all()

    def _begin(self) -> None:
        self._left, self._taken_bytes, self._process_id = Condition(), 0, os.getpid()


def joined(all_of: Sequence[AtOnce | None]) -> AtOnce | None:
    """Return the same of several datasets, whose shards follow each other; None if one of them has none."""
    known = [one for one in all_of if one is not None]
    if not known or len(known) < len(all_of):
        return None
    sizes_bytes = [size for one in known for size in one.sizes_bytes]
    return AtOnce(sizes_bytes=sizes_bytes, room_bytes=min(one.room_bytes for one in known))


def for_each(shards: Sequence[int], work: Callable[[int], R], at_once: AtOnce | None) -> list[R]:
    """Return what `work` returns for each shard, in their order.

    Args:
        shards: Their numbers.
        work: Is called in threads, unless `at_once` is None: then in this one, for one shard after the other.
        at_once: How many may be on their way.

    Raises:
        Exception: What `work` raised first. Nothing begins then any more, and what had begun has ended.
    """
    if at_once is None or len(shards) < 2:
        return [work(shard) for shard in shards]
    flying: dict[Future[R], int] = {}
    answers = list[Future[R]]()
    try:
        for shard in shards:
            while flying and (len(flying) >= MOST_IN_FLIGHT or not at_once.may_begin(shard, sum(flying.values()))):
                _land(flying)
            answers.append(in_background(lambda shard=shard: work(shard)))
            flying[answers[-1]] = at_once.sizes_bytes[shard]
        while flying:
            _land(flying)
    except Exception:
        wait(flying)
        raise
    return [answer.result() for answer in answers]


def _land(flying: dict[Future[R], int]) -> None:
    """Wait until one has ended; raise what it raised."""
    done, _ = wait(flying, return_when=FIRST_COMPLETED)
    for answer in done:
        del flying[answer]
    for answer in done:
        answer.result()
