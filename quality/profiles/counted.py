"""Owns counted values: the distinct numbers of a column in order, and how often each occurs.

Everything that a profile says of numbers follows from them, and they do not depend on the order of the rows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = NDArray[np.number]

_DENSE = 4
"""Whole numbers whose range is at most this many times their count are counted by place instead of sorted."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Distinct numbers and their counts.

    Attributes:
        values: Distinct finite numbers in ascending order, shape ``(distinct,)``, in their own type.
        counts: How often each occurs, all positive, shape ``(distinct,)``.
    """

    values: Numbers
    counts: Ints

    @cached_property
    def rows(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @cached_property
    def floats(self) -> Floats:
        """The values as doubles: whole numbers past 2**53 lose their last digits."""
        return self.values.astype(np.float64, copy=False)

    @cached_property
    def before(self) -> Ints:
        """Number of values before each distinct one, and at last all: shape ``(distinct + 1,)``."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    def below(self, points: Floats) -> Ints:
        """Return how many values are smaller than each point."""
        return self.before[np.searchsorted(self.floats, points, "left")]

    def upto(self, points: Floats) -> Ints:
        """Return how many values are at most each point."""
        return self.before[np.searchsorted(self.floats, points, "right")]


def count_values(values: Numbers) -> Counted:
    """Count finite numbers; -0.0 counts as 0.0."""
    if np.issubdtype(values.dtype, np.integer):
        return _count_whole(values)
    return _count_ordered(_sorted(values + values.dtype.type(0)))


def _count_whole(values: Numbers) -> Counted:
    if not len(values):
        return Counted(values=values, counts=np.empty(0, np.int64))
    low, high = int(values.min()), int(values.max())
    if high - low >= _DENSE * len(values):
        return _count_ordered(_sorted(values))
    places = np.bincount((values.astype(np.int64, copy=False) - low) if low or high else values)
    present = np.flatnonzero(places)
    return Counted(values=present + low, counts=places[present])


def _sorted(values: Numbers) -> Numbers:
    return pl.Series(values).sort().to_numpy()  # half the processor time of numpy.sort, on all cores


def _count_ordered(ordered: Numbers) -> Counted:
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
    if len(starts) == len(ordered):
        return Counted(values=ordered, counts=np.ones(len(ordered), np.int64))
    return Counted(values=ordered[starts], counts=np.diff(starts, append=len(ordered)))
