"""Owns counted values: the distinct numbers of a column in order, and how often each occurs.

Everything that a profile says of numbers follows from them, and they do not depend on the order of the rows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.profiles.owners import Ints, Owners

Floats = NDArray[np.float64]
Numbers = NDArray[np.number]

CHUNK = 1 << 14
"""Rows worked on at once, so that what is computed of them stays in a core's cache."""
SORTED = 200_000
"""Up to so many values are always counted one by one."""
_BITS, _FEW = 16, 1 << 14
"""Bits of a hash of values, and how many different ones those may have that are called few: some 18,000 values."""
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

    @property
    def ends(self) -> tuple[int | float, int | float] | None:
        """The smallest and the largest value; None without values."""
        return (self.values[0].item(), self.values[-1].item()) if len(self.values) else None

    @cached_property
    def before(self) -> Ints:
        """Number of values before each distinct one, and at last all: shape ``(distinct + 1,)``."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    def times(self, scale: float) -> "Counted":
        """Return the values times a positive factor, as doubles."""
        return Counted(values=self.values * scale, counts=self.counts)

    single = 1
    """The most that a value counts for that occurs once."""

    def expect(self, ranks: Ints, points: Floats) -> None:
        """Prepare for these ranks and points: there is nothing to do."""

    def at_ranks(self, ranks: Ints) -> tuple[Numbers, Ints, Ints]:
        """Return the values at these ranks, counted from 1, and how many values are below and up to each."""
        places = np.searchsorted(self.before[1:], ranks, "left")
        return self.values[places], self.before[places], self.before[places + 1]

    def below(self, points: Floats) -> Ints:
        """Return how many values are smaller than each point."""
        return self.before[np.searchsorted(self.floats, points, "left")]

    def upto(self, points: Floats) -> Ints:
        """Return how many values are at most each point."""
        return self.before[np.searchsorted(self.floats, points, "right")]


def words_of(values: Numbers) -> Ints:
    """Return the 64 bits of each number, of equal numbers the same: those of a double, or of a whole number."""
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64, copy=False)
    return np.add(values, 0.0, dtype=np.float64).view(np.int64)  # -0.0 is 0.0


def count_values(values: Numbers) -> Counted:
    """Count finite numbers; -0.0 counts as 0.0."""
    return count_cheaply(values) or _count_sorted(values)


def count_cheaply(values: Numbers) -> Counted | None:
    """Count finite numbers if they, or their distinct ones, are few or lie densely; None means to sort them all.

    Which it is the values alone decide.
    """
    if not len(values):
        return Counted(values=values, counts=np.empty(0, np.int64))
    if np.issubdtype(values.dtype, np.integer):
        low, high = int(values.min()), int(values.max())
        if high - low < _DENSE * len(values):
            return _count_places(values, low, high)
    return _count_sorted(values) if len(values) <= SORTED else _count_few(values)


def _count_few(values: Numbers) -> Counted | None:
    """Count numbers of which few are distinct; None where they are not few, which the values alone decide.

    Few are those that own few slots of a hash table; what falls to the slot of another is sorted.
    """
    owners = Owners(_BITS)
    found = owners.add_few(lambda some: [words_of(values[some]).view(np.uint64)], len(values), _FEW)
    if found is None:
        return None
    keys, counts = owners.counted()
    owned = keys[0].view(np.int64 if np.issubdtype(values.dtype, np.integer) else np.float64)
    rest = _count_sorted(values[found[1]])
    distinct = np.concatenate([owned.astype(values.dtype), rest.values])
    order = np.argsort(distinct)
    return Counted(values=distinct[order], counts=np.concatenate([counts, rest.counts])[order])


def _count_places(values: Numbers, low: int, high: int) -> Counted:
    """Count whole numbers of a narrow range by their place in it."""
    places = np.bincount((values.astype(np.int64, copy=False) - low) if low or high else values)
    present = np.flatnonzero(places)
    return Counted(values=present + low, counts=places[present])


def _count_sorted(values: Numbers) -> Counted:
    # Polars' sort takes half the processor time of numpy's.
    ordered = pl.Series(values + values.dtype.type(0)).sort().to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
    if len(starts) == len(ordered):
        return Counted(values=ordered, counts=np.ones(len(ordered), np.int64))
    return Counted(values=ordered[starts], counts=np.diff(starts, append=len(ordered)))
