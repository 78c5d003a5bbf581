"""Owns the two sides of a column laid beside each other: ranks at the same points, shares of the same bins.

It measures nothing (`quality.drift.statistics` does).
"""

from dataclasses import dataclass, replace

import numpy as np

from quality.profiles.columns import ColumnProfile
from quality.profiles.counted import Floats
from quality.profiles.quantiles import Quantiles

MAX_CATEGORIES = 100
"""Categories past the most frequent ones are taken as one: names that occur once or twice show no drift."""
_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Both distribution functions at the points of both sketches, as shares of all values.

    Attributes:
        points: Points in ascending order, shape ``(points,)``.
        below: Share below each point, of the reference and of the batch, shape ``(2, points)``.
        upto: Share up to each point, shape ``(2, points)``.
        doubt: By how much the sketches may misstate the difference of the two at each point, shape ``(points,)``.
        error: By how much at worst anywhere.
        edges: The reference's deciles, ends of the bins.
    """

    points: Floats
    below: Floats
    upto: Floats
    doubt: Floats
    error: float
    edges: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two samples of one column.

    Attributes:
        counts: Rows per bin or category, of the reference and of the batch, shape ``(2, bins)``.
        sizes: Effective rows of both: as many independent ones would tell as much.
        steps: The distribution functions of what has an order.
        spreads: Standard deviations of both sides, of what has an order; None where they are undefined.
        names: The categories that the first bins stand for, in order.
        unlisted: By how much the lists of frequent values may misstate the total variation distance.
    """

    counts: Floats
    sizes: tuple[float, float]
    steps: Steps | None = None
    spreads: tuple[float, float] | None = None
    names: tuple[str, ...] = ()
    unlisted: float = 0.0

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of both sides."""
        before, after = self.counts.sum(axis=1).tolist()
        return round(before), round(after)

    @property
    def shares(self) -> Floats:
        """Share of each bin, shape ``(2, bins)``."""
        return self.counts / self.counts.sum(axis=1, keepdims=True)

    def sized(self, sizes: tuple[float, float]) -> "Pair":
        """Return the pair with other effective rows."""
        return replace(self, sizes=sizes)


def ordered_pair(reference: ColumnProfile, current: ColumnProfile) -> Pair:
    """Lay two columns of numbers or times beside each other; infinities lie below and above all others.

    Bins are the reference's deciles that are values themselves, so no bin edge needs arithmetic on infinities.
    """
    sides = (reference, current)
    sketches = [side.sketch or Quantiles() for side in sides]
    points = np.unique(np.concatenate([sketch.points for sketch in sketches]))
    points = points if len(points) else np.zeros(1)  # infinities alone
    rows = np.array([[side.count + side.infinite] for side in sides], np.float64)
    found = [_ranks(sketch, side, points) for sketch, side in zip(sketches, sides, strict=True)]
    below, upto = (np.stack([part[which] for part in found]) / rows for which in (0, 1))
    doubts = np.stack([part[2] for part in found]) / rows
    error = sum(sketch.rank_error for sketch in sketches)
    edges = _edges(upto[0])
    steps = Steps(points=points, below=below, upto=upto, doubt=doubts.sum(axis=0), error=error, edges=points[edges])
    ends = upto[:, edges] * rows
    counts = np.diff(np.concatenate([np.zeros((2, 1)), ends, rows], axis=1), axis=1)
    spreads = (reference.std, current.std)
    return Pair(
        counts=counts[:, counts.sum(axis=0) > 0],
        sizes=(float(reference.observed), float(current.observed)),
        steps=steps,
        spreads=_spreads(steps) if None in spreads else (reference.std or 0.0, current.std or 0.0),
    )


def category_pair(reference: ColumnProfile, current: ColumnProfile) -> Pair:
    """Lay two columns of categories beside each other, the most frequent first; the others count as one.

    A list of frequent values that is not complete tells values apart only well above its error. Infinite codes are
    among the others.
    """
    sides = (reference, current)
    lists = [dict(side.top) for side in sides]
    rows = [side.count + side.infinite for side in sides]
    errors = [side.top_error / count for side, count in zip(sides, rows, strict=True)]
    sizes = {
        value: max(listed.get(value, 0) / count for listed, count in zip(lists, rows, strict=True))
        for value in dict.fromkeys([*lists[0], *lists[1]])
    }
    ranked = sorted(sizes, key=lambda value: (-sizes[value], value))
    kept = [value for value in ranked if sizes[value] > 2 * max(errors)][:MAX_CATEGORIES]
    counts = np.array([[listed.get(value, 0) for value in kept] for listed in lists], np.float64).reshape(2, -1)
    rest = np.array([rows], np.float64).T - counts.sum(axis=1, keepdims=True)
    unlisted = sum(error for listed, error in zip(lists, errors, strict=True) for value in kept if value not in listed)
    paired = counted_pair(np.concatenate([counts, np.maximum(rest, 0)], axis=1))
    sampled = (float(reference.observed), float(current.observed))
    return replace(paired, sizes=sampled, names=tuple(kept), unlisted=unlisted / 2)


def missing_pair(reference: ColumnProfile, current: ColumnProfile) -> Pair:
    """Lay the shares of nulls and NaN beside each other."""
    sides = (reference, current)
    missing = [side.nulls + side.nans for side in sides]
    return counted_pair(
        np.array([[part, side.rows - part] for part, side in zip(missing, sides, strict=True)], np.float64)
    )


def counted_pair(counts: Floats) -> Pair:
    """Return the pair of two vectors of counts, shape ``(2, categories)``, without the empty ones."""
    present = counts[:, counts.sum(axis=0) > 0]
    before, after = present.sum(axis=1).tolist()
    return Pair(counts=present, sizes=(before, after))


def _ranks(sketch: Quantiles, side: ColumnProfile, points: Floats) -> tuple[Floats, Floats, Floats]:
    if not sketch.points:
        low = np.full(len(points), float(side.negative_infinite))
        return low, low, np.zeros(len(points))
    below, upto, doubt = sketch.ranks().at(points)
    shift = side.negative_infinite
    return (
        (below + shift).astype(np.float64),
        (upto + shift).astype(np.float64),
        (doubt + sketch.error).astype(np.float64),
    )


def _edges(upto: Floats) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Return the places of the reference's deciles among the points."""
    places = np.searchsorted(upto, np.arange(1, _BINS) / _BINS - 1e-12, "left")
    return np.unique(places[places < len(upto)])


def _spreads(steps: Steps) -> tuple[float, float]:
    """Return the standard deviations of both sides, each step's mass taken at its point."""
    masses = np.diff(steps.upto, axis=1, prepend=0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # near the largest float: not finite, so no area is told
        means = masses @ steps.points
        squares = (masses * (steps.points - means[:, None]) ** 2).sum(axis=1)
    before, after = np.sqrt(squares).tolist()
    return before, after
