"""Owns the sums of powers that moments are made of, of counted values or of rows that pass."""

import math
from typing import Any, NamedTuple

import numpy as np

from quality.profiles.counted import Counted, Floats, Numbers

_PLAIN = 200
"""Up to 2**200 and down to 2**-200 the fourth powers of numbers are doubles too."""
_STRETCH = 1 << 16
"""Rows of which all is computed while they are near: fewer cost more calls, more do not stay in a core's cache."""
_DOTTED = 1 << 13
"""Rows of one scalar product: OpenBLAS divides larger ones among threads of its own."""
_FAR = 100
"""Distances from a point whose own, squared, from the mean is so many times the variance lose four digits of 16."""

Ends = tuple[int | float, int | float]


class Powers(NamedTuple):
    """Values of `rows` rows: their mean, and the sums of the second, third and fourth powers of the distances to it."""

    rows: int
    mean: float
    second: float
    third: float
    fourth: float


def counted_powers(counted: Counted, unit: float = 1.0) -> Powers:
    """Return the powers of counted values, of which there are some, times `unit`."""
    values, counts = counted.floats * unit if unit != 1 else counted.floats, counted.counts
    once = len(values) == counted.rows
    mean = values.mean() if once else (values * counts).sum() / counted.rows
    gap = values - mean
    square = gap * gap
    weighted = square if once else square * counts
    sums = (weighted.sum(), (weighted * gap).sum(), (weighted * square).sum())
    return Powers(counted.rows, float(mean), *map(float, sums))


def row_powers(values: Numbers, unit: float = 1.0, near: float = 0.0) -> tuple[Powers, Ends] | None:
    """Return the powers of some numbers times `unit`, right but for the rounding of doubles, and their own ends.

    Distances are taken from `near`: where that is about the mean, one pass suffices (Chan, Golub and LeVeque, 1983).

    Args:
        values: Numbers, shape ``(rows,)``, at least one.
        unit: Power of two that brings them near 1, where powers of them might leave the range of doubles.
        near: About the mean of the numbers times `unit`.

    Returns:
        None if a number is not finite.
    """
    rows, (first, second, third, fourth), ends = len(values), *_passed(values, unit, near)
    if not math.isfinite(first) and not np.isfinite(values).all():
        return None
    gap = first / rows
    about = (
        second - rows * gap**2,
        third - 3 * gap * second + 2 * rows * gap**3,
        fourth - 4 * gap * third + 6 * gap**2 * second - 3 * rows * gap**4,
    )
    if gap**2 > _FAR * about[0] / rows and near + gap != near:
        return row_powers(values, unit, float(near + gap))
    return Powers(rows, *map(float, (near + gap, *about))), ends


def _passed(values: Numbers, unit: float, near: float) -> tuple[Floats, Ends]:
    """Return the sums of the first four powers of distances from `near`, and the ends, stretch by stretch."""
    spare = np.empty((2, min(len(values), _STRETCH)))
    sums, ends = list[list[float]](), list[Any]()
    for start in range(0, len(values), _STRETCH):
        chunk = values[start : start + _STRETCH]
        gap, square = spare[:, : len(chunk)]
        ends += [chunk.min(), chunk.max()]
        if unit != 1:
            chunk = np.multiply(chunk, unit, out=gap)
        np.subtract(chunk, near, out=gap, dtype=np.float64)
        np.multiply(gap, gap, out=square)
        sums.append([gap.sum(), square.sum(), _dot(square, gap), _dot(square, square)])
    return np.sum(sums, axis=0), (min(ends).item(), max(ends).item())


def _dot(left: Floats, right: Floats) -> float:
    """Return the scalar product, in pieces that OpenBLAS does not divide among threads of its own."""
    even = len(left) // _DOTTED * _DOTTED
    pieces = np.vecdot(left[:even].reshape(-1, _DOTTED), right[:even].reshape(-1, _DOTTED))
    return pieces.sum() + left[even:] @ right[even:]


def power_unit(ends: Ends) -> float:
    """Return the power of two by which numbers between `ends` are multiplied before powers of them are added."""
    largest = max(map(abs, ends))
    return 1.0 if not largest or 2.0**-_PLAIN < largest < 2.0**_PLAIN else scale_of(float(largest))


def scale_of(*values: float) -> float:
    """Return the power of two that brings these values to at most 1; 0 where one is infinite."""
    largest = max(map(abs, values))
    return math.ldexp(1.0, min(1_000, -math.frexp(largest)[1])) if math.isfinite(largest) else 0.0
