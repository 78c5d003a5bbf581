"""Owns the orders of samples: pure functions of (dataset, seed, epoch, position), whatever reads them.

An epoch is a sequence of pools. A pool is some blocks of rows, one after the other, and a permutation of its units: of
single rows or of short runs of them. Who reads a pool holds its rows in memory or maps them; who asks for a position
needs its pool alone, so that starting anywhere costs the same.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from resources.loader.bijection import Bijection

OrderName = Literal["sequential", "run", "window", "exact"]
RUN_ROWS = 64
"""Rows of one run: long enough to be copied at the speed of memory."""
WINDOW_BYTES = 128 * 2**20
"""Bytes of the shards whose rows one window mixes, to the nearest shard; at least two shards, where there are two."""
POOL_BYTES = 3 * 2**20
"""Bytes of the blocks whose rows are permuted one by one: what caches of processors hold."""
POOL_BLOCKS = 64
POOL_PERMUTATIONS = 8
"""How many permutations the pools of an epoch share: which blocks a pool holds is random already."""
WIDE_BYTES = 2048
"""From this width on a row is copied as fast alone as among its neighbours: a pool is a whole window then."""
_MOST_BLOCK_ROWS = 8192
_KEPT_UNITS = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What of a dataset decides the order of its samples.

    Attributes:
        root: Digest of its content, hexadecimal.
        rows: Rows of each shard, shape ``(shards,)``.
        row_bytes: Mean bytes of a row.
    """

    root: str
    rows: NDArray[np.int64]
    row_bytes: float

    @property
    def total_rows(self) -> int:
        """Rows of all shards."""
        return int(self.rows.sum())

    @property
    def block_rows(self) -> int:
        """Rows of one block of a window: a power of two."""
        fitting = max(1, int(POOL_BYTES / POOL_BLOCKS / max(self.row_bytes, 1.0)))
        return min(1 << (fitting.bit_length() - 1), _MOST_BLOCK_ROWS)

    @property
    def window_shards(self) -> int:
        """Shards of one window."""
        mean_bytes = self.total_rows * self.row_bytes / max(len(self.rows), 1)
        return max(2, round(WINDOW_BYTES / max(mean_bytes, 1.0)))


@dataclass(frozen=True, slots=True)
class Piece:
    """Blocks of one shard, one after the other.

    Attributes:
        shard: Number of the shard.
        firsts: First row of each block within it, shape ``(blocks,)``; where there are several, multiples of `rows`.
        rows: Rows of each block, at least one.
    """

    shard: int
    firsts: NDArray[np.int64]
    rows: int

    @property
    def total_rows(self) -> int:
        """Rows of all blocks."""
        return len(self.firsts) * self.rows


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows that are permuted with each other.

    Attributes:
        start: Position of its first sample in the epoch.
        rows: How many it has.
        pieces: Where they lie, one after the other.
        unit_rows: Rows that stay together; what is left over at the end is the last, shorter unit, in its place.
        key: Key of the permutation of the units; None keeps them as they are.
    """

    start: int
    rows: int
    pieces: tuple[Piece, ...]
    unit_rows: int
    key: tuple[int, ...] | None

    @property
    def stop(self) -> int:
        """Position after its last sample."""
        return self.start + self.rows

    @property
    def whole_units(self) -> int:
        """Units of full length."""
        return self.rows // self.unit_rows

    def units(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return which full units come at the places from `start` to before `stop`, shape ``(stop - start,)``."""
        if self.key is None:
            return np.arange(start, stop)
        if self.whole_units <= _KEPT_UNITS:
            return _kept(self.whole_units, self.key)[start:stop]
        return self._permutation(start, stop)

    @cached_property
    def _permutation(self) -> Bijection:
        return Bijection(self.whole_units, self.key or ())

    def places(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return which rows of the pool are its samples from `start` to before `stop`, shape ``(stop - start,)``."""
        if self.unit_rows == 1:
            return self.units(start, stop)
        whole = self.whole_units * self.unit_rows
        first, last = min(start, whole) // self.unit_rows, -(-min(stop, whole) // self.unit_rows)
        units = self.units(first, last)[:, None] * self.unit_rows + np.arange(self.unit_rows)
        rows = np.concatenate([units.reshape(-1), np.arange(whole, max(stop, whole))])
        return rows[start - first * self.unit_rows :][: stop - start]

    def located(self, places: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return shard and row within it of rows of the pool, each of the shape of `places`."""
        owners, rows = self.owned(places)
        return np.array([piece.shard for piece in self.pieces])[owners], rows

    def owned(self, places: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Return number of the piece and row within its shard of rows of the pool, each of the shape of `places`."""
        owners, firsts, starts = self.blocks
        blocks = self.blocks_of(places)
        return owners[blocks], places - starts[blocks] + firsts[blocks]

    def blocks_of(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the number of the block of each row of the pool, of the shape of `places`."""
        return np.searchsorted(self.blocks[2], places, side="right") - 1

    @cached_property
    def blocks(self) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
        """Piece, first row in its shard, and first place in the pool of each block."""
        counts = [len(piece.firsts) for piece in self.pieces]
        rows = np.repeat([piece.rows for piece in self.pieces], counts)
        return (
            np.repeat(np.arange(len(self.pieces)), counts),
            np.concatenate([piece.firsts for piece in self.pieces]),
            np.cumsum(rows) - rows,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Samples of one pool, from its `start`-th to before its `stop`-th."""

    pool: Pool
    start: int
    stop: int


class Epoch:
    """The order of one epoch.

    Args:
        layout: Of the dataset.
        order: Its name; see `ORDERS`.
        seed: Tells the orders of one dataset from each other, from 0 to 2**63.
        number: Of the epoch, from 0 on.
    """

    def __init__(self, layout: Layout, order: OrderName, *, seed: int, number: int) -> None:
        self._key = (*words_of(layout.root), seed, number)
        self._pools = ORDERS[order](layout, self._key)
        self.rows = layout.total_rows

    def spans(self, start: int, stop: int) -> Iterator[Span]:
        """Yield, in order, where the samples from `start` to before `stop` lie."""
        while start < stop:
            pool = self._pools.at(start)
            end = min(stop, pool.stop)
            yield Span(pool, start - pool.start, end - pool.start)
            start = end

    def samples(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return shard and row within it of the samples from `start` to before `stop`, each ``(stop - start,)``."""
        found = [span.pool.located(span.pool.places(span.start, span.stop)) for span in self.spans(start, stop)]
        empty = np.empty(0, np.int64)
        return (
            np.concatenate([empty, *(shards for shards, _ in found)]),
            np.concatenate([empty, *(rows for _, rows in found)]),
        )

    def shards_from(self, start: int) -> Iterator[int]:
        """Yield the shards in the order in which the samples from `start` on first need them, each once."""
        return self._pools.shards_from(start)


class _ShardPools:
    """One pool a shard."""

    def __init__(self, layout: Layout, key: Sequence[int] | None, unit_rows: int) -> None:
        self._layout = layout
        self._key = key
        self._unit_rows = unit_rows
        self._order = _shard_order(layout, key)
        self._ends = np.cumsum(layout.rows[self._order])
        self.at_shard = lru_cache(maxsize=4)(self._made)

    def at(self, position: int) -> Pool:
        return self.at_shard(int(np.searchsorted(self._ends, position, side="right")))

    def shards_from(self, start: int) -> Iterator[int]:
        yield from map(int, self._order[np.searchsorted(self._ends, start, side="right") :])

    def _made(self, number: int) -> Pool:
        shard = int(self._order[number])
        rows = int(self._layout.rows[shard])
        return Pool(
            start=int(self._ends[number]) - rows,
            rows=rows,
            pieces=(Piece(shard, np.zeros(1, np.int64), rows),),
            unit_rows=self._unit_rows,
            key=None if self._key is None else (*self._key, 1, shard),
        )


class _WindowPools:
    """Blocks of a few shards at a time, dealt to pools."""

    def __init__(self, layout: Layout, key: Sequence[int]) -> None:
        self._layout = layout
        self._key = key
        self._order = _shard_order(layout, key)
        self._firsts = np.arange(0, len(self._order), layout.window_shards)
        rows = layout.rows[self._order]
        self._ends = np.cumsum(np.add.reduceat(rows, self._firsts)) if len(rows) else rows
        self._window = lru_cache(maxsize=3)(self._made)

    def at(self, position: int) -> Pool:
        return self._window(int(np.searchsorted(self._ends, position, side="right"))).at(position)

    def shards_from(self, start: int) -> Iterator[int]:
        window = int(np.searchsorted(self._ends, start, side="right"))
        yield from map(int, self._order[window * self._layout.window_shards :])

    def _made(self, number: int) -> "_Window":
        first = int(self._firsts[number])
        shards = self._order[first : first + self._layout.window_shards]
        start = int(self._ends[number]) - int(self._layout.rows[shards].sum())
        return _Window(self._layout, self._key, number, shards, start)


class _Window:
    """The pools of one window; each is made when it is asked for."""

    def __init__(self, layout: Layout, key: Sequence[int], number: int, shards: NDArray[np.intp], start: int) -> None:
        self._shards = shards
        self._rows = layout.rows[shards]
        self._key = (*key, 3)
        wide = layout.row_bytes >= WIDE_BYTES
        self._block_rows = int(self._rows.max()) if wide else layout.block_rows
        counts = -(-self._rows // self._block_rows)
        self._ends = np.cumsum(counts)  # of the blocks of each shard, counted through
        blocks = int(self._ends[-1])
        self._dealt = np.arange(blocks) if wide else Bijection(blocks, (*key, 2, number))(0, blocks)
        self._firsts = [0] if wide else list(range(0, max(blocks // POOL_BLOCKS, 1) * POOL_BLOCKS, POOL_BLOCKS))
        lengths = np.full(blocks, self._block_rows)
        lengths[self._ends - 1] = self._rows - (counts - 1) * self._block_rows
        self._starts: list[int] = [start, *(start + np.cumsum(np.add.reduceat(lengths[self._dealt], self._firsts)))]
        self._pool = lru_cache(maxsize=4)(self._made)

    def at(self, position: int) -> Pool:
        """Return the pool of a position of the epoch."""
        return self._pool(bisect_right(self._starts, position) - 1)

    def _made(self, number: int) -> Pool:
        bounds = [*self._firsts, len(self._dealt)]
        blocks = np.sort(self._dealt[bounds[number] : bounds[number + 1]])
        start, stop = int(self._starts[number]), int(self._starts[number + 1])
        return Pool(
            start=start,
            rows=stop - start,
            pieces=tuple(_pieces(blocks, self._shards, self._rows, self._ends, self._block_rows)),
            unit_rows=1,
            key=(*self._key, number % POOL_PERMUTATIONS),
        )


def _pieces(
    blocks: NDArray[np.intp],
    shards: NDArray[np.intp],
    rows: NDArray[np.int64],
    ends: NDArray[np.int64],
    block_rows: int,
) -> Iterator[Piece]:
    """Yield where some blocks lie, those of one shard together; the last block of a shard may be shorter."""
    first = 0
    bounds = np.searchsorted(blocks, ends).tolist()
    for shard, count, end, stop in zip(shards.tolist(), rows.tolist(), ends.tolist(), bounds, strict=True):
        if first == stop:
            continue
        firsts = (blocks[first:stop] - (end + -count // block_rows)) * block_rows
        rest = count - int(firsts[-1])
        if rest >= block_rows:
            yield Piece(shard, firsts, block_rows)
        else:
            if len(firsts) > 1:
                yield Piece(shard, firsts[:-1], block_rows)
            yield Piece(shard, firsts[-1:], rest)
        first = stop


class _OnePool:
    """All rows of all shards in one pool."""

    def __init__(self, layout: Layout, key: Sequence[int]) -> None:
        held = np.flatnonzero(layout.rows).tolist()
        self._pool = Pool(
            start=0,
            rows=layout.total_rows,
            pieces=tuple(Piece(shard, np.zeros(1, np.int64), int(layout.rows[shard])) for shard in held),
            unit_rows=1,
            key=(*key, 4),
        )

    def at(self, position: int) -> Pool:
        return self._pool

    def shards_from(self, start: int) -> Iterator[int]:
        yield from (piece.shard for piece in self._pool.pieces)


_Pools = _ShardPools | _WindowPools | _OnePool


def _sequential(layout: Layout, key: Sequence[int]) -> _Pools:
    return _ShardPools(layout, None, 1)


def _run(layout: Layout, key: Sequence[int]) -> _Pools:
    return _ShardPools(layout, (*key, 5), RUN_ROWS)


def _windows(layout: Layout, key: Sequence[int]) -> _Pools:
    return _WindowPools(layout, key)


def _exact(layout: Layout, key: Sequence[int]) -> _Pools:
    return _OnePool(layout, key)


ORDERS: Mapping[OrderName, Callable[[Layout, Sequence[int]], _Pools]] = {
    "sequential": _sequential,
    "run": _run,
    "window": _windows,
    "exact": _exact,
}
"""`sequential`: as written. `run`: shards shuffled, and in each the runs of 64 rows: good over rows that were shuffled
when written. `window`: shards shuffled, a few at a time, and their rows with each other. `exact`: all rows shuffled.
"""


@lru_cache(maxsize=2 * POOL_PERMUTATIONS)
def _kept(count: int, key: tuple[int, ...]) -> NDArray[np.intp]:
    """Return a permutation that several pools share, computed once."""
    made = Bijection(count, key)(0, count)
    made.flags.writeable = False
    return made


def _shard_order(layout: Layout, key: Sequence[int] | None) -> NDArray[np.intp]:
    count = len(layout.rows)
    order = np.arange(count) if key is None else Bijection(count, (*key, 6))(0, count)
    return order[layout.rows[order] > 0]


def words_of(root: str) -> tuple[int, ...]:
    """Return a digest as the numbers of a key."""
    return tuple(int(root[start : start + 16], 16) for start in range(0, len(root), 16))
