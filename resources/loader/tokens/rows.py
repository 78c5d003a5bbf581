"""Owns the rows of one group of documents: pieces of at most a row, where each lies, and the copying of them.

Which row a piece goes to is decided elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.loader.ragged import ragged
from resources.loader.slabs import Slab


@dataclass(frozen=True, slots=True)
class Pieces:
    """What goes into rows: documents, or parts of those that are longer than a row.

    Attributes:
        starts: Where each begins in the tokens of the group, shape ``(pieces,)``.
        lengths: How many tokens each has, shape ``(pieces,)``.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, lengths: NDArray[np.int64], most: int) -> "Pieces":
        """Return the pieces of documents of these lengths that lie end to end; of empty ones there are none."""
        counts = -(-lengths // most)
        owners = np.repeat(np.arange(len(lengths)), counts)
        before = (np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)) * most
        return cls((np.cumsum(lengths) - lengths)[owners] + before, np.minimum(lengths[owners] - before, most))


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The rows of one group.

    Attributes:
        values: Tokens of its documents, end to end.
        pieces: In the order of the rows, and in a row in the order of the documents.
        firsts: The first piece of each row, and the number of all, shape ``(rows + 1,)``.
        ramp: Numbers from 0 on, as many as the longest piece has.
    """

    values: NDArray[Any]  # Any: of integers
    pieces: Pieces
    firsts: list[int]
    ramp: NDArray[np.int32]

    @classmethod
    def of(cls, values: NDArray[Any], pieces: Pieces, rows: NDArray[np.int64], count: int) -> "TokenRows":
        """Return the rows that hold the pieces: `rows` says which each goes to, shape ``(pieces,)``, of `count`."""
        order = np.argsort(rows, kind="stable")
        ordered = Pieces(pieces.starts[order], pieces.lengths[order])
        firsts: list[int] = np.searchsorted(rows[order], np.arange(count + 1)).tolist()
        return cls(values, ordered, firsts, np.arange(int(pieces.lengths.max(initial=0)), dtype=np.int32))

    def copy(self, start: int, stop: int, slab: Slab, at: int, pad: int) -> None:
        """Copy the rows from `start` to before `stop` to the slab from its row `at` on."""
        tokens, segments, positions, padding = (one[at : at + stop - start] for one in slab.values if one is not None)
        tokens[...], segments[...], positions[...] = pad, 0, 0
        for row, used, parts in self._placed(start, stop):
            padding[row] = tokens.shape[1] - used
            for segment, (begin, source, size) in enumerate(parts, 1):
                tokens[row, begin : begin + size] = self.values[source : source + size]
                segments[row, begin : begin + size] = segment
                positions[row, begin : begin + size] = self.ramp[:size]

    def _placed(self, start: int, stop: int) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
        """Yield each row, its tokens, and where each of its pieces begins in it and in the values, and its length."""
        for row in range(start, stop):
            mine = slice(self.firsts[row], self.firsts[row + 1])
            used, parts = 0, list[tuple[int, int, int]]()
            for source, size in zip(self.pieces.starts[mine].tolist(), self.pieces.lengths[mine].tolist(), strict=True):
                parts.append((used, source, size))
                used += size
            yield row - start, used, parts


def documents_of(slab: Slab) -> tuple[NDArray[Any], NDArray[np.int32]]:  # Any: of integers
    """Return the tokens of a slab of documents, end to end, and how many each has."""
    (values,), (array,) = slab.values, slab.arrays
    if values is not None:
        return values.reshape(-1), np.full(len(values), values.shape[1], np.int32)
    found = ragged(array)
    return found.values, np.diff(found.offsets).astype(np.int32)


def with_ends(values: NDArray[Any], lengths: NDArray[np.int32], end: int) -> NDArray[Any]:  # Any: of integers
    """Return the tokens with one more behind each document."""
    ends = np.cumsum(lengths.astype(np.int64) + 1) - 1
    is_token = np.ones(len(values) + len(lengths), np.bool_)
    is_token[ends] = False
    found = np.full(len(is_token), end, values.dtype)
    found[is_token] = values
    return found
