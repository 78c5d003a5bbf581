"""Owns the count of distinct texts, categories and booleans where they are few, mostly without a look at the texts.

Arrow holds a text of up to twelve bytes in a word of sixteen, its view, and a longer one of a dictionary in one place,
which all its views name: where few views differ, numbers are counted instead of texts.
"""

import numpy as np
import polars as pl

from quality.profiles.counted import SORTED, Counted, Ints, count_values
from quality.profiles.owners import Owners
from quality.views import views_of

_BITS = 16
_TABLE = 1 << _BITS
_FEW = 1 << 13
"""Texts are few that take fewer of the buckets of a hash."""
_SMALL = 1 << 13
"""So few rows are counted by Polars at once."""


def count_texts(texts: pl.Series) -> tuple[pl.Series, Ints] | None:
    """Return the distinct ones of texts without nulls, and how often each occurs; None where they are too many.

    Too many are more than some 8,000 of more than 200,000 rows: the texts alone decide.
    """
    if len(texts) > _SMALL:
        # Fewer texts than `_FEW` are few by their hashes too.
        found = _count_views(texts)
        if found is not None:
            return found
    few = len(texts) <= SORTED or (_taken(_hashed(texts[:_TABLE])) < _FEW and _taken(_hashed(texts)) < _FEW)
    return grouped(texts, np.ones(len(texts), np.int64)) if few else None


def count_categories(values: pl.Series) -> tuple[pl.Series, Ints]:
    """Return the distinct ones of categories or booleans without nulls as texts, and how often each occurs."""
    if isinstance(values.dtype, pl.Boolean):
        ones = int(values.sum())
        pairs = [pair for pair in (("false", len(values) - ones), ("true", ones)) if pair[1]]
        return pl.Series([text for text, _ in pairs], dtype=pl.String), np.array([n for _, n in pairs], np.int64)
    codes = values.to_physical().to_numpy().astype(np.int64)
    counts = np.bincount(codes)
    rows = np.zeros(len(counts), np.int64)
    rows[codes] = np.arange(len(codes))
    present = np.flatnonzero(counts)
    return values.gather(rows[present]).cast(pl.String), counts[present]


def count_lengths(texts: pl.Series, counts: Ints | None) -> Counted:
    """Return the counted lengths in characters of texts that occur so often; None means once."""
    lengths = texts.str.len_chars().to_numpy()
    if counts is None:
        return count_values(lengths)
    values, places = np.unique(lengths, return_inverse=True)
    return Counted(values=values, counts=np.bincount(places, counts, len(values)).astype(np.int64))


def _count_views(texts: pl.Series) -> tuple[pl.Series, Ints] | None:
    """Count texts by their views; None where those are too many."""
    views = views_of(texts.rechunk())
    owners = Owners(_BITS, words=2)
    rows = owners.add_few(lambda some: list(views[some].T), len(texts), _FEW - 1)
    if rows is None or len(rows[1]) > len(texts) // 8:
        return None
    counts = np.concatenate([owners.counted()[1], np.ones(len(rows[1]), np.int64)])
    found = grouped(texts.gather(np.concatenate(rows)), counts)
    return found if len(found[0]) < _FEW else None


def _hashed(texts: pl.Series) -> Ints:
    return (texts.hash() & (_TABLE - 1)).to_numpy().view(np.int64)


def _taken(places: Ints) -> int:
    return int(np.count_nonzero(np.bincount(places, minlength=_TABLE)))


def grouped(texts: pl.Series, counts: Ints) -> tuple[pl.Series, Ints]:
    """Return the distinct ones of texts that occur so often each, and how often each occurs in all."""
    table = pl.DataFrame({"text": texts, "count": counts}).group_by("text").agg(pl.col("count").sum())
    return table["text"], table["count"].to_numpy()
