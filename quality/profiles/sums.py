"""Owns sums that do not depend on the order of their terms, so that moments are a function of the rows alone.

A term is split at a fixed binary place, as by Demmel and Nguyen (2015): what is above it adds up without rounding.
"""

from collections.abc import Callable

import numpy as np

from quality.profiles.counted import CHUNK, Floats, Numbers

_UNIT_BITS = 48
_SPLIT = 1.5 * 2.0 ** (52 - _UNIT_BITS)
"""Added and taken away again, this rounds numbers up to 1 to multiples of 2**-48."""
_TOGETHER = 1 << (53 - _UNIT_BITS)
"""So many of them add up exactly in a double."""
ERROR = 2.0 ** -(_UNIT_BITS + 1)
"""Largest error of a term of a sum of one split; of a finer one it is the square."""

Terms = Callable[[Floats, Floats], None]


def exact_sums(values: Numbers, terms: Terms, count: int, *, finer: bool = False) -> list[float]:
    """Return sums of what `terms` makes of the values, each right within `ERROR` a value, the same in any order.

    Args:
        values: Numbers, shape ``(rows,)``.
        terms: Writes the terms of some values, given as doubles, of shape ``(n,)``, to an array of shape
            ``(count, n)``; none of them is past 1.
        count: Number of sums.
        finer: Whether to add what a split leaves too: then the error is `ERROR` squared.
    """
    totals = [0] * count
    made, upper = np.zeros((count, CHUNK)), np.empty((count, CHUNK))
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK].astype(np.float64, copy=False)
        made[:, len(chunk) :] = 0
        terms(chunk, made[:, : len(chunk)])
        added = _added(made, upper, 1.0)
        if finer:
            made -= upper
            added = [
                (high << _UNIT_BITS + 1) + low for high, low in zip(added, _added(made, upper, ERROR), strict=True)
            ]
        totals = [total + part for total, part in zip(totals, added, strict=True)]
    bits = 2 * _UNIT_BITS + 1 if finer else _UNIT_BITS
    return [total / (1 << bits) for total in totals]


def _added(terms: Floats, upper: Floats, size: float) -> list[int]:
    """Return the sums of what is above the split, in units of it, and write that to `upper`; no term is past `size`."""
    np.add(terms, _SPLIT * size, out=upper)
    np.subtract(upper, _SPLIT * size, out=upper)
    sums = upper.reshape(len(terms), _TOGETHER, -1).sum(axis=1) * (2.0**_UNIT_BITS / size)
    return sums.astype(np.int64).sum(axis=1).tolist()
