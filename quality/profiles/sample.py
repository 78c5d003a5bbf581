"""Owns the sample of the rows of a table that pass: the same rows however they are cut into batches."""

import numpy as np
import polars as pl

from quality.profiles.counted import Ints
from quality.profiles.hashing import BITS, hash_numbers

_THIN = 2
"""Of more rows one in so many is kept, then one in so many of those."""


class Sample:
    """Rows chosen by a hash of their number, so that neither their order nor a period in it shows.

    Args:
        most: Rows kept at most; about half as many are at least, of so many rows.

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
        places = np.flatnonzero(hash_numbers(numbers) < np.uint32(2**BITS // self._stride))
        return numbers[places], _apart(frame[places])


def _apart(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with texts of their own: Polars keeps all texts that chosen ones lay among."""
    texts = [column for column in frame.iter_columns() if column.dtype == pl.String]
    return frame.with_columns(
        pl.Series(column.name, column.to_arrow(compat_level=pl.CompatLevel.oldest())) for column in texts
    )
