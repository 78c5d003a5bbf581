"""Owns exact order statistics in bounded memory.

A sample brackets each quantile narrowly; one pass counts what lies below each bracket, one keeps what lies inside.
Where a bracket misses the rank, the next pass narrows the interval that must hold it. Nothing is approximated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.suites.needs import Order, Unsettled

if TYPE_CHECKING:
    from quality.suites.source import Source

_DEVIATIONS = 6.0
"""Half the width of a bracket in standard deviations of a sample's rank."""
_INSIDE = 1_000_000
"""Most values that are kept of one interval."""
_CUTS = 64
_LARGEST = 8e307  # the difference of two such floats is one still


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Closed intervals of values, ascending and apart; without any, all values are kept."""

    intervals: tuple[tuple[Any, Any], ...]  # Any: whatever the column holds

    @classmethod
    def everything(cls) -> Self:
        """Return the bracket that keeps all values."""
        return cls(intervals=())

    def counts(self, value: pl.Expr) -> list[pl.Expr]:
        """Return expressions of how many values there are, and how many lie below each interval."""
        below = [(value < low).sum().alias(str(place)) for place, (low, _) in enumerate(self.intervals)]
        return [value.count().alias("count"), *below]

    def inside(self, value: pl.Expr) -> pl.Expr:
        """Return the mask of the values that are kept."""
        within = [value.is_between(low, high) for low, high in self.intervals]
        return pl.any_horizontal(within) if within else value.is_not_null()


class OrderStatistics:
    """Values by rank; each is found when it is asked for, from what a pass kept, or by further passes."""

    def __init__(
        self,
        source: "Source | None",
        need: Order,
        count: int,
        kept: Sequence[tuple[int, NDArray[Any]]],  # Any: whatever the column holds
    ) -> None:
        self.count = count
        self._source = source
        self._need = need
        self._kept = kept

    def at(self, rank: int) -> Any:
        """Return the value of `rank`, from 0."""
        for below, values in self._kept:
            if below <= rank < below + len(values):
                return values[rank - below].item()
        if self._source is None:
            raise IndexError(f"rank {rank} of {self.count} values is not among those kept")
        return _narrowed(self._source, self._need.value, rank)


def quantile(order: OrderStatistics, share: float, how: str) -> float:
    """Return a quantile as numpy's method `how` interpolates it; NaN of no values.

    Raises:
        Unsettled: If there is no such method.
    """
    if not order.count:
        return math.nan
    place = (order.count - 1) * (share * 100 / 100)
    low, high = math.floor(place), math.ceil(place)
    match how:
        case "nearest":
            return order.at(round(place))
        case "lower":
            return order.at(low)
        case "higher":
            return order.at(high)
        case "linear" | "midpoint":
            part = place - low if how == "linear" else 0.5 * (high - low)
            before, after = float(order.at(low)), float(order.at(high))
            if not all(map(math.isfinite, (before, float(order.at(min(low + 1, order.count - 1)))))):
                raise Unsettled("interpolation beside infinities, of which numpy makes NaN")
            step = after - before
            return before + step * part if part < 0.5 else after - step * (1 - part)
        case _:
            raise Unsettled(f"quantiles by {how!r}")


def bracket(runs: Sequence[pl.Series], quantiles: Sequence[float]) -> Bracket:
    """Return the intervals in which the quantiles lie, going by samples from all over the source."""
    sample = pl.concat(runs).sort()
    size = len(sample)
    if not size:
        return Bracket.everything()
    margin = [_DEVIATIONS * math.sqrt(size * q * (1 - q)) + _DEVIATIONS for q in quantiles]
    places = sorted(
        (max(0, math.floor(q * (size - 1) - wide)), min(size - 1, math.ceil(q * (size - 1) + wide)))
        for q, wide in zip(quantiles, margin, strict=True)
    )
    merged: list[tuple[int, int]] = []
    for low, high in places:
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    values = [(sample[low], sample[high]) for low, high in merged]
    apart = [pair for place, pair in enumerate(values) if place == 0 or pair[0] > values[place - 1][1]]
    return Bracket(intervals=tuple(apart))


def ordered(source: "Source", need: Order, bracket: Bracket) -> OrderStatistics:
    """Return the order statistics of a column from two passes: one that counts, one that keeps what the bracket says.

    In one query with the counts, Polars would hold the whole column until they are done.
    """
    value = pl.col("value")
    rows = source.frame.select(need.value.alias("value"))
    counted = rows.select(bracket.counts(value)).collect(engine="streaming").row(0)
    values = rows.filter(bracket.inside(value)).collect(engine="streaming").to_series().sort()
    if not bracket.intervals:
        return OrderStatistics(source, need, counted[0], [(0, values.to_numpy())])
    kept = [
        (below, values.filter(values.is_between(low, high)).to_numpy())
        for below, (low, high) in zip(counted[1:], bracket.intervals, strict=True)
    ]
    return OrderStatistics(source, need, counted[0], kept)


def _narrowed(source: "Source", value: pl.Expr, rank: int) -> Any:
    """Return the value of `rank` by narrowing the interval that holds it, pass by pass."""
    low, high = (
        source.frame.select(value.min().alias("low"), value.max().alias("high")).collect(engine="streaming").row(0)
    )
    below = 0
    while low < high:
        cuts = _between(low, high)
        counts = (
            source.frame.select((value < cut).sum().alias(str(place)) for place, cut in enumerate(cuts))
            .collect(engine="streaming")
            .row(0)
        )
        lower = [(cut, count) for cut, count in zip(cuts, counts, strict=True) if count <= rank]
        upper = [(cut, count) for cut, count in zip(cuts, counts, strict=True) if count > rank]
        within = value >= (lower[-1][0] if lower else low)
        within = within & (value < upper[0][0]) if upper else within & (value <= high)
        below = lower[-1][1] if lower else below
        inside = value.filter(within)
        if upper and upper[0][1] - below <= _INSIDE:
            values = source.frame.select(inside).collect(engine="streaming").to_series().sort()
            return values[rank - below]
        low, high = (
            source.frame.select(inside.min().alias("low"), inside.max().alias("high"))
            .collect(engine="streaming")
            .row(0)
        )
    return low


def _between(low: float, high: float) -> list[float]:
    """Return numbers that divide the interval from `low` to `high`, ascending; the last one is `high`."""
    if isinstance(low, int):
        return sorted({low + (int(high) - low) * part // _CUTS for part in range(1, _CUTS + 1)})
    cuts = np.linspace(max(low, -_LARGEST), min(high, _LARGEST), _CUTS + 1).tolist()
    return sorted({cut for cut in cuts if low < cut < high} | {high})
