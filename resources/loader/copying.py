"""Owns the copying of rows between matrices: blocks, runs and single rows, each by as few calls of numpy as can be.

It knows neither shards nor slabs, only where rows lie and where they go.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.loader.columns import Matrix
from resources.loader.order import Piece, Pool, Span
from resources.loader.sources import Chosen


def chosen_rows(piece: Piece, chosen: Chosen | None) -> Chosen | None:
    """Return which rows of its shard the blocks of `piece` are; None where they are those that it says."""
    if chosen is None:
        return None
    return chosen[(piece.firsts[:, None] + np.arange(piece.rows)).reshape(-1)]


def copy_blocks(piece: Piece, chosen: Chosen | None, source: Matrix, out: Matrix) -> None:
    """Copy the blocks of `piece` to `out`, all of them by one call."""
    if chosen is not None:
        take_rows(source, chosen.astype(np.intp), out)
        return
    if len(piece.firsts) == 1:
        first = int(piece.firsts[0])
        np.copyto(out, source[first : first + piece.rows])
        return
    whole = len(source) // piece.rows
    blocks = source[: whole * piece.rows].reshape(whole, -1)
    take_rows(blocks, piece.firsts // piece.rows, out.reshape(len(piece.firsts), -1))


Take = Callable[[Any, Any], None]  # Any: matrices of any type


def taker(span: Span) -> Take:
    """Return what copies the samples of `span` out of the rows of its pool, which lie in one piece."""
    pool, start, stop = span.pool, span.start, span.stop
    if pool.key is None:
        return lambda source, out: np.copyto(out, source[start:stop])
    unit = pool.unit_rows
    if unit == 1:
        places = pool.units(start, stop)
        return lambda source, out: take_rows(source, places, out)
    whole = pool.whole_units * unit
    first, last = -(-min(start, whole) // unit), min(stop, whole) // unit
    if first >= last:
        places = pool.places(start, stop)
        return lambda source, out: take_rows(source, places, out)
    units = pool.units(first, last)
    before, after = pool.places(start, first * unit), pool.places(last * unit, stop)

    def take(source: Matrix, out: Matrix) -> None:
        head, body = len(before), len(before) + len(units) * unit
        if head:
            take_rows(source, before, out[:head])
        runs = source[:whole].reshape(pool.whole_units, -1)
        take_rows(runs, units, out[head:body].reshape(len(units), -1))
        if len(after):
            take_rows(source, after, out[body:])

    return take


def take_rows(source: Matrix, places: NDArray[np.intp], out: Matrix) -> None:
    """Copy the rows at some places of `source` to `out`, in that order."""
    # Any mode but "raise" spares numpy a copy of `out`; the places are within the source.
    source.take(places, axis=0, out=out, mode="clip")


def taken_by(take: Take, source: Matrix, rows: int) -> Matrix:
    """Return the rows that `take` copies out of `source`, so many."""
    out = np.empty((rows, *source.shape[1:]), source.dtype)
    take(source, out)
    return out


@dataclass(frozen=True)
class Several:
    """Rows of several shards, in an order of their own.

    Attributes:
        shards: Their numbers.
        owners: Which of these each row is of, shape ``(rows,)``.
        rows: Their places within these, shape ``(rows,)``.
    """

    shards: list[int]
    owners: NDArray[np.intp]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, pool: Pool, places: NDArray[np.intp]) -> "Several":
        """Return the rows of a pool at some places."""
        owners, rows = pool.owned(places)
        used = np.flatnonzero(np.bincount(owners, minlength=len(pool.pieces)))
        numbers = np.empty(len(pool.pieces), np.intp)
        numbers[used] = np.arange(len(used))
        return cls([pool.pieces[piece].shard for piece in used.tolist()], numbers[owners], rows)

    def copy(self, sources: Sequence[Matrix], out: Matrix) -> None:
        """Copy the rows to `out`: matrix by matrix into one piece, then each to its place."""
        together = np.empty((len(self.rows), *out.shape[1:]), out.dtype)
        start = 0
        for source, end in zip(sources, self._ends, strict=True):
            take_rows(source, self.rows[self._by_shard[start:end]], together[start:end])
            start = end
        back = np.empty_like(self._by_shard)
        back[self._by_shard] = np.arange(len(self._by_shard))
        take_rows(together, back, out)

    @cached_property
    def _by_shard(self) -> NDArray[np.intp]:
        return np.argsort(self.owners, kind="stable")

    @cached_property
    def _ends(self) -> list[int]:
        return np.cumsum(np.bincount(self.owners, minlength=len(self.shards))).tolist()
