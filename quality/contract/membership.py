"""Owns the test whether values are among those allowed, of short texts without a look at the texts.

Arrow holds a text of up to twelve bytes whole in sixteen, its view: such texts are equal where their views are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.views import INLINE, Words, views_of

Rows = NDArray[np.int64]
_CHUNK = 1 << 14
"""Views so few stay in the processor's cache."""
_MOST_BITS = 16
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The only allowed values of a column.

    Attributes:
        values: As a list in one row.
        views: Of texts of up to twelve bytes, the table in which each view has a place of its own; else None.
    """

    values: pl.Series
    views: "_Views | None"

    @classmethod
    def of(cls, values: Sequence[object], dtype: pl.DataType) -> "Allowed":
        """Prepare for columns of type `dtype`."""
        listed = pl.Series(values, dtype=dtype)
        return cls(values=listed.implode(), views=_views_of(listed) if isinstance(dtype, pl.String) else None)

    def strangers(self, values: pl.Series) -> Rows:
        """Return the rows whose value is none of those allowed; null is neither."""
        if self.views is not None:
            rows = self.views.strangers(values)
            return rows[values.gather(rows).is_not_null().to_numpy()] if len(rows) and values.null_count() else rows
        found = values.unique()
        strange = found.filter(~found.is_in(self.values))
        return rows_of(values.is_in(strange.implode())) if len(strange) else np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    """Views by the first bits of a hash; where there is none, one that no text has."""

    shift: np.uint64
    table: NDArray[np.complex128]  # 16 bytes each; they are moved, never compared as numbers

    def strangers(self, texts: pl.Series) -> Rows:
        rows: list[Rows] = []
        start = 0
        for part in texts.get_chunks():
            words = views_of(part)
            for first in range(0, len(words), _CHUNK):
                some = words[first : first + _CHUNK]
                known = self.table.take(_places(some, self.shift)).view(np.uint64) == some.ravel()
                if not known.all():
                    rows.append(np.flatnonzero(~known.reshape(-1, 2).all(axis=1)) + (start + first))
            start += len(words)
        return np.concatenate(rows) if rows else np.empty(0, np.int64)


def rows_of(mask: pl.Series) -> Rows:
    """Return the numbers of the rows where `mask` is true."""
    return mask.arg_true().to_numpy().astype(np.int64)


def _views_of(texts: pl.Series) -> _Views | None:
    """Return the table of the views of `texts`, or None if one is too long or no table keeps them apart."""
    if (texts.str.len_bytes() > INLINE).any():
        return None
    words = views_of(texts.unique())
    for bits in range(8, _MOST_BITS + 1):
        shift = np.uint64(64 - bits)
        places = _places(words, shift)
        if len(np.unique(places)) == len(words):
            table = np.full((1 << bits, 2), np.iinfo(np.uint64).max)  # a text of four billion bytes: there is none
            table[places] = words
            return _Views(shift=shift, table=table.view(np.complex128).ravel())
    return None


def _places(words: Words, shift: np.uint64) -> Rows:
    mixed = words[:, 0] ^ words[:, 1]
    mixed *= _MULTIPLIER
    mixed >>= shift
    return mixed.view(np.int64)
