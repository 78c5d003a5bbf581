"""Owns what the loader does with each type of column: numbers become matrices, everything else stays Arrow.

A column of fixed width is read straight from its buffer, never by `Array.to_numpy`, which imports pandas.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Matrix = NDArray[Any]  # Any: whatever the column holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """How the values of a column of fixed width lie in memory.

    Attributes:
        dtype: Of one element.
        shape: Of one row; empty for a plain number.
        lists: Lengths of the nested lists of fixed size that hold the elements, outermost first.
    """

    dtype: np.dtype[Any]  # Any: as above
    shape: tuple[int, ...]
    lists: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))


def fixed_bytes(layouts: "Iterable[Fixed | None]") -> int:
    """Return the bytes of a row in columns of fixed width."""
    return sum(layout.row_bytes for layout in layouts if layout is not None)


def fixed(kind: pa.DataType) -> Fixed | None:
    """Return how values of the type `kind` lie in memory; None where a row has no fixed number of bytes."""
    if isinstance(kind, pa.FixedShapeTensorType):
        inner = fixed(kind.storage_type)
        if inner is None or kind.permutation is not None:
            return None
        return Fixed(dtype=inner.dtype, shape=tuple(kind.shape), lists=inner.lists)
    if pa.types.is_fixed_size_list(kind):
        inner = fixed(kind.value_type)
        size = kind.list_size
        return inner and Fixed(dtype=inner.dtype, shape=(size, *inner.shape), lists=(size, *inner.lists))
    if pa.types.is_fixed_size_binary(kind) and not pa.types.is_decimal(kind):
        return Fixed(dtype=np.dtype(np.uint8), shape=(kind.byte_width,), lists=())
    dtype = _element(kind)
    return dtype and Fixed(dtype=dtype, shape=(), lists=())


def _element(kind: pa.DataType) -> "np.dtype[Any] | None":  # Any: as above
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.dtype(
            "float16" if kind == pa.float16() else {"double": "float64", "float": "float32"}.get(str(kind), str(kind))
        )
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return np.dtype(f"{'datetime64' if pa.types.is_timestamp(kind) else 'timedelta64'}[{kind.unit}]")
    if pa.types.is_date64(kind):
        return np.dtype("datetime64[ms]")
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return np.dtype(np.int32)
    if pa.types.is_time64(kind):
        return np.dtype(np.int64)
    return None


def matrix(array: pa.Array, layout: Fixed) -> tuple[Matrix, NDArray[np.bool_] | None]:
    """Return the values of `array` without a copy, shape ``(rows, *layout.shape)``, and which rows have one.

    The latter is None where all have. Values under nulls are whatever lies there.

    Raises:
        ValueError: If an element within a row is null: such a row has no place in a matrix.
    """
    leaf = array.storage if isinstance(array, pa.ExtensionArray) else array
    valid = validity(leaf)
    start, count = leaf.offset, len(leaf)
    for size in layout.lists:
        leaf = leaf.values
        start, count = start * size + leaf.offset, count * size
        inner = validity(leaf.slice(start - leaf.offset, count))
        if inner is not None:
            whole = inner.reshape(len(array), -1).all(axis=1)
            if not (whole if valid is None else whole | ~valid).all():
                raise ValueError("a list of fixed size holds a null")
    data = leaf.buffers()[1]
    per_element = int(np.prod(layout.shape, dtype=np.int64)) // max(int(np.prod(layout.lists, dtype=np.int64)), 1)
    values = np.frombuffer(data, layout.dtype) if data is not None and data.size else np.empty(0, layout.dtype)
    values = values[start * per_element : (start + count) * per_element]
    return values.reshape(len(array), *layout.shape), valid


def validity(array: pa.Array) -> NDArray[np.bool_] | None:
    """Return which rows of `array` have a value, shape ``(rows,)``; None where all have."""
    if not array.null_count:
        return None
    bits = array.buffers()[0]
    if bits is None:
        return np.zeros(len(array), np.bool_)
    return bits_of(np.frombuffer(bits, np.uint8), array.offset, len(array))


def bits_of(packed: NDArray[np.uint8], start: int, count: int) -> NDArray[np.bool_]:
    """Return `count` bits of an Arrow bitmap from the bit `start` on, as booleans."""
    first = start // 8
    covering = packed[first : -(-(start + count) // 8)]
    return np.unpackbits(covering, bitorder="little")[start - 8 * first :][:count].view(np.bool_)


def arrow(values: Matrix, valid: NDArray[np.bool_] | None, kind: pa.DataType, layout: Fixed) -> pa.Array:
    """Return `values` as an Arrow array of the type `kind`, without a copy of them; the reverse of `matrix`."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return pa.ExtensionArray.from_storage(kind, arrow(values, valid, kind.storage_type, layout))
    bitmap = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    rows = len(values)
    types = _nested(kind, layout.lists)
    count = rows * int(np.prod(layout.lists, dtype=np.int64))
    leaf_bitmap = bitmap if not layout.lists else None
    made = pa.Array.from_buffers(types[-1], count, [leaf_bitmap, pa.py_buffer(values.reshape(-1).view(np.uint8))])
    for depth in range(len(layout.lists) - 1, -1, -1):
        count //= layout.lists[depth]
        made = pa.Array.from_buffers(types[depth], count, [bitmap if depth == 0 else None], children=[made])
    return made


def _nested(kind: pa.DataType, lists: "Sequence[int]") -> list[pa.DataType]:
    types = [kind]
    for _ in lists:
        types.append(types[-1].value_type)
    return types
