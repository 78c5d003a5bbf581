"""Owns the picking of values of no fixed width: short ones by Arrow, long ones where they lie, or copied one by one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError

LONG_BYTES = 1024
"""From this mean length on a value is copied as fast alone as by Arrow, and needs no new memory."""
_SMALL = (pa.string(), pa.binary())
_LARGE = (pa.large_string(), pa.large_binary())

Memory = Callable[[int], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Picks:
    """Rows of some arrays, in an order of their own.

    Attributes:
        arrays: Where they lie.
        owners: Which of the arrays each row is of, shape ``(rows,)``; None where there is one.
        rows: Their places within these, shape ``(rows,)``.
    """

    arrays: Sequence[pa.Array]
    owners: NDArray[np.intp] | None
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spots:
    """Where some long values lie.

    Attributes:
        data: The bytes that each lies in, shape ``(values,)``.
        starts: Where it begins in them, shape ``(values,)``.
        ends: Where it ends, shape ``(values,)``.
    """

    data: Sequence[NDArray[np.uint8]]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each value, shape ``(values,)``."""
        return self.ends - self.starts

    def cut(self, start: int, stop: int) -> "Spots":
        """Return the values from `start` to before `stop`."""
        return Spots(self.data[start:stop], self.starts[start:stop], self.ends[start:stop])

    def permuted(self, order: NDArray[np.intp]) -> "Spots":
        """Return the values in another order."""
        return Spots([self.data[place] for place in order.tolist()], self.starts[order], self.ends[order])

    def copied(self) -> "Spots":
        """Return the values in memory of their own."""
        values = np.concatenate([_NOTHING, *self.stretches()])
        ends = np.cumsum(self.lengths)
        return Spots([values] * len(self), ends - self.lengths, ends)

    def views(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the bytes of each value where they lie."""
        for source, start, end in zip(self.data, self.starts.tolist(), self.ends.tolist(), strict=True):
            yield source[start:end]

    def view(self, place: int) -> NDArray[np.uint8]:
        """Return the bytes of one value where they lie."""
        return self.data[place][self.starts[place] : self.ends[place]]

    def stretches(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the bytes of all values where they lie, those of values that follow each other there together."""
        owners = np.array([id(source) for source in self.data])
        follows = (owners[1:] == owners[:-1]) & (self.starts[1:] == self.ends[:-1])
        firsts = np.flatnonzero(np.concatenate([np.ones(min(len(self), 1), np.bool_), ~follows]))
        for first, last in zip(firsts.tolist(), [*firsts[1:].tolist(), len(self)], strict=False):
            yield self.data[first][self.starts[first] : self.ends[last - 1]]

    def end_to_end(self, kind: pa.DataType, memory: Memory) -> pa.Array:
        """Return them as an Arrow array of the type `kind`, copied to `memory`.

        Raises:
            LoaderError: If they are too long for their type.
        """
        offsets = offsets_of(self.lengths, kind)
        out = memory(int(offsets[-1]))
        at = 0
        for value in self.stretches():
            out[at : at + len(value)] = value
            at += len(value)
        return pa.Array.from_buffers(kind, len(self), [None, pa.py_buffer(offsets), pa.py_buffer(out)])


def in_place(picks: Sequence[Picks]) -> pa.Array | None:
    """Return the picked values without a copy; None where they do not follow each other in one array."""
    (pick, *others) = picks
    if others or pick.owners is not None or not len(pick.rows):
        return None
    first, count = int(pick.rows[0]), len(pick.rows)
    if int(pick.rows[-1]) != first + count - 1 or (np.diff(pick.rows) != 1).any():
        return None
    return pick.arrays[0].slice(first, count)


def has_spots(kind: pa.DataType) -> bool:
    """Return whether values of the type `kind` are stretches of bytes: texts or binaries."""
    return kind in _SMALL + _LARGE


def spots_of(picks: Sequence[Picks], kind: pa.DataType) -> Spots | None:
    """Return where the picked values lie; None if they are short, hold nulls, or are neither texts nor binaries."""
    if not has_spots(kind) or any(array.null_count for pick in picks for array in pick.arrays):
        return None
    located = [_located(pick) for pick in picks]
    spots = located[0] if len(located) == 1 else _joined(located)
    return spots if int(spots.lengths.sum()) >= LONG_BYTES * max(len(spots), 1) else None


def taken(picks: Sequence[Picks]) -> pa.Array:
    """Return the picked values, one after the other, by Arrow."""
    parts = [_taken(pick) for pick in picks]
    return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)


def picked(array: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    """Return rows of `array`, by Arrow."""
    return array.take(integers(rows))


def integers(values: NDArray[np.int64]) -> pa.Array:
    """Return `values` as an Arrow array; unlike `pa.array` it does not import pandas."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _taken(pick: Picks) -> pa.Array:
    if pick.owners is None:
        return picked(pick.arrays[0], pick.rows)
    together: list[pa.Array] = []
    places: list[NDArray[np.intp]] = []
    for number, array in enumerate(pick.arrays):
        mine = np.flatnonzero(pick.owners == number)
        places.append(mine)
        together.append(picked(array, pick.rows[mine]))
    back = np.empty(len(pick.rows), np.int64)
    back[np.concatenate(places)] = np.arange(len(pick.rows))
    return picked(pa.concat_arrays(together), back)


_Offsets = NDArray[np.int32] | NDArray[np.int64]


def _located(pick: Picks) -> Spots:
    data: list[NDArray[np.uint8]] = []
    bounds: list[tuple[_Offsets, _Offsets]] = []
    for array in pick.arrays:
        stored = array.buffers()
        offsets: _Offsets = (
            np.frombuffer(stored[1], np.int64) if array.type in _LARGE else np.frombuffer(stored[1], np.int32)
        )
        offsets = offsets[array.offset :]
        data.append(np.frombuffer(stored[2], np.uint8) if stored[2] is not None and stored[2].size else _NOTHING)
        bounds.append((offsets[:-1], offsets[1:]))
    if pick.owners is None:
        starts, ends = bounds[0]
        return Spots(data * len(pick.rows), starts[pick.rows].astype(np.int64), ends[pick.rows].astype(np.int64))
    first, last = np.empty(len(pick.rows), np.int64), np.empty(len(pick.rows), np.int64)
    for number, (starts, ends) in enumerate(bounds):
        mine = pick.owners == number
        first[mine], last[mine] = starts[pick.rows[mine]], ends[pick.rows[mine]]
    return Spots([data[owner] for owner in pick.owners.tolist()], first, last)


_NOTHING = np.empty(0, np.uint8)


def _joined(parts: Sequence[Spots]) -> Spots:
    return Spots(
        [source for part in parts for source in part.data],
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ends for part in parts]),
    )


def offsets_of(lengths: NDArray[np.int64], kind: pa.DataType) -> _Offsets:
    """Return the offsets of values of so many bytes in an array of the type `kind`, shape ``(values + 1,)``.

    Raises:
        LoaderError: If they are too long for the type.
    """
    total = int(lengths.sum())
    if kind not in _LARGE and total >= 2**31:
        raise LoaderError(
            f"{len(lengths):,} values of type {kind} have {total:,} bytes, 2 GiB at most fit: choose a smaller "
            f"batch_size, or store the column as large_{kind}"
        )
    count = len(lengths) + 1
    offsets: _Offsets = np.zeros(count, np.int64) if kind in _LARGE else np.zeros(count, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
