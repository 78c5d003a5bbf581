"""Owns the sample of the rows of a table that pass: the same rows however they are cut into batches.

Which rows are kept is chosen once (`Sample.choose`); their values are taken column by column (`Sample.take`), so that
threads may take those of different columns at a time (`quality.profiles.kept`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from quality.profiles.hashing import BITS, Hashes, hash_numbers
from quality.profiles.kept import Places, keeping

_THIN = 2
"""Of more rows one in so many is kept, then one in so many of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which rows are kept from now on.

    Attributes:
        still: Of the rows kept before, counted from the first kept, those that still are; None if all are.
        places: Of the frames that are taken now, the rows of each.
    """

    still: Places | None
    places: Sequence[Places]


class Sample:
    """Rows chosen by a hash of their number, so that neither their order nor a period in it shows.

    Args:
        schema: Columns of the rows; numbers, times and texts are sampled.
        most: Rows kept at most; about half as many are at least, of so many rows.

    Attributes:
        rows: Rows that passed.
    """

    def __init__(self, schema: Mapping[str, pl.DataType], most: int) -> None:
        """Start without rows."""
        self.rows = 0
        self._most = most
        self._limit = 1 << BITS
        self._hashes: Hashes = np.empty(0, np.uint32)
        """Hashes of the numbers of the rows that are kept, all below the limit."""
        self._schema = schema
        self._kept = {name: keeping(dtype, most) for name, dtype in schema.items()}

    def choose(self, heights: Iterable[int]) -> Choice:
        """Choose among the rows of the next frames, which are so many each, and those kept before."""
        new = [self._numbered(rows) for rows in heights]
        before = self._limit
        while sum(np.count_nonzero(some < self._limit) for some in (self._hashes, *new)) > self._most:
            self._limit //= _THIN
        still = np.flatnonzero(self._hashes < self._limit) if self._limit < before else None
        places = [np.flatnonzero(some < self._limit) for some in new]
        old = self._hashes if still is None else self._hashes[still]
        self._hashes = np.concatenate([old, *(some[chosen] for some, chosen in zip(new, places, strict=True))])
        return Choice(still=still, places=places)

    def take(self, name: str, columns: Sequence[pl.Series], choice: Choice) -> None:
        """Take what was chosen of one column: its values in the frames that it was chosen among."""
        if (kept := self._kept[name]) is None:
            return
        if choice.still is not None:
            kept.thin(choice.still)
        for values, places in zip(columns, choice.places, strict=True):
            kept.add(values, places)

    def values(self, name: str) -> pl.Series:
        """Return the values but null of a column; none of one of a type that is not sampled."""
        kept = self._kept[name]
        return pl.Series(dtype=self._schema[name]) if kept is None else kept.values()

    def _numbered(self, rows: int) -> Hashes:
        """Return the hashes of the numbers of the next rows."""
        start, self.rows = self.rows, self.rows + rows
        return hash_numbers(np.arange(start, self.rows))
