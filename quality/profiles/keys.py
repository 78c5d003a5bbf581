"""Owns the counts of 64-bit keys, of which few are distinct, while they pass: in hash tables where a key has a slot.

A key whose slot another one holds goes to a second table with other slots, then to a third; the rest is sorted.
"""

import numpy as np

from quality.profiles.owners import MULTIPLIERS, Ints, Owners, Words

_BITS = 13


class KeyCounts:
    """How often each key came.

    Args:
        hashed: Whether the keys are hashes, so that their first bits choose a slot as well as any.
    """

    def __init__(self, *, hashed: bool = False) -> None:
        """Start without keys."""
        self._multipliers = (None if hashed else MULTIPLIERS[0], *MULTIPLIERS[1:])
        self._tables: list[Owners] = []
        self._rest: dict[int, int] = {}

    def __len__(self) -> int:
        """Return the number of distinct keys."""
        return sum(map(len, self._tables)) + len(self._rest)

    def add(self, keys: Words, counts: Ints | None = None) -> Ints:
        """Take keys, shape ``(rows,)``, each of which came so often, and return a row of each that is new."""
        rows: Ints | None = None
        new = list[Ints]()
        for place, multiplier in enumerate(self._multipliers):
            if place == len(self._tables):
                self._tables.append(Owners(_BITS, multiplier=multiplier))
            found, odd = self._tables[place].add([keys], counts)
            new.append(found if rows is None else rows[found])
            if not len(odd):
                return np.concatenate(new)
            rows = odd if rows is None else rows[odd]
            keys, counts = keys[odd], None if counts is None else counts[odd]
        first = self._add_rest(keys, np.ones(len(keys), np.int64) if counts is None else counts)
        return np.concatenate([*new, first if rows is None else rows[first]])

    def counted(self) -> tuple[Words, Ints]:
        """Return the distinct keys and how often each came."""
        tables = [table.counted() for table in self._tables]
        rest = np.array(list(self._rest), np.uint64), np.array(list(self._rest.values()), np.int64)
        keys, counts = [keys[0] for keys, _ in tables], [counts for _, counts in tables]
        return np.concatenate([*keys, rest[0]]), np.concatenate([*counts, rest[1]])

    def _add_rest(self, keys: Words, counts: Ints) -> Ints:
        distinct, first, places = np.unique(keys, return_index=True, return_inverse=True)
        totals = np.bincount(places, counts).astype(np.int64)
        new = np.array([key not in self._rest for key in distinct.tolist()], np.bool_)
        for key, count in zip(distinct.tolist(), totals.tolist(), strict=True):
            self._rest[key] = self._rest.get(key, 0) + count
        return first[new]
