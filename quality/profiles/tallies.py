"""Owns the counts of few distinct values whose rows pass in pieces: what they hold does not depend on the pieces."""

import numpy as np
import polars as pl

from quality.profiles.counted import Counted, Ints, Numbers, words_of
from quality.profiles.keys import KeyCounts
from quality.profiles.owners import Words
from quality.profiles.texts import grouped

FEW = 1 << 12
"""So many distinct numbers or texts are few."""
_PLACES = 1 << 18
"""Whole numbers of a range as wide as this are counted by place, however many are distinct."""
_NEAR = 1 << 13
"""Whole numbers from 0 up to this are places as they are."""
_FIRST = 1 << 14
"""Rows that are tried first: where their values are too many, the others are not taken."""
_PENDING = 1 << 16
"""Counts of pieces that are kept before they are merged."""
_SEED = 20_261_126


class NumberTally:
    """The counts of finite numbers."""

    def __init__(self) -> None:
        """Start without numbers."""
        self._dtype = np.dtype(np.float64)
        self._places: Ints | None = np.empty(0, np.int64)
        self._low = 0
        self._keys = KeyCounts()
        self._many: Counted | None = None

    @property
    def is_full(self) -> bool:
        """Whether there are too many distinct numbers."""
        return self._many is not None or len(self._keys) > FEW

    def add(self, numbers: Numbers) -> int:
        """Take numbers, and return how many of them were taken: not all where the tally got full."""
        self._dtype = numbers.dtype
        if not len(numbers) or self._counts_places(numbers, None):
            return len(numbers)
        self._leave_places()
        return 0 if self.is_full else _taken(self._keys, _keys(numbers))[0]

    def add_counted(self, counted: Counted) -> None:
        """Take counted numbers."""
        self._dtype = counted.values.dtype
        if len(counted.values) and not self._counts_places(counted.values, counted.counts):
            self._leave_places()
            if len(counted.values) > FEW:
                self._many = counted
            else:
                self._keys.add(_keys(counted.values), counted.counts)

    def counted(self) -> Counted:
        """Return all counts."""
        if self._many is not None:
            return self._many
        if self._places is not None:
            return self._placed(self._places)
        keys, counts = self._keys.counted()
        values = keys.view(np.int64 if np.issubdtype(self._dtype, np.integer) else np.float64)
        order = np.argsort(values)
        return Counted(values=values[order], counts=counts[order])

    def _placed(self, places: Ints) -> Counted:
        present = np.flatnonzero(places)
        return Counted(values=present + self._low if len(present) else np.empty(0, self._dtype), counts=places[present])

    def _leave_places(self) -> None:
        if self._places is not None:
            before, self._places = self._placed(self._places), None
            if len(before.values) > FEW:
                self._many = before
            elif len(before.values):
                self._keys.add(_keys(before.values), before.counts)

    def _counts_places(self, numbers: Numbers, counts: Ints | None) -> bool:
        """Count whole numbers by their place, if their range with those before is narrow."""
        if self._places is None or not np.issubdtype(numbers.dtype, np.integer):
            return False
        at = self._places_of(numbers)
        if at.max() >= self._room(int(np.iinfo(numbers.dtype.name).max)):
            if not self._make_room(self._placed(self._places), int(numbers.min()), int(numbers.max())):
                return False
            at = self._places_of(numbers)
        found = np.bincount(at.view(np.int64) if at.itemsize == 8 else at, counts, len(self._places))
        found = found.astype(np.int64, copy=False)
        found[: len(self._places)] += self._places
        self._places = found
        return True

    def _places_of(self, numbers: Numbers) -> Numbers:
        """Return the place of each number without a sign, so that one look at the largest finds those below 0 too."""
        at = numbers.view(f"u{numbers.itemsize}")
        return at - at.dtype.type(self._low % (1 << 8 * at.itemsize)) if self._low else at

    def _room(self, most: int) -> int:
        """Return how many places there are, none of them past the largest number of the type."""
        places = 0 if self._places is None else len(self._places)
        return min(places if self._low else max(places, _NEAR), most - self._low + 1)

    def _make_room(self, before: Counted, low: int, high: int) -> bool:
        """Let there be places for what came before and from `low` to `high`, if the range of all is narrow."""
        if before.ends:
            low, high = min(low, int(before.ends[0])), max(high, int(before.ends[1]))
        if high - low >= _PLACES:
            return False
        self._low, self._places = low, np.zeros(high - low + 1, np.int64)
        self._places[before.values.astype(np.int64) - low] = before.counts
        return True


class TextTally:
    """The counts of texts without nulls. They are told apart by 64 bits of hash: of two texts in some 1e12 tables."""

    def __init__(self) -> None:
        """Start without texts."""
        self._keys = KeyCounts(hashed=True)
        self._texts: list[pl.Series] = []
        self._order: list[Words] = []

    @property
    def is_full(self) -> bool:
        """Whether there are too many distinct texts."""
        return len(self._keys) > FEW

    def add(self, texts: pl.Series) -> int:
        """Take texts, and return how many of them were taken: not all where the tally got full."""
        keys = texts.hash(_SEED).to_numpy()
        taken, new = _taken(self._keys, keys)
        if len(new):
            self._texts.append(texts.gather(new))
            self._order.append(keys[new])
        return taken

    def counted(self) -> tuple[pl.Series, Ints]:
        """Return all distinct texts and their counts."""
        if not self._texts:
            return pl.Series([], dtype=pl.String), np.empty(0, np.int64)
        keys, counts = self._keys.counted()
        order, wanted = np.argsort(keys), np.concatenate(self._order)
        return pl.concat(self._texts), counts[order][np.searchsorted(keys[order], wanted)]


class CategoryTally:
    """The counts of categories or booleans without nulls, however many."""

    def __init__(self) -> None:
        """Start without values."""
        self._parts: list[tuple[pl.Series, Ints]] = []

    def add(self, texts: pl.Series, counts: Ints) -> None:
        """Take distinct values as texts, with their counts."""
        self._parts.append((texts, counts))
        if sum(len(texts) for texts, _ in self._parts) > max(_PENDING, 2 * len(self._parts[0][0])):
            self.counted()

    def counted(self) -> tuple[pl.Series, Ints]:
        """Return all distinct values and their counts."""
        if len(self._parts) > 1:
            texts = pl.concat([texts for texts, _ in self._parts])
            self._parts = [grouped(texts, np.concatenate([counts for _, counts in self._parts]))]
        return self._parts[0] if self._parts else (pl.Series([], dtype=pl.String), np.empty(0, np.int64))


def _keys(numbers: Numbers) -> Words:
    return words_of(numbers).view(np.uint64)


def _taken(counts: KeyCounts, keys: Words) -> tuple[int, Ints]:
    """Take keys until they are too many, and return how many were taken, and a row of each that is new."""
    new = list[Ints]()
    ends = [end for end in (_FIRST, len(keys)) if end <= len(keys)] if not len(counts) else [len(keys)]
    start = 0
    for end in ends:
        new.append(counts.add(keys[start:end]) + start)
        start = end
        if len(counts) > FEW:
            break
    return start, np.concatenate(new)
