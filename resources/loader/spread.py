"""Owns where the rows of a pool lie in a space: one number a block, so that a row is found by one addition."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from resources.loader.order import Pool
from resources.loader.space import Space

_UNKNOWN = np.iinfo(np.int64).min


class Spread:
    """Where the rows of one column of a pool lie in a space of that column.

    Args:
        pool: The pool.
        space: Where its shards are put, each when it is first needed.
        first: Returns the number of the first row of a shard in the space; None if it cannot be put there.
        open_all: Opens shards, at once where that is quicker than one after the other.
    """

    def __init__(
        self,
        pool: Pool,
        space: Space,
        first: Callable[[int], int | None],
        open_all: Callable[[Sequence[int]], object],
    ) -> None:
        self.space = space
        self._shards = [piece.shard for piece in pool.pieces]
        self._first = first
        self._open_all = open_all
        owners, firsts, starts = pool.blocks
        self._owners = owners
        self._shifts = firsts - starts  # from the place in the pool to the row in the shard
        self._known = np.full(len(owners), _UNKNOWN)
        self._is_whole = False

    def rows(self, places: NDArray[np.intp], blocks: NDArray[np.intp]) -> NDArray[np.int64] | None:
        """Return which rows of the space are at some places of the pool, shape ``(places,)``.

        Args:
            places: The places, shape ``(places,)``.
            blocks: The block of each, shape ``(places,)``.

        Returns:
            None where a shard cannot be put in the space.

        Raises:
            PenstockError: If a shard cannot be opened.
        """
        if not self._is_whole and not self._put(blocks):
            return None
        return places + self._known[blocks]

    def _put(self, blocks: NDArray[np.intp]) -> bool:
        missing = np.unique(self._owners[blocks[self._known[blocks] == _UNKNOWN]])
        for number, owner in enumerate(missing.tolist()):
            if number == 1:  # the first of them shows whether the others can be put there
                self._open_all([self._shards[other] for other in missing[1:].tolist()])
            first = self._first(self._shards[owner])
            if first is None:
                return False
            mine = self._owners == owner
            self._known[mine] = self._shifts[mine] + first
        self._is_whole = not (self._known == _UNKNOWN).any()
        return True
