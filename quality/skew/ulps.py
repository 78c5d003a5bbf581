"""Owns the distance of two floats in units in the last place."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Distances = NDArray[np.uint64]


def ulp_distances(one: pl.Series, two: pl.Series) -> Distances:
    """Return how many floats lie between each pair, in the type of the series; 0.0 and -0.0 are the same.

    The bits of an IEEE 754 float, read as a sign and a whole number, count the floats from zero on (Dawson, 2012).
    Infinity is next to the largest float; NaN is refused by nobody and far from everything.

    >>> ulp_distances(pl.Series([1.0, -0.0]), pl.Series([1.0 + 2**-51, 0.0])).tolist()
    [2, 0]
    """
    places = [_places(side) for side in (one, two)]
    return np.where(places[0] > places[1], places[0] - places[1], places[1] - places[0])


def histogram(distances: Distances) -> dict[int, int]:
    """Return the counts of distances above zero in bins of powers of two, by the lower end of each bin.

    >>> histogram(np.array([0, 1, 2, 3, 8], np.uint64))
    {1: 1, 2: 2, 8: 1}
    """
    some = distances[distances > 0]
    # log2 of a float rounds 2**k - 1 up to k from k = 53 on: whole numbers do not.
    exponents = np.zeros(len(some), np.int64)
    left = some.copy()
    for step in (32, 16, 8, 4, 2, 1):
        large = left >= np.uint64(1) << np.uint64(step)
        exponents[large] += step
        left[large] >>= np.uint64(step)
    found, counts = np.unique(exponents, return_counts=True)
    return {2 ** int(exponent): int(count) for exponent, count in zip(found, counts, strict=True)}


def _places(values: pl.Series) -> Distances:
    """Return the floats as whole numbers in their order, zero at 2**63."""
    numbers = values.to_numpy()
    wide = {2: np.uint16, 4: np.uint32, 8: np.uint64}[numbers.dtype.itemsize]
    bits = numbers.view(wide).astype(np.uint64)
    sign = np.uint64(1) << np.uint64(8 * numbers.dtype.itemsize - 1)
    middle = np.uint64(1) << np.uint64(63)
    return np.where(bits & sign, middle - (bits & ~sign), middle + bits)
