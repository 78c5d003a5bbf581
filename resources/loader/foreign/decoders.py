"""Owns decoders: how the cells of one column become columns of Arrow, and of which fields these are.

Arrays that tell their shape row by row become the list of their elements; with more than one axis a column
`NAME.shape` stands beside it. Truth values in arrays become bytes of 0 and 1, since numpy has no form of
lists of bits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.columns import fixed
from resources.loader.foreign.cells import Cells, binary, booleans, damaged, list_of, lists, numbers, rows

SHAPE = ".shape"
Element = np.dtype[Any]  # Any: whatever the arrays hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """What becomes of one column.

    Attributes:
        fields: Of the columns that it becomes.
        decode: Returns these of some cells; raises LoaderError where they are damaged.
    """

    fields: tuple[pa.Field, ...]
    decode: Callable[[Cells], Sequence[pa.Array]]


def plain(name: str, kind: pa.DataType) -> Decoder:
    """Return the decoder of bytes or texts that stay as they are."""
    return Decoder(fields=(pa.field(name, kind, nullable=False),), decode=lambda cells: [binary(cells, kind)])


def number(name: str, kind: pa.DataType) -> Decoder:
    """Return the decoder of numbers, lists of fixed size or tensors of the type `kind`."""
    layout = fixed(kind)
    if layout is None:
        raise TypeError(f"{kind} has no fixed width")
    return Decoder(fields=(pa.field(name, kind, nullable=False),), decode=lambda cells: [numbers(cells, kind, layout)])


def boolean(name: str) -> Decoder:
    """Return the decoder of truth values of one byte."""
    return Decoder(
        fields=(pa.field(name, pa.bool_(), nullable=False),),
        decode=lambda cells: [booleans(rows(cells, 1).reshape(-1))],
    )


def parsed(name: str, kind: pa.DataType) -> Decoder:
    """Return the decoder of numbers that were written as texts."""

    def decode(cells: Cells) -> Sequence[pa.Array]:
        try:
            return [binary(cells, pa.large_string()).cast(kind)]
        except pa.ArrowInvalid as error:
            what = str(error).partition("\n")[0]
            raise LoaderError(
                f"{cells.name} holds a text that is no {kind}: {what}; write the column as str, or mend the row"
            ) from None

    return Decoder(fields=(pa.field(name, kind, nullable=False),), decode=decode)


def tensor_type(dtype: Element, shape: Sequence[int]) -> pa.DataType:
    """Return the type of arrays that all have `shape`: a number, a list of fixed size, or a tensor."""
    element = element_type(dtype)
    if not shape:
        return element
    if len(shape) == 1:
        return pa.list_(pa.field("item", element, nullable=False), shape[0])
    return pa.fixed_shape_tensor(element, list(shape))


def element_type(dtype: Element) -> pa.DataType:
    """Return the type of Arrow for elements of arrays of `dtype`."""
    return pa.uint8() if dtype == np.bool_ else pa.from_numpy_dtype(dtype)


def array_fields(name: str, dtype: Element, axes: int, *, wide: bool) -> tuple[pa.Field, ...]:
    """Return the fields of arrays with so many axes, whose shapes differ."""
    if not axes:
        return (pa.field(name, pa.bool_() if dtype == np.bool_ else element_type(dtype), nullable=False),)
    values = pa.field(name, list_of(element_type(dtype), wide=wide), nullable=False)
    return (values,) if axes == 1 else (values, pa.field(f"{name}{SHAPE}", _shape_type(axes), nullable=False))


def array_columns(
    values: Cells, shapes: NDArray[np.int64], dtype: Element, fields: Sequence[pa.Field]
) -> Sequence[pa.Array]:
    """Return the columns of arrays.

    Args:
        values: Their elements.
        shapes: Of each, shape ``(rows, axes)``.
        dtype: Of an element.
        fields: Of `array_fields`.

    Raises:
        LoaderError: If an array has another number of elements than its shape says.
    """
    # Products beyond 2**53 are not exact, and are wrong anyway.
    needed = np.prod(shapes.astype(np.float64), axis=1) * dtype.itemsize
    wrong = np.flatnonzero(needed != values.lengths)
    if len(wrong):
        row = int(wrong[0])
        shape = tuple(shapes[row].tolist())
        raise damaged(values.name, f"row {row:,} has {values.lengths[row]:,} bytes for {dtype} of shape {shape}")
    if not shapes.shape[1]:
        return [_scalars(values, dtype, fields[0].type)]
    elements = lists(values, dtype, fields[0].type)
    if shapes.shape[1] == 1:
        return [elements]
    flat = np.ascontiguousarray(shapes).reshape(-1)
    return [elements, _shape_array(flat, shapes.shape)]


def _scalars(values: Cells, dtype: Element, kind: pa.DataType) -> pa.Array:
    if dtype == np.bool_:
        return booleans(rows(values, 1).reshape(-1))
    layout = fixed(kind)
    if layout is None:
        raise TypeError(f"{kind} has no fixed width")
    return numbers(values, kind, layout)


def _shape_type(axes: int) -> pa.DataType:
    return pa.list_(pa.field("item", pa.int64(), nullable=False), axes)


def _shape_array(flat: NDArray[np.int64], shape: tuple[int, ...]) -> pa.Array:
    items = pa.Array.from_buffers(pa.int64(), len(flat), [None, pa.py_buffer(flat)])
    return pa.Array.from_buffers(_shape_type(shape[1]), shape[0], [None], children=[items])
