"""Owns sums that do not depend on the order of their terms, so that moments are a function of the rows alone.

A term is split at a fixed binary place, as in Demmel and Nguyen (2015): what is above it adds up without rounding.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from quality.profiles.counted import CHUNK, Floats, Numbers

_BLOCK = 256
"""Terms added at once: sums of so many multiples of 2**-45 up to 1 are exact in a double."""
_SPLIT = 1.5 * 2.0**7
"""Added and taken away again, this rounds numbers up to 1 to multiples of 2**-45."""
_SECOND = 2.0**-46
"""What is left of a number is at most this."""
ERROR = _SECOND
"""Largest error of a term of a sum of one split; of two it is the square."""

Terms = Callable[[Floats], Sequence[Floats]]


def exact_sums(values: Numbers, terms: Terms, *, twice: bool = False) -> list[float]:
    """Return the sums of what `terms` makes of the values, each right within `ERROR` a value, the same in any order.

    Args:
        values: Numbers, shape ``(rows,)``.
        terms: Makes of some values, as doubles, the terms of each sum, none of them past 1.
        twice: Whether to add what one split leaves too: then the error is `ERROR` squared.
    """
    blocks: list[list[Floats]] = []
    for chunk in _chunks(values):
        for place, term in enumerate(terms(chunk)):
            if len(blocks) == place:
                blocks.append([])
            upper = (term + _SPLIT) - _SPLIT
            blocks[place].append(_added(upper))
            if twice:
                rest = term - upper
                blocks[place].append(_added((rest + _SPLIT * _SECOND) - _SPLIT * _SECOND))
    return [math.fsum(np.concatenate(parts).tolist()) for parts in blocks]


def _chunks(values: Numbers) -> Iterator[Floats]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK].astype(np.float64, copy=False)


def _added(terms: Floats) -> Floats:
    full = len(terms) - len(terms) % _BLOCK
    sums = terms[:full].reshape(-1, _BLOCK).sum(axis=1)
    return sums if full == len(terms) else np.append(sums, terms[full:].sum())
