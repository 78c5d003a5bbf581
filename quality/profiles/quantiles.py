"""Owns the quantile sketch: exact ranks at a few hundred cut points of a column, mergeable with a bound that it states.

Random sketches (KLL) of equal data differ in their bytes, so they cannot be part of a digest; this one is a function
of the values alone, whatever their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.profiles.binned import Binned
from quality.profiles.counted import Counted, Floats, Ints
from quality.profiles.scaled import Scaled

POINTS = 256
"""Cut points kept: between two of them lies at most 1 in 256 of the values."""
_DIGITS = 2
"""Decimal digits that a cut point keeps of its distance from the next one, where its value occurs once. Ranks are
counted at the cut point as it is kept, so the shorter number costs no exactness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Ranks at cut points.

    Attributes:
        points: Cut points in ascending order; the first is the smallest value and the last the largest.
        gaps: Number of values between each point and the one before it, neither included.
        masses: Number of values at each point.
        error: By how many values a rank at a point may be wrong: 0 unless merged.
    """

    points: tuple[float, ...] = ()
    gaps: tuple[int, ...] = ()
    masses: tuple[int, ...] = ()
    error: int = 0

    @property
    def rows(self) -> int:
        """Number of values."""
        return sum(self.gaps) + sum(self.masses)

    @property
    def rank_error(self) -> float:
        """Largest error of a rank anywhere, as a share of the values."""
        return (self.error + max(self.gaps)) / self.rows if self.points else 0.0

    def ranks(self) -> "Ranks":
        """Return the sketch as arrays."""
        gaps, masses = np.array(self.gaps, np.int64), np.array(self.masses, np.int64)
        upto = np.cumsum(gaps + masses)
        return Ranks(points=np.array(self.points), below=upto - masses, upto=upto)

    def quantile(self, probability: float) -> float:
        """Return the value below which a share of the values lies, interpolated between points.

        Its rank is right within `rank_error`.
        """
        ranks = self.ranks()
        rank = probability * self.rows
        place = int(np.searchsorted(ranks.upto, rank, "left"))
        if place == 0 or rank >= ranks.below[place]:
            return float(ranks.points[place])
        left, right = ranks.points[place - 1], ranks.points[place]
        share = (rank - ranks.upto[place - 1]) / (ranks.below[place] - ranks.upto[place - 1])
        return float(left + (right - left) * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """A sketch as arrays: how many values are below and up to each point, each of shape ``(points,)``."""

    points: Floats
    below: Ints
    upto: Ints

    def at(self, values: Floats) -> tuple[Ints, Ints, Ints]:
        """Return at each value how many lie below it, how many up to it, and by how many that may be wrong.

        At points these are the sketch's own; between two points the count is interpolated.
        """
        last = len(self.points) - 1
        right = np.searchsorted(self.points, values, "left")
        at_point = self.points[np.minimum(right, last)] == values
        inside = (right > 0) & (right <= last)
        right, left = np.minimum(right, last), np.maximum(right - 1, 0)
        start, end = self.upto[left], self.below[right]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            share = (values - self.points[left]) / (self.points[right] - self.points[left])
        share = np.where(np.isfinite(share), share, 0.5)
        between = start + np.floor((end - start) * share).astype(np.int64)
        outside = np.where(values < self.points[0], 0, self.upto[-1])
        middle = np.where(inside, between, outside)
        doubt = np.where(inside & ~at_point, np.maximum(between - start, end - between), 0)
        below = np.where(at_point, self.below[right], middle)
        return below, np.where(at_point, self.upto[right], middle), doubt


def sketch(found: Counted | Binned | Scaled, *, points: int = POINTS) -> Quantiles:
    """Return the sketch of values: exact where at most `points` distinct ones were counted."""
    if isinstance(found, Counted) and len(found.values) <= points:
        return _made(found.floats, np.zeros(len(found.values), np.int64), found.counts)
    ranks = cut_ranks(found.rows, points)
    found.expect(ranks, np.empty(0))
    values, below, upto = found.at_ranks(ranks)
    if points <= POINTS:
        new = np.concatenate([[True], values[1:] != values[:-1]])
        chosen = _shortened(values[new].astype(np.float64), (upto - below)[new] <= found.single)
    else:
        chosen = np.unique(values.astype(np.float64))
    below, upto = found.below(chosen), found.upto(chosen)
    return _made(chosen, np.diff(upto, prepend=0) - (upto - below), upto - below)


def cut_ranks(rows: int, points: int) -> Ints:
    """Return the ranks of the cut points, counted from 1: evenly spaced, the first and the last among them.

    Of more than are stored, also all ranks before the second and after the last but one: values lie far apart there.
    """
    even = 1 + np.arange(points) * (rows - 1) // (points - 1)
    ends = np.arange(min(rows, rows // points + 1) if points > POINTS else 0)
    return np.unique(np.concatenate([even, 1 + ends, rows - ends]))


def _shortened(chosen: Floats, once: NDArray[np.bool_]) -> Floats:
    """Return the chosen values, those that occur `once` with fewer digits; the first and the last as they are."""
    halves = np.diff(chosen / 2)  # halved first: the range of two doubles may overflow
    digits = _DIGITS - np.floor(np.log10(np.maximum(np.minimum(halves[1:], halves[:-1]), 5e-324)))
    kept = [
        round(value, int(places)) if short else value
        for value, places, short in zip(chosen[1:-1].tolist(), digits.tolist(), once[1:-1].tolist(), strict=True)
    ]
    return np.unique(np.concatenate([chosen[:1], kept, chosen[-1:]]))


def merge_sketches(parts: Sequence[Quantiles], *, points: int = POINTS) -> Quantiles:
    """Return the sketch of all values of `parts`, in whatever order they come.

    A rank at a point that another part lacks is interpolated there; `error` is the bound of all that together.
    """
    filled = [part for part in parts if part.points]
    if len(filled) < 2:
        return filled[0] if filled else Quantiles()
    every = np.unique(np.concatenate([part.points for part in filled]))
    below, upto, error = np.zeros(len(every), np.int64), np.zeros(len(every), np.int64), np.zeros(len(every), np.int64)
    for part in filled:
        low, high, doubt = part.ranks().at(every)
        below, upto, error = below + low, upto + high, error + doubt + part.error
    kept = _spread(below, upto, points)
    gaps = below[kept] - np.concatenate([[0], upto[kept][:-1]])
    return _made(every[kept], gaps, upto[kept] - below[kept], int(error.max()))


def _spread(below: Ints, upto: Ints, points: int) -> Ints:
    """Return which points to keep: those at evenly spaced ranks, and every one that many values equal."""
    if len(below) <= points:
        return np.arange(len(below))
    places = np.searchsorted(upto, cut_ranks(int(upto[-1]), points), "left")
    return np.unique(np.concatenate([places, [0, len(below) - 1]]))


def _made(points: Floats, gaps: Ints, masses: Ints, error: int = 0) -> Quantiles:
    return Quantiles(
        points=tuple(points.tolist()), gaps=tuple(gaps.tolist()), masses=tuple(masses.tolist()), error=error
    )
