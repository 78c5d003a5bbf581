"""Owns the counts of keys that have a slot of a hash table to themselves, whose rows are counted all at once.

What falls to the slot of another key is not counted: what becomes of it, and how many keys are few, callers decide.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xC2B2AE3D27D4EB4F))
"""Each chooses other slots."""
_NEXT = np.uint64(0xD6E8FEB86659FD93)
_FIRST = 1 << 14
"""Rows whose keys get slots before any are looked up, so that few of the others have none."""
_CHUNK, _PIECE = 1 << 15, 1 << 18
"""Rows looked up at once, so that what is computed of them stays in a core's cache, and rows counted at once."""


class Owners:
    """Keys that came first to their slots, and how often each came.

    The slot of a key is the first bits of a hash: its word times a number (Knuth, 1973, 6.4), of more words chained.

    Args:
        bits: There are 2**bits slots.
        words: Words of 64 bits that a key has.
        multiplier: The odd number; None takes the first bits of keys that are hashes of one word already.
    """

    def __init__(self, bits: int, *, words: int = 1, multiplier: np.uint64 | None = MULTIPLIERS[0]) -> None:
        """Start without keys."""
        self._size = 1 << bits
        self._shift = np.uint64(64 - bits)
        self._multiplier = multiplier
        # A slot that is free holds a key that belongs to another: of zeros that is the first, of 2**63 another one.
        self._keys = np.zeros((words, self._size), np.uint64)
        self._keys[-1, 0] = 1 << 63
        self._counts = np.zeros(self._size, np.int64)
        self._free = np.ones(self._size, np.bool_)
        self._slots = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return the number of keys that have a slot: as many as slots that any key fell to."""
        return len(self._slots)

    def add(self, keys: Sequence[Words], counts: Ints | None = None) -> tuple[Ints, Ints]:
        """Count keys that have their slot, and give free ones to others.

        Args:
            keys: The words of the keys, each of shape ``(rows,)``.
            counts: How often each came, all positive, shape ``(rows,)``; None means once.

        Returns:
            A row of each key that has a slot from now on, and the rows that were not counted.
        """
        first = np.empty(0, np.int64)
        if not len(self):
            some = [word[:_FIRST] for word in keys]
            first = self._let_in(some, np.arange(len(some[0])), self._choose(some))
        slots, other = self._looked_up(keys)
        odd = np.flatnonzero(other)
        at = slots.take(odd)
        new = self._let_in(keys, odd, at)
        if len(new):
            still = self._differ([word.take(odd) for word in keys], at)
            odd, at = odd[still], at[still]
        self._counts += np.bincount(slots, counts, self._size).astype(np.int64, copy=False)
        if len(odd):
            left = None if counts is None else counts[odd]
            self._counts -= np.bincount(at, left, self._size).astype(np.int64, copy=False)
        return np.concatenate([first, new]), odd

    def add_few(self, keys: Callable[[slice], Sequence[Words]], rows: int, most: int) -> tuple[Ints, Ints] | None:
        """Count so many rows piece by piece; None, at the first that tells, where they take more than `most` slots.

        Args:
            keys: Gives the words of the keys of some rows.
            rows: How many there are.
            most: Slots that may be taken. The keys alone decide which are, whatever their order.

        Returns:
            As `add` does.
        """
        # Twice as many rows from all over show most columns of many different keys.
        if self._spread(keys(slice(None, None, rows // (2 * most) + 1))) > most:
            return None
        new, odd = list[Ints](), list[Ints]()
        for start in range(0, rows, _PIECE):
            found, others = self.add(keys(slice(start, start + _PIECE)))
            new.append(start + found)
            odd.append(start + others)
            if len(self) > most:
                return None
        return np.concatenate(new), np.concatenate(odd)

    def counted(self) -> tuple[Words, Ints]:
        """Return the keys, shape ``(words, keys)``, in the order in which they got their slots, and their counts."""
        return self._keys[:, self._slots], self._counts[self._slots]

    def _spread(self, keys: Sequence[Words]) -> int:
        """Return to how many slots keys fall: once they are added, so many are taken at least."""
        return int(np.count_nonzero(np.bincount(self._choose(keys))))

    def _looked_up(self, keys: Sequence[Words]) -> tuple[Ints, Flags]:
        """Return the slot of each key, and whether another key has it or none."""
        rows = len(keys[0])
        slots, other = np.empty(rows, np.int64), np.empty(rows, np.bool_)
        spare = np.empty(min(rows, _CHUNK), np.uint64)
        for start in range(0, rows, _CHUNK):
            at = slots[start : start + _CHUNK]
            chunk = [np.ascontiguousarray(word[start : start + _CHUNK]) for word in keys]
            self._choose(chunk, at)
            self._differ(chunk, at, spare[: len(at)], other[start : start + _CHUNK])
        return slots, other

    def _choose(self, keys: Sequence[Words], out: Ints | None = None) -> Ints:
        """Return the slot of each key."""
        slots = np.empty(len(keys[0]), np.int64) if out is None else out
        mixed = slots.view(np.uint64)
        if self._multiplier is None:
            np.right_shift(keys[0], self._shift, out=mixed)
            return slots
        np.multiply(keys[0], self._multiplier, out=mixed)
        for word in keys[1:]:
            mixed ^= word
            mixed *= _NEXT
        mixed >>= self._shift
        return slots

    def _differ(
        self, keys: Sequence[Words], slots: Ints, spare: Words | None = None, out: Flags | None = None
    ) -> Flags:
        """Return whether each key is another than its slot holds."""
        differ: Flags = np.not_equal(self._keys[0].take(slots, out=spare, mode="clip"), keys[0], out=out)
        for held, word in zip(self._keys[1:], keys[1:], strict=True):
            differ |= held.take(slots, out=spare, mode="clip") != word
        return differ

    def _let_in(self, keys: Sequence[Words], rows: Ints, slots: Ints) -> Ints:
        """Give those of these slots that are free to keys of these rows, and return a row of each that got one."""
        free = np.flatnonzero(self._free.take(slots))
        if not len(free):
            return free
        chosen = np.full(self._size, -1)
        chosen[slots[free]] = rows[free]  # one of the rows of a slot, whichever it is
        taken = np.flatnonzero(chosen >= 0)
        new = chosen[taken]
        for held, word in zip(self._keys, keys, strict=True):
            held[taken] = word[new]
        self._free[taken] = False
        self._slots = np.concatenate([self._slots, taken])
        return new
