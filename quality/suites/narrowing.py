"""Owns exact order statistics of values that pass once, in bounded memory.

Around each wanted rank an interval is held that narrows as values pass: what lies below it is counted, what lies within
is kept. It can never widen, so where values drift along the rows the rank may leave it; then only another reading of
the rows tells (`quality.suites.ranks`), and a sample of what passed says where to look.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]  # Any: numbers of whatever type the column has
_MOST = 1 << 18
"""Most values that are kept within one interval."""
_ROOM = 1 << 17
"""Values that are left within an interval when it is narrowed."""
_EVERY = 16
"""Its new ends are looked for among one in so many of the values within."""
_SAMPLED = 1 << 17
_THIN = 16
"""Of the values, one in so many is sampled; of more than `_SAMPLED`, one in so many again."""


class Interval:
    """The values around one quantile of those that have passed.

    Values beyond an end are counted, and so are those equal to it: however often a value occurs, what is kept strictly
    between the ends is bounded. An end that is None is open.

    Args:
        quantile: The share of the values around whose rank it lies.
        values: All values that have passed.
    """

    def __init__(self, quantile: float, values: Values) -> None:
        self._quantile = quantile
        self._low: Any = None  # Any: a number of the column's type
        self._high: Any = None
        self._below = self._at_low = self._at_high = 0
        self._kept = [values]
        self._size = len(values)
        self.narrow(len(values))

    def take(self, values: Values, count: int) -> None:
        """Take the next values; `count` have passed with them."""
        if self._low is not None:
            self._below += _count(values < self._low)
            self._at_low += _count(values == self._low)
        if self._high is not None and self._high != self._low:
            self._at_high += _count(values == self._high)
        within = _between(values, self._low, self._high)
        self._kept.append(within)
        self._size += len(within)
        if self._size > _MOST:
            self.narrow(count)

    def narrow(self, count: int) -> None:
        """Leave about `_ROOM` values around the rank among `count`; ends that the rank is close to stay open."""
        self._narrow(count, _EVERY)
        if self._size > _MOST:  # what is looked at for speed is unlike the rest
            self._narrow(count, 1)

    def _narrow(self, count: int, every: int) -> None:
        """Put the ends where one in `every` of the values within says."""
        values = np.concatenate(self._kept)
        place = round(self._quantile * (count - 1))
        last = self._below + self._at_low + len(values) + self._at_high - 1
        first_wanted = min(max(place - _ROOM // 2, self._below), last)
        last_wanted = min(first_wanted + _ROOM, last)
        ordered = np.sort(values[::every])
        low, high = (self._about(wanted, len(values), ordered) for wanted in (first_wanted, last_wanted))
        low = None if self._low is None and first_wanted <= 0 else low
        high = None if self._high is None and last_wanted >= count - 1 else high
        if low is not None and low != self._low:
            at_old_high = self._at_high if low == self._high else 0
            self._below += self._at_low + _count(values < low)
            self._at_low = _count(values == low) + at_old_high
        if high is None or high == low:
            self._at_high = 0
        elif high != self._high:
            self._at_high = _count(values == high)
        self._low, self._high = low, high
        self._kept = [_between(values, low, high)]
        self._size = len(self._kept[0])

    def runs(self) -> list[tuple[int, Values]]:
        """Return runs of consecutive values, ascending: the rank of the first of them, and the values."""
        inside = np.sort(np.concatenate(self._kept))
        start = self._below + self._at_low
        return [
            (self._below, _repeated(self._low, self._at_low)),
            (start, inside),
            (start + len(inside), _repeated(self._high, self._at_high)),
        ]

    def _about(self, rank: int, size: int, ordered: Values) -> Any:
        """Return the value of about `rank`, going by some of the `size` values within."""
        place = rank - self._below - self._at_low
        if place < 0:
            return self._low
        return ordered[place * len(ordered) // size] if place < size else self._high


class Sample:
    """One in so many of the values that have passed, from all over the rows."""

    def __init__(self) -> None:
        self._count = 0
        self._stride = _THIN
        self._kept: list[Values] = []

    def take(self, values: Values) -> None:
        """Take the next values."""
        self._kept.append(values[-self._count % self._stride :: self._stride].copy())
        self._count += len(values)
        if sum(map(len, self._kept)) > _SAMPLED:
            self._kept = [np.concatenate(self._kept)[::_THIN].copy()]
            self._stride *= _THIN

    def values(self) -> Values:
        """Return the sampled values, in the order of the rows."""
        return np.concatenate(self._kept)


def ranks_of(quantiles: Sequence[float], count: int) -> list[int]:
    """Return the ranks of `count` values that quantiles, and what is interpolated between them, ask for."""
    found: set[int] = set()
    for quantile in quantiles:
        place = (count - 1) * quantile
        found |= set(range(max(math.floor(place) - 1, 0), min(math.ceil(place) + 1, count - 1) + 1))
    return sorted(found)


def _between(values: Values, low: Any, high: Any) -> Values:
    if low is None and high is None:
        return values
    if low is None:
        return values[values < high]
    if high is None:
        return values[values > low]
    return values[(values > low) & (values < high)]


def _repeated(value: Any, count: int) -> Values:
    return np.broadcast_to(np.asarray(value), (count,))  # takes no memory


def _count(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))
