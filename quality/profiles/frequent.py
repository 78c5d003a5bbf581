"""Owns the most frequent values of a column, with the bound on what the list leaves out."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from blake3 import blake3

from quality.profiles.binned import Binned
from quality.profiles.counted import Counted, Ints, Numbers, count_values
from quality.profiles.hashing import Hashes, hash_numbers, hash_texts

LISTED = 100
"""Most values listed."""
MAX_TEXT = 100
"""Characters kept of a value; a longer one ends in its hash, so that texts of one beginning stay apart."""
_BUCKETS = 1 << 16
_DIGEST, _HASH = 16, 8
"""Hexadecimal digits that a cut text ends in: of its digest, and of its hash."""
_CUT = re.compile(f"… [0-9a-f]{{{_DIGEST + _HASH}}}$")


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


def frequent_numbers(found: Counted | Binned, *, listed: int = LISTED) -> tuple[Frequent, Hashes]:
    """List numbers, and return the hashes of all that are distinct.

    Some hashes may come more than once.
    """
    if isinstance(found, Binned):
        hashes = hash_numbers(found.values)
        rows, unseen = _outstanding(hashes)
        kept = _listed_numbers(count_values(found.values[rows]), listed)
        return _seen(kept, unseen, listed), hashes
    return _listed_numbers(found, listed), hash_numbers(found.values)


def repeated(values: Numbers, counted: Counted | None) -> tuple[Frequent, Hashes]:
    """List none of some whole numbers, but say how often one occurs at most, and return their hashes.

    Args:
        values: The numbers.
        counted: The same counted, where they were.
    """
    if counted is None:
        hashes = hash_numbers(values)
        return Frequent(error=int(_sizes(hashes)[1].max()), distinct=None), hashes
    most = int(counted.counts.max(initial=0))
    return Frequent(error=most, distinct=len(counted.values)), hash_numbers(counted.values)


def frequent_texts(texts: pl.Series) -> tuple[Frequent, Hashes]:
    """List texts without nulls that are too many to count them all, and return their hashes."""
    hashes = hash_texts(texts)
    rows, unseen = _outstanding(hashes)
    counts = texts.gather(rows).alias("text").value_counts(name="count")
    kept = listed_texts(counts["text"], counts["count"].to_numpy().astype(np.int64))[0]
    return _seen(kept, unseen, LISTED), hashes


def listed_texts(texts: pl.Series, counts: Ints) -> tuple[Frequent, Hashes]:
    """List distinct texts with their counts, and return their hashes."""
    kept, error = _kept(counts, LISTED)
    hashes = hash_texts(texts)
    items = [
        (_shortened(text, number), count)
        for text, number, count in zip(
            texts.gather(kept).to_list(), hashes[kept].tolist(), counts[kept].tolist(), strict=True
        )
    ]
    return Frequent(items=_ordered(items), error=error, distinct=len(texts)), hashes


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


def _listed_numbers(counted: Counted, listed: int) -> Frequent:
    kept, error = _kept(counted.counts, listed)
    pairs = zip(counted.values[kept].tolist(), counted.counts[kept].tolist(), strict=True)
    return Frequent(items=_ordered((str(value), n) for value, n in pairs), error=error, distinct=len(counted.values))


def _outstanding(hashes: Hashes) -> tuple[Ints, int]:
    """Return the rows whose hashes fall into buckets that stand out, and how often a value of the others occurs."""
    places, sizes = _sizes(hashes)
    usual = len(hashes) / _BUCKETS
    heavy = sizes > usual + 8 * usual**0.5 + 8
    rows = np.flatnonzero(heavy[places]) if heavy.any() else np.empty(0, np.int64)
    return rows, int(sizes[~heavy].max(initial=0))


def _sizes(hashes: Hashes) -> tuple[Ints, Ints]:
    """Return the bucket of each hash, and how many fall into each bucket."""
    places = (hashes & np.uint32(_BUCKETS - 1)).astype(np.int64)
    return places, np.bincount(places, minlength=_BUCKETS)


def _seen(found: Frequent, unseen: int, listed: int) -> Frequent:
    """Return the frequent values of some buckets as those of all: others occur up to `unseen` times."""
    last = found.items[listed][1] if len(found.items) > listed else 0
    error = max(unseen, found.error, last)
    items = tuple(item for item in found.items if item[1] > error)
    return Frequent(items=items, error=error, distinct=None)


def hash_listed(values: Sequence[str], *, texts: bool) -> Hashes:
    """Return the hashes of values that a list of frequent ones holds as text."""
    if texts:
        hashes = hash_texts(pl.Series(values, dtype=pl.String)).copy()
        cut = [place for place, value in enumerate(values) if _CUT.search(value)]
        hashes[cut] = np.array([int(values[place][-_HASH:], 16) for place in cut], np.uint32)
        return hashes
    whole = all(value.lstrip("-").isdigit() for value in values)
    return hash_numbers(np.array([int(value) if whole else float(value) for value in values]))


def _shortened(text: str, number: int) -> str:
    if len(text) <= MAX_TEXT:
        return text
    ending = f"… {blake3(text.encode()).hexdigest()[:_DIGEST]}{number:0{_HASH}x}"
    return text[: MAX_TEXT - len(ending)] + ending
