"""Owns the packing of lengths into bins of one capacity: best fit decreasing, by the histogram of the lengths.

The longest come first, each into the fullest bin that still has room (best fit decreasing: Johnson, "Near-optimal bin
packing algorithms", 1973, at most 11/9 of the fewest bins and a few). Equal lengths are placed by one step, so that the
work grows with the number of different lengths, as in the histogram packing of Krell et al., "Efficient sequence
packing without cross-contamination", 2021.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class _Step(NamedTuple):  # a million are made for a plan, so no dataclass
    """Items of one length that go into bins with as much room as each other.

    Attributes:
        length: Of the items.
        room: That each bin had; the capacity where they are new.
        bins: How many.
        each: Items that each of them gets.
    """

    length: int
    room: int
    bins: int
    each: int


def bins_needed(lengths: NDArray[np.integer], capacity: int) -> int:
    """Return how many bins `best_fit` takes.

    >>> bins_needed(np.array([6, 5, 4, 3, 2]), 10)
    2
    """
    return sum(step.bins for step in _steps(lengths, capacity) if step.room == capacity)


def best_fit(lengths: NDArray[np.integer], capacity: int) -> NDArray[np.int64]:
    """Return the bin of each item, shape ``(items,)``; bins are numbered from 0 on.

    Args:
        lengths: Of the items, each from 1 to `capacity`, shape ``(items,)``.
        capacity: Of a bin.

    >>> best_fit(np.array([6, 5, 4, 3, 2]), 10).tolist()
    [0, 1, 0, 1, 1]
    """
    placed = list[int]()
    with_room: dict[int, list[int]] = {}
    opened = 0
    for step in _steps(lengths, capacity):
        if step.room == capacity:
            bins = list(range(opened, opened + step.bins))
            opened += step.bins
        else:
            free = with_room[step.room]
            bins = free[-step.bins :]
            del free[-step.bins :]
        placed += bins if step.each == 1 else [one for one in bins for _ in range(step.each)]
        with_room.setdefault(step.room - step.each * step.length, []).extend(bins)
    found = np.empty(len(lengths), np.int64)
    found[np.argsort(-lengths.astype(np.int64), kind="stable")] = placed
    return found


def _steps(lengths: NDArray[np.integer], capacity: int) -> Iterator[_Step]:
    """Yield what goes where, the longest first."""
    counts = np.bincount(lengths, minlength=1)
    free = [0] * (capacity + 1)  # bins by room
    rooms = 0  # the bit of each room that some bin has
    for length in np.flatnonzero(counts)[::-1].tolist():
        left = int(counts[length])
        while left:
            fitting = rooms >> length
            room = length + (fitting & -fitting).bit_length() - 1 if fitting else capacity
            each = min(room // length, left)
            # Bins that get as many as fit; who is left over goes by a step of its own.
            bins = left // each if not fitting else min(left // each, free[room])
            if fitting:
                free[room] -= bins
                if not free[room]:
                    rooms ^= 1 << room
            rest = room - each * length
            if rest:
                free[rest] += bins
                rooms |= 1 << rest
            left -= bins * each
            yield _Step(length, room, bins, each)
