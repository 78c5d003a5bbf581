"""Owns the moments of a column: mean, standard deviation, skewness, kurtosis, and those of several columns together."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from quality.profiles.counted import Counted, Floats, Numbers
from quality.profiles.sums import ERROR, Terms, exact_sums

DIGITS = 9
"""Significant digits kept: the order of addition, which processors choose, changes the 15th."""
_PLAIN = 200
"""Up to 2**200 and down to 2**-200 the fourth powers of numbers are doubles too."""
_STRETCH = 1 << 16
"""Rows of which all is computed while they are near: fewer cost more calls, more do not stay in a core's cache."""
_DOTTED = 1 << 13
"""Rows of one scalar product: OpenBLAS divides larger ones among threads of its own."""
_FAR = 100
"""A mean is not near that lies so many times the variance, squared, from the true one: two digits are lost so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Moments of numbers, each rounded to 9 digits, and None where it is undefined or past the range of doubles.

    Attributes:
        mean: Mean.
        std: Sample standard deviation (n - 1); undefined for fewer than two values.
        skewness: Third standardised central moment; undefined for a constant.
        kurtosis: Fourth standardised central moment less 3; undefined for a constant.
    """

    mean: float | None = None
    std: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None


Ends = tuple[int | float, int | float]


class Powers(NamedTuple):
    """Values of `rows` rows: their mean, and the sums of the second, third and fourth powers of the distances to it."""

    rows: int
    mean: float
    second: float
    third: float
    fourth: float


def moments(counted: Counted) -> Moments:
    """Return the moments of counted values."""
    if counted.ends is None:
        return Moments()
    unit = power_unit(counted.ends)
    with np.errstate(over="ignore", invalid="ignore"):
        return _of(counted_powers(counted, unit), unit)


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
    """Return the powers of some numbers times `unit`, right but for the rounding of doubles, and their ends.

    Distances are taken from `near` first, so that one pass suffices where that is about the mean.

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
        return row_powers(values, unit, near + gap)
    return Powers(rows, near + gap, *about), ends


def _passed(values: Numbers, unit: float, near: float) -> tuple[list[float], Ends]:
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
    return [float(sum(terms)) for terms in zip(*sums, strict=True)], (min(ends).item(), max(ends).item())


def _dot(left: Floats, right: Floats) -> float:
    """Return the scalar product, in pieces that OpenBLAS does not divide among threads of its own."""
    even = len(left) // _DOTTED * _DOTTED
    pieces = np.vecdot(left[:even].reshape(-1, _DOTTED), right[:even].reshape(-1, _DOTTED))
    return pieces.sum() + left[even:] @ right[even:]


def power_unit(ends: Ends) -> float:
    """Return the power of two by which numbers between `ends` are multiplied before powers of them are added."""
    largest = max(map(abs, ends))
    return 1.0 if not largest or 2.0**-_PLAIN < largest < 2.0**_PLAIN else _scale(float(largest))


def row_moments(values: Numbers, ends: tuple[float, float]) -> Moments:
    """Return the moments of many numbers that are not all equal and lie between `ends`; their order does not show."""
    rows, scale = len(values), _scale(*ends)

    def scaled(chunk: Floats, out: Floats) -> None:
        np.multiply(chunk, scale, out=out[0])

    mean = _sums(values, scaled, 1, lambda found: [abs(found[0])])[0] / rows / scale
    unit = _scale(ends[0] - mean, ends[1] - mean)
    if not unit:  # the range is past that of doubles
        return Moments(mean=rounded(mean))

    def powers(chunk: Floats, out: Floats) -> None:
        gap = chunk - mean
        gap *= unit
        np.multiply(gap, gap, out=out[0])
        np.multiply(out[0], gap, out=out[1])
        np.multiply(out[0], out[0], out=out[2])

    def sizes(found: Sequence[float]) -> list[float]:
        return [found[0], max(abs(found[1]), rows * (found[0] / rows) ** 1.5), found[2]]

    with np.errstate(over="ignore", invalid="ignore"):
        sums = [
            float(np.float64(found) * np.float64(1 / unit) ** power)
            for power, found in enumerate(_sums(values, powers, 3, sizes), start=2)
        ]
    return _of(Powers(rows, mean, *sums))


def _sums(
    values: Numbers, terms: Terms, count: int, sizes: Callable[[Sequence[float]], Sequence[float]]
) -> list[float]:
    """Return sums that are right within half of the ninth digit of their `sizes`."""
    sums = exact_sums(values, terms, count)
    if any(len(values) * ERROR > 5 * 10.0 ** -(DIGITS + 1) * size for size in sizes(sums)):
        return exact_sums(values, terms, count, finer=True)
    return sums


def _scale(*values: float) -> float:
    """Return the power of two that brings these values to at most 1; 0 where one is infinite."""
    largest = max(map(abs, values))
    return math.ldexp(1.0, min(1_000, -math.frexp(largest)[1])) if math.isfinite(largest) else 0.0


def merge_moments(parts: Sequence[tuple[int, Moments]]) -> Moments:
    """Return the moments of all values of `parts`, each the number of its values and their moments (Pébay, 2008)."""
    filled = [(count, part) for count, part in parts if count]
    if not filled or any(part.mean is None or (part.std is None and count > 1) for count, part in filled):
        return Moments()
    try:
        return merge_powers([_powers_of(count, part) for count, part in filled])
    except OverflowError:
        return Moments()


def merge_powers(parts: Sequence[Powers], unit: float = 1.0) -> Moments:
    """Return the moments of all values of `parts`, which are powers of values times `unit` (Pébay, 2008).

    Sums are rounded once, so the order of the parts does not show.
    """
    rows = sum(part.rows for part in parts)
    try:
        mean = math.fsum(part.rows * part.mean for part in parts) / rows
        sums = [_about(mean, part) for part in parts]
        second, third, fourth = (math.fsum(terms) for terms in zip(*sums, strict=True))
    except OverflowError:
        return Moments()
    return _of(Powers(rows, mean, second, third, fourth), unit)


def rounded(value: float | None) -> float | None:
    """Return a finite value to 9 significant digits, and None for others."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")


def _powers_of(count: int, part: Moments) -> Powers:
    second = (part.std or 0.0) ** 2 * (count - 1)
    spread = math.sqrt(second / count)
    third = (part.skewness or 0.0) * spread**3 * count
    fourth = ((part.kurtosis + 3) if part.kurtosis is not None else 0.0) * spread**4 * count
    return Powers(count, part.mean or 0.0, second, third, fourth)


def _about(mean: float, part: Powers) -> tuple[float, float, float]:
    """Return the sums of the second, third and fourth powers of the distances of a part's values from `mean`."""
    count, own, second, third, fourth = part
    gap = own - mean
    return (
        second + count * gap**2,
        third + 3 * gap * second + count * gap**3,
        fourth + 4 * gap * third + 6 * gap**2 * second + count * gap**4,
    )


def _of(whole: Powers, unit: float = 1.0) -> Moments:
    rows, mean, second, third, fourth = whole
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        spread = np.sqrt(np.float64(second) / rows)
        # A spread that is only the rounding of the mean has no shape.
        shaped = spread > 1e-9 * abs(mean) and np.isfinite(spread) and 0 < spread**4 < math.inf
        return Moments(
            mean=rounded(mean / unit),
            std=rounded(math.sqrt(second / (rows - 1)) / unit) if rows > 1 and math.isfinite(second) else None,
            skewness=rounded(float(third / rows / spread**3)) if shaped else None,
            kurtosis=rounded(float(fourth / rows / spread**4 - 3)) if shaped else None,
        )
