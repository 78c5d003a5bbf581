"""Owns the picking of values of no fixed width: short ones by Arrow, long ones one by one into memory of the ring."""

from collections.abc import Callable, Sequence
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


def assembled(picks: Sequence[Picks], kind: pa.DataType, memory: Memory) -> pa.Array:
    """Return the picked values, one after the other.

    Args:
        picks: At least one.
        kind: Their type.
        memory: Returns memory for so many bytes; what is returned may lie in it.

    Raises:
        LoaderError: If they are too long for their type.
    """
    if kind in _SMALL + _LARGE and not any(array.null_count for pick in picks for array in pick.arrays):
        located = [_located(pick) for pick in picks]
        lengths = np.concatenate([ends - starts for _, starts, ends in located])
        total = int(lengths.sum())
        if total >= LONG_BYTES * max(len(lengths), 1):
            return _copied(located, lengths, total, kind, memory)
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
_Located = tuple[list[NDArray[np.uint8]], NDArray[np.int64], NDArray[np.int64]]


def _located(pick: Picks) -> _Located:
    """Return the bytes that each picked value lies in, where it starts in them, and where it ends."""
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
        return [data[0]] * len(pick.rows), starts[pick.rows].astype(np.int64), ends[pick.rows].astype(np.int64)
    first, last = np.empty(len(pick.rows), np.int64), np.empty(len(pick.rows), np.int64)
    for number, (starts, ends) in enumerate(bounds):
        mine = pick.owners == number
        first[mine], last[mine] = starts[pick.rows[mine]], ends[pick.rows[mine]]
    return [data[owner] for owner in pick.owners.tolist()], first, last


_NOTHING = np.empty(0, np.uint8)


def _copied(
    located: Sequence[_Located], lengths: NDArray[np.int64], total: int, kind: pa.DataType, memory: Memory
) -> pa.Array:
    wide = kind in _LARGE
    if not wide and total >= 2**31:
        raise LoaderError(
            f"{len(lengths):,} values of type {kind} have {total:,} bytes, 2 GiB at most fit: choose a smaller "
            f"batch_size, or store the column as large_{kind}"
        )
    offsets = np.zeros(len(lengths) + 1, np.int64 if wide else np.int32)
    np.cumsum(lengths, out=offsets[1:])
    out = memory(total)
    at = 0
    for data, starts, ends in located:
        for source, start, end in zip(data, starts.tolist(), ends.tolist(), strict=True):
            out[at : at + end - start] = source[start:end]
            at += end - start
    return pa.Array.from_buffers(kind, len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(out)])
