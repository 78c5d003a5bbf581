"""Owns the shards that are open: each column as the rows of a matrix, or as an Arrow array, without a copy."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.at_once import AtOnce, Berths, for_each
from resources.loader.columns import Fixed, Matrix, matrix
from resources.loader.losses import Losses, nothing
from resources.loader.mapping import Mapped
from resources.loader.order import Pool
from resources.loader.shards import Opened, Shard
from resources.loader.space import Space
from resources.loader.spread import Spread

DECODED_BYTES = 128 * 2**20
"""Most bytes of shards that were decoded, unless one window has more."""
OPEN_SHARDS = 4096
"""Most shards that stay open, where nothing else bounds them."""
_MOST_IN_SPACE = 8192  # the kernel keeps 65,530 maps a process, by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What is read of one column.

    Attributes:
        name: Of the field in the shards.
        kind: Its type there.
        layout: How its values lie in memory; None if they have no fixed width.
        picked: Which columns of a matrix are wanted; None means all.
    """

    name: str
    kind: pa.DataType
    layout: Fixed | None
    picked: tuple[int, ...] | None = None


@dataclass(slots=True)
class Rows:
    """The rows of one column, in one piece.

    Attributes:
        values: Of a column of fixed width, a matrix; else an Arrow array.
        valid: Which rows have a value; None where all have, and for an Arrow array, which knows.
        file: The mapped file that a matrix lies in; None for others.
        offset: Where it begins in the file.
    """

    values: Matrix | pa.Array
    valid: NDArray[np.bool_] | None = None
    file: Mapped | None = None
    offset: int = 0


class Views:
    """The columns of some shards; threads may share it.

    Args:
        shards: All of them.
        columns: What is read of each.
        together: How many are read at a time; so many stay open, however large.
        most: How many stay open at most: what is mapped keeps its place on the disk, even if it was evicted there.
        losses: The shards that are left out; of these nothing is read.
        at_once: How many of those that one thread needs may be on their way here at once; None means one.
        berths: Lets those of all threads come while there is room; None where they take none.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        columns: Sequence[Column],
        *,
        together: int,
        most: int,
        losses: Losses,
        at_once: AtOnce | None = None,
        berths: Berths | None = None,
    ) -> None:
        self._losses = losses
        self._shards = shards
        self._columns = columns
        self._together = together
        self._most = most
        self._at_once = at_once
        self._berths = berths
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._opening: dict[int, Future[None]] = {}
        self._process_id = os.getpid()
        self._decoded_bytes = 0
        self._spaces: dict[int, Space | None] = {}
        self._spreads: WeakKeyDictionary[Pool, dict[int, Spread]] = WeakKeyDictionary()
        self._lock = Lock()

    def of(self, shard: int) -> list[Rows]:
        """Return the columns of a shard, opened if it is not open.

        Raises:
            LoaderError: If it is not what it was said to be.
        """
        while True:
            columns, other = self._open_or_other(shard, lambda: True)
            if columns is not None:
                return columns
            if other is not None:
                other.result()  # if it failed, this thread tells why

    def of_all(self, shards: Sequence[int]) -> list[list[Rows]]:
        """Return the columns of some shards; those that are not open come at once.

        Raises:
            LoaderError: If one is not what it was said to be.
        """
        missing = [shard for shard in dict.fromkeys(shards) if not self.has(shard)]
        found = dict(zip(missing, for_each(missing, self.of, self._at_once), strict=True))
        return [found[shard] if shard in found else self.of(shard) for shard in shards]

    def open(self, shard: int, is_wanted: Callable[[], bool]) -> None:
        """Open a shard before its turn, unless it is open, or another thread is about it, or it is wanted no longer.

        Raises:
            PenstockError: If that fails.
        """
        self._open_or_other(shard, is_wanted)

    def _open_or_other(
        self, shard: int, is_wanted: Callable[[], bool]
    ) -> "tuple[list[Rows] | None, Future[None] | None]":
        """Return the columns of a shard, or what another thread tells that it has opened it; neither if not wanted."""
        with self._lock:
            if self._process_id != os.getpid():  # a fork has none of the threads that were opening shards
                self._process_id, self._opening = os.getpid(), {}
            found, other = self._open.get(shard), self._opening.get(shard)
            if found is not None:
                self._open.move_to_end(shard)
                return found.columns, None
            if other is not None:
                return None, other
            if not is_wanted():  # asked here, so that none is opened again that was let go of meanwhile
                return None, None
            mine = self._opening[shard] = Future[None]()
        try:
            made = self._losses.opened(shard, self._shards[shard], lambda: self._come(shard))
            made = made or self._empty(self._shards[shard].rows)
            self._add(shard, made)
        finally:
            with self._lock:
                del self._opening[shard]
            mine.set_result(None)
        return made.columns, None

    def has(self, shard: int) -> bool:
        """Return whether a shard is open, or about to be."""
        with self._lock:
            return shard in self._open or shard in self._opening

    def retain(self, shards: Iterable[int]) -> None:
        """Let go of all shards but these; who uses one keeps it meanwhile."""
        kept = frozenset(shards)
        with self._lock:
            for shard in [shard for shard in self._open if shard not in kept]:
                self._decoded_bytes -= self._open.pop(shard).decoded_bytes

    def _add(self, shard: int, made: "_Open") -> None:
        with self._lock:
            self._open[shard] = made
            self._decoded_bytes += made.decoded_bytes
            while len(self._open) > self._together and self._is_too_much():
                self._decoded_bytes -= self._open.popitem(last=False)[1].decoded_bytes

    def _is_too_much(self) -> bool:
        return len(self._open) > self._most or self._decoded_bytes > DECODED_BYTES

    def spread(self, column: int, pool: Pool) -> Spread | None:
        """Return where the rows of a column of `pool` lie side by side; None where nothing can be mapped so."""
        space = self._space(column)
        if space is None:
            return None
        with self._lock:
            spreads = self._spreads.setdefault(pool, {})
            found = spreads.get(column)
            if found is None or found.space is not space:
                found = spreads[column] = Spread(
                    pool, space, lambda shard: self._first(column, shard, space), self.of_all
                )
            return found

    def _first(self, column: int, shard: int, space: Space) -> int | None:
        rows = self.of(shard)[column]
        if rows.file is None or rows.valid is not None:
            return None
        try:
            return space.first(shard, rows.file.path, rows.offset, len(rows.values))
        except OSError:  # no more maps are to be had
            return None

    def _space(self, column: int) -> Space | None:
        with self._lock:
            found = self._spaces.get(column)
            if found is not None and len(found) > 2 * self._most:  # let go of the files that it maps
                found = None
                del self._spaces[column]
            if column not in self._spaces:
                found = self._spaces[column] = self._made(column)
            return found

    def _made(self, column: int) -> Space | None:
        layout = self._columns[column].layout
        if layout is None or not layout.row_bytes or len(self._shards) > _MOST_IN_SPACE:
            return None
        try:
            return Space(layout, [shard.rows for shard in self._shards])
        except OSError:
            return None

    def _come(self, shard: int) -> "_Open":
        if self._berths is None or self._at_once is None:
            return self._opened(self._shards[shard])
        with self._berths.of(self._at_once.sizes_bytes[shard]):
            return self._opened(self._shards[shard])

    def _opened(self, shard: Shard) -> "_Open":
        opened = shard.open([column.name for column in self._columns])
        columns = [self._rows(shard, opened, column) for column in self._columns]
        return _Open(columns, 0 if is_mapped(opened) else opened.batch.nbytes)

    def _empty(self, rows: int) -> "_Open":
        """Return what stands in for a shard that is left out."""
        columns = [
            Rows(nothing(rows, column.kind))
            if column.layout is None
            else Rows(np.zeros((rows, *column.layout.shape), column.layout.dtype))
            for column in self._columns
        ]
        return _Open(columns, 0)

    def _rows(self, shard: Shard, opened: Opened, column: Column) -> Rows:
        schema = opened.batch.schema
        index = schema.get_field_index(column.name)
        if index < 0 or schema.field(index).type != column.kind:
            what = "lacks" if index < 0 else f"has {schema.field(index).type} for"
            raise LoaderError(
                f"{shard.name} {what} column {column.name!r} of type {column.kind}: all shards of a dataset need one "
                "schema; write it again, or load the others alone"
            )
        array = opened.batch.column(index)
        if column.layout is None:
            return Rows(array)
        try:
            values, valid = matrix(array, column.layout)
        except ValueError:
            raise LoaderError(
                f"column {column.name!r} of {shard.name} holds a null within a row, where a matrix has no place for "
                "it: fill the nulls, or leave the column unpacked"
            ) from None
        offset = values.ctypes.data - opened.file.address if opened.file is not None else -1
        if opened.file is None or not 0 <= offset < opened.file.size_bytes:
            return Rows(values, valid)
        return Rows(values, valid, opened.file, offset)


@dataclass(frozen=True, slots=True)
class _Open:
    """One open shard.

    Attributes:
        columns: Its columns.
        decoded_bytes: Bytes that lie in memory for it, and in no file.
    """

    columns: list[Rows]
    decoded_bytes: int


def is_mapped(opened: Opened) -> bool:
    """Return whether the rows lie in the file as they are, not decoded."""
    if opened.file is None:
        return False
    held = [
        buffer for column in opened.batch.columns for buffer in column.buffers() if buffer is not None and buffer.size
    ]
    return all(0 <= buffer.address - opened.file.address < opened.file.size_bytes for buffer in held[:1])
