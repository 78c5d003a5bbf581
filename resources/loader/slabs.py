"""Owns the memory that batches lie in: a ring of slabs, each filled with several batches at once and used again.

A slab whose batches somebody still holds is left to them, and another takes its place: no batch ever changes under
its reader. Who holds many batches thereby holds their slabs; `copy=True` gives batches memory of their own.
"""

import sys
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.loader.columns import Fixed, Matrix
from resources.loader.picking import Spots

ALIGNMENT = 64
"""Bytes; Arrow recommends it, and JAX takes memory without a copy only so."""


class Slab:
    """Memory for some rows.

    Args:
        columns: Layout of each column of fixed width, None for each other.
        rows: How many rows it holds.

    Attributes:
        values: Matrix of each column of fixed width, shape ``(rows, *layout.shape)``; None for each other.
        valid: Which rows of each column have a value; None where all have.
        arrays: Arrow array of each column of no fixed width, once filled.
        spots: Instead of it, where the values lie.
        kept: Which of the samples that were asked for are there, one after the other; None where all are.
    """

    __slots__ = ("_arenas", "_idle_references", "_roots", "arrays", "kept", "spots", "valid", "values")

    def __init__(self, columns: Sequence[Fixed | None], rows: int) -> None:
        self._roots: list[NDArray[np.uint8]] = []
        self.values: list[Matrix | None] = [layout and self._matrix(layout, rows) for layout in columns]
        self.valid: list[NDArray[np.bool_] | None] = [None] * len(columns)
        self.arrays: list[pa.Array | None] = [None] * len(columns)
        self.spots: list[Spots | None] = [None] * len(columns)
        self.kept: NDArray[np.bool_] | None = None
        self._arenas: dict[int, Arena] = {}
        self._idle_references = [sys.getrefcount(root) for root in self._roots]

    def arena(self, column: int) -> "Arena":
        """Return memory for the bytes of long values of a column."""
        return self._arenas.setdefault(column, Arena())

    def join(self, kinds: Sequence[pa.DataType]) -> None:
        """Put long values that lie apart end to end.

        Args:
            kinds: Type of each column.

        Raises:
            LoaderError: If they are too long for their type.
        """
        for number, spots in enumerate(self.spots):
            if spots is not None:
                self.arrays[number] = spots.end_to_end(kinds[number], self.arena(number).of)
                self.spots[number] = None

    def is_idle(self) -> bool:
        """Return whether nobody else refers to its memory."""
        counts = [sys.getrefcount(root) for root in self._roots]
        return counts == self._idle_references and all(arena.is_idle() for arena in self._arenas.values())

    def clear(self) -> None:
        """Let go of what the last use left."""
        self.arrays = [None] * len(self.arrays)
        self.spots = [None] * len(self.spots)
        self.valid = [None] * len(self.valid)
        self.kept = None

    def _matrix(self, layout: Fixed, rows: int) -> Matrix:
        memory = aligned(rows * layout.row_bytes)
        self._roots.append(root_of(memory))
        return memory.view(layout.dtype).reshape(rows, *layout.shape)


class Arena:
    """Memory for the bytes of one column of long values; it grows to what one slab of them needs."""

    __slots__ = ("_idle_references", "_memory", "_root")

    def __init__(self) -> None:
        self._renew(0)

    def of(self, size_bytes: int) -> NDArray[np.uint8]:
        """Return its first `size_bytes` bytes."""
        if len(self._memory) < size_bytes:
            self._renew(size_bytes + size_bytes // 8)
        return self._memory[:size_bytes]

    def is_idle(self) -> bool:
        """Return whether nobody else refers to its memory."""
        return sys.getrefcount(self._root) == self._idle_references

    def _renew(self, size_bytes: int) -> None:
        self._memory = aligned(size_bytes)
        self._root = root_of(self._memory)
        self._idle_references = sys.getrefcount(self._root)


class Ring:
    """Slabs of one shape.

    Attributes:
        replaced: Slabs that were left to who holds their batches.
    """

    def __init__(self, columns: Sequence[Fixed | None], rows: int) -> None:
        self._columns = columns
        self._rows = rows
        self._resting: list[Slab] = []
        self._lock = Lock()
        self.replaced = 0

    def take(self) -> Slab:
        """Return a slab that nobody uses, the latest one first: the caches of the processor still hold it."""
        with self._lock:
            for place in range(len(self._resting) - 1, -1, -1):
                slab = self._resting[place]
                slab.clear()
                if slab.is_idle():
                    del self._resting[place]
                    return slab
        return Slab(self._columns, self._rows)

    def give(self, slab: Slab, *, keep: int) -> None:
        """Take a slab back; its last batch may still be in use. At most `keep` wait here, who holds others has them."""
        slab.clear()  # lest it keep shards in memory that it only pointed to
        with self._lock:
            self._resting.append(slab)
            while len(self._resting) > keep:
                del self._resting[0]
                self.replaced += 1


def aligned(size_bytes: int) -> NDArray[np.uint8]:
    """Return memory that begins at a multiple of `ALIGNMENT`; its base is the whole of it."""
    whole = np.empty(size_bytes + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + size_bytes]


def root_of(memory: NDArray[Any]) -> NDArray[np.uint8]:  # Any: of any type
    """Return the array that owns `memory`, to which all views of it refer."""
    owner = memory.base
    if not isinstance(owner, np.ndarray):
        raise TypeError("memory that is no view has no owner")
    return owner
