"""Owns the sample of the rows of a table that pass: the same rows however they are cut into batches."""

import numpy as np
import polars as pl

from quality.profiles.counted import Ints
from quality.profiles.distinct import hash_numbers

_THIN = 4
"""Of more rows one in so many is kept, then one in so many of those."""


class Sample:
    """Rows chosen by a hash of their number, so that neither their order nor a period in it shows.

    Args:
        most: Rows kept at most; at least an eighth of them are, if there are so many.

    Attributes:
        rows: Rows that passed.
    """

    def __init__(self, most: int) -> None:
        """Start without rows."""
        self.rows = 0
        self._most = most
        self._stride = 1
        self._kept: list[tuple[Ints, pl.DataFrame]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        numbers = np.arange(self.rows, self.rows + frame.height)
        self.rows += frame.height
        self._kept.append(self._thinned(numbers, frame))
        while sum(len(numbers) for numbers, _ in self._kept) > self._most:
            self._stride *= _THIN
            self._kept = [self._thinned(*kept) for kept in self._kept]

    def frame(self) -> pl.DataFrame:
        """Return the rows, and forget them."""
        kept, self._kept = self._kept, []
        return pl.concat([frame for _, frame in kept])

    def _thinned(self, numbers: Ints, frame: pl.DataFrame) -> tuple[Ints, pl.DataFrame]:
        if self._stride == 1:
            return numbers, frame
        places = np.flatnonzero(hash_numbers(numbers) < np.uint64(2**64 // self._stride))
        return numbers[places], frame[places]
