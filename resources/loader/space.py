"""Owns addresses at which the values of one column of all mapped shards lie as the rows of one matrix.

Files are mapped a second time, into a stretch of addresses that is reserved for all of them, each where its rows fall
on whole multiples of their width from the beginning. Between them lies nothing; who picks rows by number, of any shards
in any order, needs one call then, and no second copy. The numbers are places in memory, not in the order of the rows.
"""

import ctypes
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from threading import Lock

import numpy as np

from resources.loader.columns import Fixed, Matrix
from resources.loader.mapping import PAGE, Reserved
from resources.storage.buffers import whole_pages


class Space:
    """Room for one column of shards.

    Args:
        layout: How its values lie in memory.
        rows: Rows of each shard.

    Attributes:
        values: All of the room as a matrix; only the rows of shards that were put there may be read.

    Raises:
        OSError: If so many addresses are not to be had.
    """

    def __init__(self, layout: Fixed, rows: Sequence[int]) -> None:
        self._width = layout.row_bytes
        self._step = gcd(PAGE, self._width)
        steps = self._width // self._step  # pages after which an address has the same remainder again
        sizes = [whole_pages(count * self._width) + (steps + 2) * PAGE for count in rows]
        starts = np.cumsum([0, *sizes])
        self._starts: list[int] = starts.tolist()
        self._size = int(starts[-1])
        self._reserved = Reserved(self._size)
        self._layout = layout
        self._rest: int | None = None
        self._firsts: dict[int, int | None] = {}
        self._lock = Lock()
        self.values: Matrix = np.empty((0, *layout.shape), layout.dtype)

    def __len__(self) -> int:
        """Return how many shards were put there."""
        return len(self._firsts)

    def first(self, shard: int, path: Path, offset: int, rows: int) -> int | None:
        """Return the number of the first row of a shard, which is put in its place at the first call.

        Args:
            shard: Its number.
            path: Of its file.
            offset: Where the values of the column begin in the file.
            rows: How many there are.

        Returns:
            None if its place in the file fits no whole number.

        Raises:
            OSError: If it cannot be mapped.
        """
        with self._lock:
            if shard not in self._firsts:
                self._firsts[shard] = self._put(shard, path, offset, rows)
            return self._firsts[shard]

    def _put(self, shard: int, path: Path, offset: int, rows: int) -> int | None:
        within = offset % PAGE
        if self._rest is None:
            self._rest = within % self._step
            self.values = self._matrix(self._rest)
        if within % self._step != self._rest:
            return None
        start = self._starts[shard]
        while (start + within - self._rest) % self._width:
            start += PAGE
        self._reserved.put(start, path, offset - within, whole_pages(within + rows * self._width))
        return (start + within - self._rest) // self._width

    def _matrix(self, rest: int) -> Matrix:
        count = (self._size - rest) // self._width
        memory = (ctypes.c_char * (count * self._width)).from_address(self._reserved.address + rest)
        # Lest the addresses be given back while somebody reads there.
        memory.reserved = self._reserved  # pyright: ignore[reportAttributeAccessIssue]
        return np.frombuffer(memoryview(memory), self._layout.dtype).reshape(count, *self._layout.shape)
