"""Owns the moments of a column: mean, standard deviation, skewness, kurtosis, and those of several columns together."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from quality.profiles.counted import Counted, Floats, Numbers
from quality.profiles.powers import Powers, counted_powers, power_unit, scale_of
from quality.profiles.sums import ERROR, Terms, exact_sums

DIGITS = 9
"""Significant digits kept: the order of addition, which processors choose, changes the 15th."""


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


def moments(counted: Counted) -> Moments:
    """Return the moments of counted values."""
    if counted.ends is None:
        return Moments()
    unit = power_unit(counted.ends)
    with np.errstate(over="ignore", invalid="ignore"):
        return _of(counted_powers(counted, unit), unit)


def row_moments(values: Numbers, ends: tuple[float, float]) -> Moments:
    """Return the moments of many numbers that are not all equal and lie between `ends`; their order does not show."""
    rows, scale = len(values), scale_of(*ends)

    def scaled(chunk: Floats, out: Floats) -> None:
        np.multiply(chunk, scale, out=out[0])

    mean = _sums(values, scaled, 1, lambda found: [abs(found[0])])[0] / rows / scale
    unit = scale_of(ends[0] - mean, ends[1] - mean)
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
