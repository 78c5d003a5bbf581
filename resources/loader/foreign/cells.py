"""Owns values that lie one after the other in the bytes of a file, as columns of Arrow.

It knows where a value lies and how long it is; what that means is said by the format that asks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.columns import Fixed, arrow
from resources.loader.picking import integers

REMEDY = "copy it anew from where it came, or write the folder again"
WIDE_BYTES = 2**31
"""From so many bytes of a file on its texts need offsets of 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The values of one column in one file, in the order of the rows.

    Attributes:
        data: The bytes of the file.
        starts: Where each value begins, shape ``(rows,)``; none before the end of the one before it.
        lengths: Bytes of each, shape ``(rows,)``.
        name: What people know them by: column and file.
    """

    data: pa.Buffer
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    name: str

    def part(self, begin: "int | NDArray[np.int64]", lengths: "int | NDArray[np.int64] | None" = None) -> "Cells":
        """Return a part of each value: from its byte `begin` on, so many bytes, or all that are left.

        Raises:
            LoaderError: If a value is too short.
        """
        begins = np.broadcast_to(np.asarray(begin, np.int64), self.lengths.shape)
        rest = self.lengths - begins
        wanted = rest if lengths is None else np.broadcast_to(np.asarray(lengths, np.int64), rest.shape)
        short = np.flatnonzero((rest < wanted) | (rest < 0))
        if len(short):
            row = int(short[0])
            need = int(begins[row] + max(wanted[row], 0))
            raise damaged(self.name, f"row {row:,} has {self.lengths[row]:,} bytes, {need:,} are needed")
        return Cells(data=self.data, starts=self.starts + begins, lengths=wanted.astype(np.int64), name=self.name)


def damaged(name: str, what: str) -> LoaderError:
    """Return the error for bytes that are not what they should be."""
    return LoaderError(f"{name} is damaged: {what}; {REMEDY}")


def binary(cells: Cells, kind: pa.DataType) -> pa.Array:
    """Return the values as they are.

    Args:
        cells: Where they lie.
        kind: Binary or text, small or large.

    Raises:
        LoaderError: If they are no text, or too long for their type.
    """
    large = pa.large_string() if kind in (pa.string(), pa.large_string()) else pa.large_binary()
    # What lies between two values is a value too, for Arrow: every second one is ours, and it copies these quickest.
    bounds = np.empty(2 * len(cells.starts) + 1, np.int64)
    bounds[0:-1:2], bounds[1::2] = cells.starts, cells.starts + cells.lengths
    bounds[-1] = bounds[-2] if len(bounds) > 1 else 0
    both = pa.Array.from_buffers(pa.large_binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), cells.data])
    values = both.take(integers(np.arange(0, len(bounds) - 1, 2)))
    try:
        return values.cast(large).cast(kind)
    except pa.ArrowInvalid as error:
        what = str(error).partition("\n")[0]
        raise damaged(cells.name, f"its values are no {kind}: {what}") from None


def rows(cells: Cells, width: int) -> NDArray[np.uint8]:
    """Return values of `width` bytes each, shape ``(rows, width)``.

    Raises:
        LoaderError: If one has more or fewer.
    """
    wrong = np.flatnonzero(cells.lengths != width)
    if len(wrong):
        row = int(wrong[0])
        raise damaged(cells.name, f"row {row:,} has {cells.lengths[row]:,} bytes, its encoding has {width:,}")
    return _joined(cells).reshape(len(cells.starts), width)


def numbers(cells: Cells, kind: pa.DataType, layout: Fixed) -> pa.Array:
    """Return values of fixed width as an array of the type `kind`, which lies in memory as `layout` says.

    Raises:
        LoaderError: If one has another width.
    """
    values = rows(cells, layout.row_bytes).view(layout.dtype)
    return arrow(values.reshape(len(cells.starts), *layout.shape), None, kind, layout)


def booleans(flags: NDArray[np.uint8]) -> pa.Array:
    """Return bytes as booleans: all but 0 are true."""
    return pa.Array.from_buffers(
        pa.bool_(), len(flags), [None, pa.py_buffer(np.packbits(flags != 0, bitorder="little"))]
    )


def lists(cells: Cells, dtype: "np.dtype[Any]", kind: pa.DataType) -> pa.Array:  # Any: whatever the elements are
    """Return values of any number of elements as lists of the type `kind`.

    Raises:
        LoaderError: If one is no whole number of elements, or they are too many for the type.
    """
    broken = np.flatnonzero(cells.lengths % dtype.itemsize)
    if len(broken):
        row = int(broken[0])
        raise damaged(cells.name, f"row {row:,} has {cells.lengths[row]:,} bytes, no multiple of {dtype.itemsize}")
    wide = pa.types.is_large_list(kind)
    bounds = np.zeros(len(cells.lengths) + 1, np.int64)
    np.cumsum(cells.lengths // dtype.itemsize, out=bounds[1:])
    if not wide and bounds[-1] >= WIDE_BYTES:
        raise LoaderError(f"{cells.name} has {bounds[-1]:,} elements, 2,147,483,647 fit: write smaller shards")
    elements = pa.Array.from_buffers(kind.value_type, int(bounds[-1]), [None, pa.py_buffer(_joined(cells))])
    offsets = pa.py_buffer(bounds if wide else bounds.astype(np.int32))
    return pa.Array.from_buffers(kind, len(cells.lengths), [None, offsets], children=[elements])


def list_of(element: pa.DataType, *, wide: bool) -> pa.DataType:
    """Return the type of lists, with offsets of 64 bits if `wide`."""
    field = pa.field("item", element, nullable=False)
    return pa.large_list(field) if wide else pa.list_(field)


def _joined(cells: Cells) -> NDArray[np.uint8]:
    data = binary(cells, pa.large_binary()).buffers()[2]
    total = int(cells.lengths.sum())
    return np.frombuffer(data, np.uint8)[:total] if data is not None and total else np.empty(0, np.uint8)
