"""Owns the sample of the rows of a table that pass: the same rows however they are cut into batches."""

import numpy as np
import polars as pl

from quality.profiles.hashing import BITS, Hashes, hash_numbers

_THIN = 2
"""Of more rows one in so many is kept, then one in so many of those."""
_PIECES = 16
"""Pieces after which rows are brought together: each holds on to all texts of the batch that it is of."""


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
        self._limit = 1 << BITS
        self._kept: list[tuple[Hashes, pl.DataFrame]] = []
        """Rows with the hashes of their numbers, all below the limit."""

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        hashes = hash_numbers(np.arange(self.rows, self.rows + frame.height))
        self.rows += frame.height
        places = np.flatnonzero(hashes < self._limit)
        self._kept.append((hashes, frame) if len(places) == len(hashes) else (hashes[places], frame[places]))
        full = sum(len(hashes) for hashes, _ in self._kept) > self._most
        if full or len(self._kept) > _PIECES:
            self._gather()

    def frame(self) -> pl.DataFrame:
        """Return the rows, and forget them."""
        kept, self._kept = self._kept, []
        return pl.concat([frame for _, frame in kept])

    def _gather(self) -> None:
        """Bring the rows together, and thin them out while they are too many."""
        hashes, frame = np.concatenate([hashes for hashes, _ in self._kept]), self.frame()
        while np.count_nonzero(hashes < self._limit) > self._most:
            self._limit //= _THIN
        places = np.flatnonzero(hashes < self._limit)
        self._kept = [(hashes[places], _apart(frame[places]))]


def _apart(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with texts of their own: Polars keeps all texts that chosen ones lay among."""
    texts = [column for column in frame.iter_columns() if column.dtype == pl.String]
    return frame.with_columns(
        pl.Series(column.name, column.to_arrow(compat_level=pl.CompatLevel.oldest())) for column in texts
    )
