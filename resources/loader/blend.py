"""Owns weighted mixtures: which dataset each sample comes from, and how many of each came before.

A pattern of 10,000 places is dealt by the weights, shuffled once, and repeated for ever: counts at any position are a
division and one look, whatever the position.
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.bijection import Bijection

PLACES = 10_000
"""Weights are kept as multiples of one part in so many."""


class Blend:
    """A mixture of some streams of samples.

    Args:
        weights: Of each stream, above 0; only their ratios count.
        key: Key of the order in which the streams take turns.

    Raises:
        LoaderError: If a weight is not above 0, or so small beside the others that it would never have its turn.

    >>> blend = Blend([3, 1], key=(7,))
    >>> blend.counts(20_000)
    [15000, 5000]
    """

    def __init__(self, weights: Sequence[float], key: Sequence[int]) -> None:
        check_weights(weights)
        shares = np.array(weights, np.float64) / sum(weights) * PLACES
        self._shares = np.floor(shares).astype(np.int64)
        for stream in np.argsort(self._shares - shares, kind="stable")[: PLACES - int(self._shares.sum())].tolist():
            self._shares[stream] += 1
        if not self._shares.all():
            raise LoaderError(
                f"weight {min(weights)!r} is less than one part in {PLACES:,} of all: give it more, or leave it out"
            )
        pattern = np.repeat(np.arange(len(weights)), self._shares)
        self._pattern = pattern[Bijection(PLACES, key)(0, PLACES)]
        taken = self._pattern[:, None] == np.arange(len(weights))
        self._before = np.concatenate([np.zeros((1, len(weights)), np.int64), np.cumsum(taken, axis=0)])

    def counts(self, position: int) -> list[int]:
        """Return how many of the first `position` samples come from each stream."""
        rounds, place = divmod(position, PLACES)
        return [rounds * int(share) + int(here) for share, here in zip(self._shares, self._before[place], strict=True)]

    def streams(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return which stream each sample from `start` to before `stop` comes from, shape ``(stop - start,)``."""
        return self._pattern[np.arange(start, stop) % PLACES]


def check_weights(weights: Sequence[float]) -> None:
    """Refuse what is no weight.

    Raises:
        LoaderError: Naming it.
    """
    for weight in weights:
        try:
            is_one = isfinite(weight) and weight > 0
        except TypeError:
            is_one = False
        if not is_one:
            raise LoaderError(f"a weight is {weight!r}: give a number above 0 for each dataset")
