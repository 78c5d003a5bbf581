"""Owns the most frequent values of a column, with the bound on what the list leaves out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from quality.profiles.counted import Counted, Ints
from quality.profiles.distinct import Hashes, hash_texts

LISTED = 100
"""Most values listed."""
MAX_TEXT = 100
"""Characters kept of a value; a longer one ends in its hash, so that texts of one beginning stay apart."""
_BUCKETS = 1 << 16
_COUNTED_WHOLE = 200_000
"""So many rows are counted value by value; of more, only those in buckets that stand out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """Values and counts.

    Attributes:
        items: Values as text with their counts, most frequent first, equal counts in order of text.
        error: Each value occurs at most this often more than it is listed with (0 when unlisted): 0 where the list
            is complete.
        distinct: Number of distinct values, or None where they were not all counted.
    """

    items: tuple[tuple[str, int], ...] = ()
    error: int = 0
    distinct: int | None = 0


def frequent_numbers(counted: Counted, *, listed: int = LISTED) -> Frequent:
    """List counted numbers."""
    kept, error = _kept(counted.counts, listed)
    pairs = zip(counted.values[kept].tolist(), counted.counts[kept].tolist(), strict=True)
    items = [(str(value), count) for value, count in pairs]
    return Frequent(items=_ordered(items), error=error, distinct=len(counted.values))


def frequent_texts(texts: pl.Series) -> tuple[Frequent, Hashes]:
    """List texts, categories or booleans without nulls, and return the hashes of all that are distinct.

    Some hashes may come more than once.
    """
    if texts.dtype != pl.String or len(texts) <= _COUNTED_WHOLE or _few(texts):
        return _counted_whole(texts)
    hashes = hash_texts(texts)
    places = (hashes & np.uint64(_BUCKETS - 1)).astype(np.int64)
    sizes = np.bincount(places, minlength=_BUCKETS)
    usual = len(texts) / _BUCKETS
    heavy = sizes > usual + 8 * usual**0.5 + 8
    found = _counted_whole(texts.filter(pl.Series(heavy[places])))[0]
    unseen = int(sizes[~heavy].max(initial=0))
    if not unseen:
        return found, hashes
    items = tuple(item for item in found.items if item[1] > unseen)
    return Frequent(items=items, error=max(unseen, found.error), distinct=None), hashes


def merge_frequent(parts: Sequence[Frequent], *, listed: int = LISTED) -> Frequent:
    """Return the frequent values of all that `parts` list.

    A value that a part does not list counts as absent there, and the part's error is added to the error.
    """
    counts: dict[str, int] = {}
    for part in parts:
        for text, count in part.items:
            counts[text] = counts.get(text, 0) + count
    error = sum(part.error for part in parts)
    kept, dropped = _kept(np.fromiter(counts.values(), np.int64, len(counts)), listed)
    names = list(counts)
    items = _ordered((names[place], counts[names[place]]) for place in kept.tolist())
    return Frequent(items=items, error=error + dropped, distinct=None if error else len(counts))


def _kept(counts: Ints, listed: int) -> tuple[Ints, int]:
    """Return the places of the `listed` largest counts, of all where `LISTED` hold them, and the largest left out.

    Of values equally frequent at the end of the list all are kept or none, so that the choice is the data's own.
    """
    if len(counts) <= LISTED:
        return np.arange(len(counts)), 0
    repeated = np.flatnonzero(counts > 1)  # few, and hundreds of thousands of ones are slow to part
    if len(repeated) <= listed:
        return repeated, 1
    last = int(-np.partition(-counts[repeated], listed)[listed])
    return repeated[counts[repeated] > last], last


def _ordered(items: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(items, key=lambda item: (-item[1], item[0])))


def _few(texts: pl.Series) -> bool:
    """Whether there are few enough distinct texts to count them all; Polars' own hashes decide nothing else."""
    places = (texts.hash() & (_BUCKETS - 1)).to_numpy().astype(np.int64)
    return bool((np.bincount(places, minlength=_BUCKETS) > 0).sum() < _BUCKETS // 8)


def _counted_whole(texts: pl.Series) -> tuple[Frequent, Hashes]:
    table = texts.alias("value").value_counts(name="count")
    values, counts = table["value"].cast(pl.String), table["count"].to_numpy().astype(np.int64)
    kept, error = _kept(counts, LISTED)
    hashes = hash_texts(values)
    items = [
        (_shortened(text, number), count)
        for text, number, count in zip(
            values.gather(kept).to_list(), hashes[kept].tolist(), counts[kept].tolist(), strict=True
        )
    ]
    return Frequent(items=_ordered(items), error=error, distinct=len(values)), hashes


def _shortened(text: str, number: int) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 18]}… {number:016x}"
