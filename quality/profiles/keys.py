"""Owns the counts of 64-bit keys, of which few are distinct, while they pass: a hash table in which a key has a slot.

A key whose slot another one holds goes to a second table with other slots, then to a third; the rest is sorted.
"""

import numpy as np
from numpy.typing import NDArray

from quality.profiles.counted import CHUNK, Ints

Keys = NDArray[np.uint64]
_BITS = 13
_SLOTS = 1 << _BITS
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xC2B2AE3D27D4EB4F))


class KeyCounts:
    """How often each key came."""

    def __init__(self) -> None:
        """Start without keys."""
        self._tables: list[_Table] = []
        self._rest: dict[int, int] = {}

    def __len__(self) -> int:
        """Return the number of distinct keys."""
        return sum(table.taken for table in self._tables) + len(self._rest)

    def add(self, keys: Keys, counts: Ints | None = None) -> Ints:
        """Take keys, shape ``(rows,)``, each of which came so often, and return a row of each that is new."""
        rows: Ints | None = None
        new = list[Ints]()
        for place, multiplier in enumerate(_MULTIPLIERS):
            if place == len(self._tables):
                self._tables.append(_Table(multiplier))
            found, odd = self._tables[place].add(keys, counts)
            new.append(found if rows is None else rows[found])
            rows = odd if rows is None else rows[odd]
            keys, counts = keys[odd], None if counts is None else counts[odd]
            if not len(keys):
                return np.concatenate(new)
        first = self._add_rest(keys, np.ones(len(keys), np.int64) if counts is None else counts)
        return np.concatenate([*new, first if rows is None else rows[first]])

    def counted(self) -> tuple[Keys, Ints]:
        """Return the distinct keys and how often each came."""
        tables = [table.counted() for table in self._tables]
        rest = np.array(list(self._rest), np.uint64), np.array(list(self._rest.values()), np.int64)
        keys, counts = zip(*tables, rest, strict=True)
        return np.concatenate(keys), np.concatenate(counts)

    def _add_rest(self, keys: Keys, counts: Ints) -> Ints:
        distinct, first, places = np.unique(keys, return_index=True, return_inverse=True)
        totals = np.bincount(places, counts).astype(np.int64)
        new = np.array([key not in self._rest for key in distinct.tolist()], np.bool_)
        for key, count in zip(distinct.tolist(), totals.tolist(), strict=True):
            self._rest[key] = self._rest.get(key, 0) + count
        return first[new]


class _Table:
    def __init__(self, multiplier: np.uint64) -> None:
        self.taken = 0
        self._multiplier = multiplier
        # A slot that is free holds a key that belongs to another.
        self._keys = np.zeros(_SLOTS, np.uint64)
        self._keys[0] = 1
        self._counts = np.zeros(_SLOTS, np.int64)

    def add(self, keys: Keys, counts: Ints | None) -> tuple[Ints, Ints]:
        """Count the keys that have their slot, and return a row of each that is new, and the rows of the others."""
        slots, same = self._found(keys)
        odd, new = np.flatnonzero(~same), np.empty(0, np.int64)
        if len(odd):
            new = self._let_in(keys, slots, odd[self._counts[slots[odd]] == 0])
            odd = odd[self._keys[slots[odd]] != keys[odd]]
        if len(odd):
            left = None if counts is None else counts[odd]
            self._counts -= np.bincount(slots[odd], left, _SLOTS).astype(np.int64)
        self._counts += np.bincount(slots, counts, _SLOTS).astype(np.int64, copy=False)
        return new, odd

    def counted(self) -> tuple[Keys, Ints]:
        """Return the keys and how often each came."""
        taken = np.flatnonzero(self._counts)
        return self._keys[taken], self._counts[taken]

    def _found(self, keys: Keys) -> tuple[Ints, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
        slots, same = np.empty(len(keys), np.int64), np.empty(len(keys), np.bool_)
        spare = np.empty(min(len(keys), CHUNK), np.uint64)
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            at, mixed = slots[start : start + CHUNK], spare[: len(chunk)]
            np.multiply(chunk, self._multiplier, out=mixed)
            np.right_shift(mixed, np.uint64(64 - _BITS), out=at.view(np.uint64))
            np.equal(self._keys.take(at, out=mixed, mode="clip"), chunk, out=same[start : start + CHUNK])
        return slots, same

    def _let_in(self, keys: Keys, slots: Ints, rows: Ints) -> Ints:
        """Give free slots to the keys of these rows, and return a row of each key that got one."""
        self._keys[slots[rows]] = keys[rows]
        rows = rows[self._keys[slots[rows]] == keys[rows]]
        new = rows[np.unique(slots[rows], return_index=True)[1]]
        self.taken += len(new)
        return new
