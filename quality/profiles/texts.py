"""Owns the count of distinct texts, categories and booleans where they are few, mostly without a look at the texts.

Arrow holds a text of up to twelve bytes in a word of sixteen, its view, and a longer one of a dictionary in one place,
which all its views name: where few views differ, numbers are counted instead of texts.
"""

import numpy as np
import polars as pl

from quality.profiles.counted import CHUNK, SORTED, Counted, Ints, count_values
from quality.views import Words, views_of

_TABLE = 1 << 16
_FEW = 1 << 13
"""Texts are few that take fewer of the buckets of a hash."""
_SMALL = 1 << 13
"""So few rows are counted by Polars at once."""
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))
_NO_VIEW = np.uint64(2**64 - 1)
"""Half of a view of a text of four billion bytes, which there is none of."""


def count_texts(texts: pl.Series) -> tuple[pl.Series, Ints] | None:
    """Return the distinct ones of texts without nulls, and how often each occurs; None where they are too many.

    Too many are more than some 8,000 of more than 200,000 rows: the texts alone decide.
    """
    if len(texts) > _SMALL:
        # Fewer views than `_FEW` are fewer texts, and those are few by their hashes too.
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
    words = views_of(texts.rechunk())
    head = words[:_TABLE]
    places = _places(head[:, 0], head[:, 1])
    if _taken(places) >= _FEW:
        return None
    rows = np.zeros(_TABLE, np.int64)
    rows[places] = np.arange(len(head))
    table = np.full((2, _TABLE), _NO_VIEW)
    table[:, places] = head[rows[places]].T
    places, odd = _beside(words, table)
    if len(odd) > len(words) // 8:
        return None
    counts = np.bincount(places, minlength=_TABLE) - np.bincount(places[odd], minlength=_TABLE)
    taken = np.flatnonzero(counts)
    if len(taken) + len(odd) >= _FEW and len(taken) + len(np.unique(words[odd], axis=0)) >= _FEW:
        return None
    every = np.concatenate([counts[taken], np.ones(len(odd), np.int64)])
    return grouped(texts.gather(np.concatenate([rows[taken], odd])), every)


def _beside(words: Words, table: Words) -> tuple[Ints, Ints]:
    """Return the bucket of each view, and the rows whose view is not the one that `table` has there."""
    places, odd = np.empty(len(words), np.int64), list[Ints]()
    for start in range(0, len(words), CHUNK):
        first, second = words[start : start + CHUNK, 0].copy(), words[start : start + CHUNK, 1].copy()
        at = places[start : start + CHUNK]
        at[:] = _places(first, second)
        odd.append(np.flatnonzero((table[0][at] != first) | (table[1][at] != second)) + start)
    return places, np.concatenate(odd)


def _places(first: Words, second: Words) -> Ints:
    """Return 16 bits of a hash of the two words of each view."""
    mixed = first * _MULTIPLIERS[0]
    mixed ^= second
    mixed *= _MULTIPLIERS[1]
    mixed >>= np.uint64(48)
    return mixed.view(np.int64)


def _hashed(texts: pl.Series) -> Ints:
    return (texts.hash() & (_TABLE - 1)).to_numpy().view(np.int64)


def _taken(places: Ints) -> int:
    return int(np.count_nonzero(np.bincount(places, minlength=_TABLE)))


def grouped(texts: pl.Series, counts: Ints) -> tuple[pl.Series, Ints]:
    """Return the distinct ones of texts that occur so often each, and how often each occurs in all."""
    table = pl.DataFrame({"text": texts, "count": counts}).group_by("text").agg(pl.col("count").sum())
    return table["text"], table["count"].to_numpy()
