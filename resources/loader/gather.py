"""Owns the copying of samples from the shards into a slab, by the quickest way that their pool allows.

One block is read where it lies. A few small ones are first put side by side, since a permutation costs least within
what the caches of a processor hold. Rows of many or large blocks are picked where they lie, by one call for all shards
if these can be mapped side by side.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.loader.at_once import AtOnce, Berths
from resources.loader.columns import Matrix
from resources.loader.copying import Several, chosen_rows, copy_blocks, take_rows, taken_by, taker
from resources.loader.losses import Losses, OnError
from resources.loader.order import Piece, Pool, Span
from resources.loader.picking import Picks, in_place, picked, spots_of, taken
from resources.loader.shards import Shard
from resources.loader.slabs import Slab, aligned
from resources.loader.sources import Chosen
from resources.loader.views import Column, Rows, Views

STAGED_BYTES = 16 * 2**20
"""Most bytes of the blocks that are put side by side."""
_IDLE_POOLS = 1


@dataclass(slots=True)
class _Staged:
    """A pool whose rows lie in one piece.

    Attributes:
        lock: Held by who puts them there.
        users: Threads that read them.
        columns: The rows of each column, once they are there.
        memory: Of each column of fixed width, to be used again.
    """

    lock: Lock = field(default_factory=Lock)
    users: int = 0
    columns: list[Rows] | None = None
    memory: list[NDArray[np.uint8] | None] = field(default_factory=list["NDArray[np.uint8] | None"])


class Gathered:
    """What one slab gets, from one gatherer or from several with the same columns.

    Args:
        slab: The slab.
        columns: Its columns.
        apart: Whether long values stay where they lie.

    Attributes:
        slab: The slab.
        rows: Samples that it has so far.
        picks: Of each column of no fixed width, what is picked for it, until the end.
    """

    def __init__(self, slab: Slab, columns: Sequence[Column], *, apart: bool) -> None:
        self.slab = slab
        self._apart = apart
        self.rows = 0
        self.picks: list[list[Picks]] = [[] for _ in columns]
        self._columns = columns
        self._lost: list[tuple[int, NDArray[np.bool_]]] = []

    def add(self, rows: int, kept: NDArray[np.bool_] | None) -> None:
        """Count more samples, of which those that are not kept are of shards that are left out."""
        if kept is not None:
            self._lost.append((self.rows, kept))
        self.rows += rows

    def finish(self) -> None:
        """Give the slab its columns of no fixed width, and tell it which samples are there.

        Raises:
            LoaderError: If their values are too long for their type.
        """
        for number, (column, picks) in enumerate(zip(self._columns, self.picks, strict=True)):
            if not picks:
                continue
            array = in_place(picks)
            spots = None if array is not None else spots_of(picks, column.kind)
            self.slab.spots[number] = spots
            if spots is None:
                self.slab.arrays[number] = taken(picks) if array is None else array
        if not self._apart:
            self.slab.join([column.kind for column in self._columns])
        if self._lost:
            self.slab.kept = np.ones(self.rows, np.bool_)
            for start, kept in self._lost:
                self.slab.kept[start : start + len(kept)] = kept


class Gatherer:
    """Copies samples of one set of shards; threads may share it.

    Args:
        shards: In the order by which pools number them.
        columns: What is read of each.
        row_bytes: Mean bytes of a row of these columns.
        together: How many shards the order reads at a time.
        chosen: Rows of each shard that there are for the order; None means all of it, or of all shards.
        most: How many shards stay open at most.
        on_error: What becomes of damaged shards.
        at_once: How many shards may be on their way here at once, where several are needed; None means one.
        berths: Lets the shards of all threads come while there is room; None where they take none.

    Attributes:
        views: The shards that are open.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        columns: Sequence[Column],
        *,
        row_bytes: float,
        together: int,
        chosen: Sequence[Chosen | None] | None,
        most: int,
        on_error: OnError,
        at_once: AtOnce | None = None,
        berths: Berths | None = None,
    ) -> None:
        self._losses = Losses(on_error)
        self._columns = columns
        self._chosen = chosen
        self._row_bytes = row_bytes
        self.views = Views(
            shards, columns, together=together, most=most, losses=self._losses, at_once=at_once, berths=berths
        )
        self._staged: OrderedDict[Pool, _Staged] = OrderedDict()
        self._lock = Lock()

    def gather(self, spans: Iterable[Span], gathered: "Gathered") -> None:
        """Copy the samples of `spans`, one after the other, behind what was gathered before.

        Raises:
            LoaderError: If a shard is not what it was said to be.
        """
        for span in spans:
            self._gather(span, gathered.slab, gathered.rows, gathered.picks)
            gathered.add(span.stop - span.start, self._losses.kept(span))

    def _gather(self, span: Span, slab: Slab, at: int, picks: list[list[Picks]]) -> None:
        pool = span.pool
        if self._chosen is None and len(pool.pieces) == 1 and len(pool.pieces[0].firsts) == 1:
            (piece,) = pool.pieces
            rows = self.views.of(piece.shard)
            first, last = int(piece.firsts[0]), int(piece.firsts[0]) + piece.rows
            cut = [Rows(one.values[first:last], None if one.valid is None else one.valid[first:last]) for one in rows]
            self._from_one(span, cut, slab, at, picks)
        elif pool.rows * self._row_bytes <= STAGED_BYTES:
            staged = self._stage(pool)
            try:
                self._from_one(span, staged.columns or [], slab, at, picks)
            finally:
                self._leave(staged)
        else:
            self._from_many(span, slab, at, picks)

    def _from_one(self, span: Span, rows: Sequence[Rows], slab: Slab, at: int, picks: list[list[Picks]]) -> None:
        take = taker(span)
        places: NDArray[np.intp] | None = None
        for number, (column, one) in enumerate(zip(self._columns, rows, strict=True)):
            target = slab.values[number]
            if target is not None and not isinstance(one.values, pa.Array):
                out = target[at : at + span.stop - span.start]
                if column.picked is None:
                    take(one.values, out)
                else:
                    out[...] = taken_by(take, one.values, len(out))[:, list(column.picked)]
                if one.valid is not None:
                    _valid_of(slab, number)[at : at + len(out)] = taken_by(take, one.valid, len(out))
                elif (valid := slab.valid[number]) is not None:
                    valid[at : at + len(out)] = True
            elif isinstance(one.values, pa.Array):
                if places is None:
                    places = span.pool.places(span.start, span.stop)
                picks[number].append(Picks([one.values], None, places))

    def _from_many(self, span: Span, slab: Slab, at: int, picks: list[list[Picks]]) -> None:
        """Pick rows of several shards."""
        pool, count = span.pool, span.stop - span.start
        places = pool.places(span.start, span.stop)
        blocks = pool.blocks_of(places)
        several: Several | None = None
        opened = list[list[Rows]]()
        for number, column in enumerate(self._columns):
            target, valid = slab.values[number], slab.valid[number]
            out = None if target is None else target[at : at + count]
            is_plain = out is not None and valid is None and self._chosen is None
            if out is not None and is_plain and self._picked_together(number, pool, places, blocks, out):
                continue
            if several is None:
                several = self._several(pool, places)
                opened = self.views.of_all(several.shards)
            sources = [columns[number] for columns in opened]
            if out is None or column.layout is None:
                picks[number].append(Picks([one.values for one in sources], several.owners, several.rows))
                continue
            direct = out if column.picked is None else np.empty((count, *column.layout.shape), column.layout.dtype)
            several.copy([one.values for one in sources], direct)
            if column.picked is not None:
                out[...] = direct[:, list(column.picked)]
            if any(one.valid is not None for one in sources):
                known = [np.ones(len(one.values), np.bool_) if one.valid is None else one.valid for one in sources]
                several.copy(known, _valid_of(slab, number)[at : at + count])
            elif valid is not None:
                valid[at : at + count] = True

    def at_rest(self, shards: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which rows of their shards some rows are that the order counts, shape ``(rows,)`` like both."""
        if self._chosen is None:
            return rows
        found = rows.copy()
        for shard in np.unique(shards).tolist():
            chosen = self._chosen[shard]
            if chosen is not None:
                mine = shards == shard
                found[mine] = chosen[rows[mine]]
        return found

    def _several(self, pool: Pool, places: NDArray[np.intp]) -> Several:
        """Return which rows of which shards are at some places of a pool."""
        found = Several.of(pool, places)
        return replace(found, rows=self.at_rest(np.array(found.shards, np.int64)[found.owners], found.rows))

    def _chosen_of(self, shard: int) -> Chosen | None:
        return None if self._chosen is None else self._chosen[shard]

    def _picked_together(
        self, number: int, pool: Pool, places: NDArray[np.intp], blocks: NDArray[np.intp], out: Matrix
    ) -> bool:
        """Pick rows of a column by one call for all shards; return whether they lie so that this is possible."""
        spread = self.views.spread(number, pool)
        rows = None if spread is None else spread.rows(places, blocks)
        if spread is None or rows is None:
            return False
        wanted = self._columns[number].picked
        if wanted is None:
            take_rows(spread.space.values, rows, out)
        else:
            out[...] = spread.space.values.take(rows, axis=0)[:, list(wanted)]
        return True

    def _stage(self, pool: Pool) -> _Staged:
        """Return the pool with its rows in one piece, to be left again."""
        with self._lock:
            staged = self._staged.get(pool)
            if staged is None:
                staged = self._staged[pool] = _Staged(memory=self._idle_memory())
            staged.users += 1
        try:
            with staged.lock:
                if staged.columns is None:
                    staged.columns = self._side_by_side(pool, staged.memory)
        except BaseException:
            self._leave(staged)
            raise
        return staged

    def _leave(self, staged: _Staged) -> None:
        with self._lock:
            staged.users -= 1

    def _idle_memory(self) -> list[NDArray[np.uint8] | None]:
        """Return memory of a pool that nobody needs any more; the oldest are forgotten."""
        idle = [pool for pool, staged in self._staged.items() if not staged.users][: -_IDLE_POOLS or None]
        memory: list[NDArray[np.uint8] | None] = [None] * len(self._columns)
        for pool in idle:
            memory = self._staged.pop(pool).memory
        return memory

    def _side_by_side(self, pool: Pool, memory: list[NDArray[np.uint8] | None]) -> list[Rows]:
        pieces = pool.pieces
        starts = np.cumsum([0, *(piece.total_rows for piece in pieces)]).tolist()
        shards = list(dict.fromkeys(piece.shard for piece in pieces))
        opened = dict(zip(shards, self.views.of_all(shards), strict=True))
        made: list[Rows] = []
        chosen = [chosen_rows(piece, self._chosen_of(piece.shard)) for piece in pieces]
        for number, column in enumerate(self._columns):
            sources = [opened[piece.shard][number] for piece in pieces]
            if column.layout is None:
                made.append(Rows(pa.concat_arrays(list(_stretches(pieces, chosen, sources)))))
                continue
            needed = pool.rows * column.layout.row_bytes
            kept = memory[number]
            if kept is None or len(kept) < needed:
                kept = memory[number] = aligned(needed + needed // 8)
            values = kept[:needed].view(column.layout.dtype).reshape(pool.rows, *column.layout.shape)
            for piece, rows, source, start in zip(pieces, chosen, sources, starts, strict=False):
                copy_blocks(piece, rows, source.values, values[start : start + piece.total_rows])
            valid: NDArray[np.bool_] | None = None
            if any(source.valid is not None for source in sources):
                valid = np.ones(pool.rows, np.bool_)
                for piece, rows, source, start in zip(pieces, chosen, sources, starts, strict=False):
                    if source.valid is not None:
                        copy_blocks(piece, rows, source.valid, valid[start : start + piece.total_rows])
            made.append(Rows(values, valid))
        return made


def _stretches(pieces: Sequence[Piece], chosen: Sequence[Chosen | None], sources: Sequence[Rows]) -> Iterator[pa.Array]:
    for piece, rows, source in zip(pieces, chosen, sources, strict=True):
        if rows is not None:
            yield picked(source.values, rows.astype(np.int64))
            continue
        for first in piece.firsts.tolist():
            yield source.values[first : first + piece.rows]


def _valid_of(slab: Slab, number: int) -> NDArray[np.bool_]:
    """Return which rows of a column have a value, all of them until told otherwise."""
    found = slab.valid[number]
    if found is None:
        values = slab.values[number]
        found = slab.valid[number] = np.ones(0 if values is None else len(values), np.bool_)
    return found
