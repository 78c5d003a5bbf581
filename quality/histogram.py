"""Owns histograms on nested grids: bins are whole multiples of a power of two, so that any two merge exactly."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

BINS = 32
"""About this many bins span the range of a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts over bins of width 2**exponent; bin i is [(first + i) width, (first + i + 1) width)."""

    exponent: int
    first: int
    counts: tuple[int, ...]

    @property
    def edges(self) -> tuple[float, ...]:
        """Edges of the bins, one more than bins."""
        return tuple(math.ldexp(self.first + i, self.exponent) for i in range(len(self.counts) + 1))

    def quantile(self, probability: float) -> float:
        """Return the value below which a share of the counts lies, interpolated within its bin."""
        rank, before = probability * sum(self.counts), 0
        for left, right, count in zip(self.edges, self.edges[1:], self.counts, strict=False):
            if count and before + count >= rank:
                return left + (right - left) * (rank - before) / count
            before += count
        return self.edges[-1]


def width_exponent(low: float, high: float) -> int:
    """Return the exponent of the narrowest power of two of which `BINS` span the range.

    >>> width_exponent(0.0, 64.0), width_exponent(0.0, 65.0), width_exponent(0.3, 0.3)
    (1, 2, 0)
    """
    half = (high / 2 - low / 2) / BINS  # halved first: the range of two doubles may overflow
    if half == 0:
        return 0
    mantissa, exponent = math.frexp(half)
    return exponent + (0 if mantissa == 0.5 else 1)


def histogram_of(exponent: int, places: Mapping[int, int]) -> Histogram:
    """Return the histogram of counts by bin number; bins between them that are missing are empty."""
    first = min(places)
    counts = tuple(places.get(first + i, 0) for i in range(max(places) - first + 1))
    return Histogram(exponent=exponent, first=first, counts=counts)


def merge_histograms(one: Histogram, two: Histogram) -> Histogram:
    """Return the sum of both on the coarser grid, coarsened further while it has 2 `BINS` bins or more."""
    exponent = max(one.exponent, two.exponent)
    places: dict[int, int] = {}
    for part in (one, two):
        for i, count in enumerate(part.counts):
            place = (part.first + i) >> (exponent - part.exponent)
            places[place] = places.get(place, 0) + count
    while max(places) - min(places) >= 2 * BINS:
        exponent += 1
        halved: dict[int, int] = {}
        for place, count in places.items():
            halved[place >> 1] = halved.get(place >> 1, 0) + count
        places = halved
    return histogram_of(exponent, places)
