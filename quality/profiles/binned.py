"""Owns ranks of many numbers without a sort of them all: counts in narrow bins, and a sort of those that are asked of.

A sample places the bins, so they change with the order of the rows. The values at ranks and the ranks of values that
come of them do not: they are those of the sorted rows.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from quality.profiles.counted import CHUNK, Counted, Floats, Ints, Numbers, count_cheaply, count_values

_HALF = 1 << 15
"""Most bins on each side of the middle."""
_SAMPLE = 1_024
_BESIDE = 2
"""Bins sorted on each side of an expected one: cut points are stored with fewer digits than the values have."""
_FEW = 1_000
"""Ranks are few that are fewer: those of a sketch that is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Bins that are even near the middle and widen with the distance from it, as floating point numbers do.

    Attributes:
        middle: Where the bins of both sides meet.
        width: Up to this far from the middle bins are even; twice as far they are twice as wide, and so on.
        shift: Bits of a distance that do not choose a bin.
    """

    middle: float
    width: float
    shift: int

    def places(self, values: Floats) -> Ints:
        """Return the bin of each value, rising with the values; past the ends they go on."""
        with np.errstate(over="ignore"):
            gaps = self.middle - values  # 0.0 of equal values and never -0.0, whose sign would tell two zeros apart
            keys = (np.abs(gaps) + self.width).view(np.int64)
        keys >>= self.shift
        keys -= _bits(self.width) >> self.shift
        keys ^= gaps.view(np.int64) >> 63
        return np.subtract(_HALF - 1, keys, out=keys)


class Binned:
    """The ranks of numbers of which most occur once or a few times.

    Attributes:
        values: Finite numbers in any order, shape ``(rows,)``.
        ends: The smallest and the largest.
    """

    single = 1
    """The most that a value counts for that occurs once."""

    def __init__(self, values: Numbers) -> None:
        """Count the values in bins."""
        self.values = values
        self.ends = (values.min().item() + 0.0, values.max().item() + 0.0)
        with np.errstate(over="ignore"):
            self._grid = _grid(values, self.ends)
        self._places = np.empty(len(values), np.int64)
        for start in range(0, len(values), CHUNK):
            chunk = values[start : start + CHUNK].astype(np.float64, copy=False)
            self._places[start : start + CHUNK] = self._grid.places(chunk)
        self._counts = np.bincount(self._places, minlength=2 * _HALF)
        self._before = np.concatenate([[0], np.cumsum(self._counts)])
        self._sorted = np.zeros(2 * _HALF, np.bool_)
        """Which bins are sorted."""
        self._ordered, self._starts = np.empty(0), np.zeros_like(self._before)
        """Their values in order, and where those of each bin start."""

    @property
    def rows(self) -> int:
        """Number of values."""
        return len(self.values)

    def expect(self, ranks: Ints, points: Floats) -> None:
        """Prepare for these ranks and points, in one pass over the rows; of few ranks for what is beside them too."""
        beside = np.arange(-_BESIDE, _BESIDE + 1) if len(ranks) < _FEW else np.zeros(1, np.int64)
        bins = np.searchsorted(self._before[1:], ranks, "left")[:, None] + beside
        self._sort(np.concatenate([self._bins(bins.ravel()), self._bins(self._grid.places(points))]))

    def at_ranks(self, ranks: Ints) -> tuple[Floats, Ints, Ints]:
        """Return the values at these ranks, counted from 1, and how many values are below and up to each."""
        bins = np.searchsorted(self._before[1:], ranks, "left")
        self._sort(bins)
        shift = self._before[bins] - self._starts[bins]
        values = self._ordered[ranks - shift - 1]
        return values, self._found(values, "left") + shift, self._found(values, "right") + shift

    def below(self, points: Floats) -> Ints:
        """Return how many values are smaller than each point."""
        return self._ranks(points, "left")

    def upto(self, points: Floats) -> Ints:
        """Return how many values are at most each point."""
        return self._ranks(points, "right")

    def _ranks(self, points: Floats, side: str) -> Ints:
        bins = self._bins(self._grid.places(points))
        self._sort(bins)
        return self._before[bins] + self._found(points, side) - self._starts[bins]

    @staticmethod
    def _bins(places: Ints) -> Ints:
        return np.clip(places, 0, 2 * _HALF - 1)

    def _found(self, points: Floats, side: str) -> Ints:
        return np.searchsorted(self._ordered, points, "left" if side == "left" else "right")

    def _sort(self, bins: Ints) -> None:
        """Sort the values of these bins too."""
        if self._sorted[bins].all() or not self._counts[bins[~self._sorted[bins]]].any():  # there is nothing to sort
            return
        wanted = self._sorted.copy()
        wanted[bins] = True
        found = self.values[np.flatnonzero(wanted.take(self._places))]
        self._ordered = pl.Series(found.astype(np.float64) + 0.0).sort().to_numpy()
        self._sorted = wanted
        self._starts = np.concatenate([[0], np.cumsum(np.where(wanted, self._counts, 0))])


def ranked(values: Numbers) -> Counted | Binned:
    """Return the ranks of finite numbers: counted one by one where that is cheap or tells of keys, in bins otherwise.

    Which of the two is decided by the values alone.
    """
    if np.issubdtype(values.dtype, np.integer):
        return count_values(values)
    return count_cheaply(values) or Binned(values)


def _grid(values: Numbers, ends: tuple[float, float]) -> Grid:
    sample = values[:: max(1, len(values) // _SAMPLE)].astype(np.float64)
    middle = float(np.median(sample)) + 0.0
    if not np.isfinite(middle):  # the mean of two of the largest doubles
        middle = float(sample[0])
    gaps = np.abs(middle - sample)
    width = float(np.median(gaps)) or float(gaps.mean()) or 1.0
    reach = _bits(max(abs(middle - ends[0]), abs(middle - ends[1])) + width)
    shift = 0
    while (reach >> shift) - (_bits(width) >> shift) >= _HALF:
        shift += 1
    return Grid(middle=middle, width=width, shift=shift)


def _bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))
