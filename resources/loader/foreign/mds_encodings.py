"""Owns the encodings of columns in MDS: the name of each, and the decoder that it stands for.

`json` and `str_decimal` stay texts. `pkl` is refused, since it runs whatever code is in it, and `pil`, since no reader
of images knows it.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.foreign.cells import Cells, damaged, rows
from resources.loader.foreign.decoders import (
    Decoder,
    Element,
    array_columns,
    array_fields,
    number,
    parsed,
    plain,
    tensor_type,
)
from resources.names import unknown_name

DTYPES: Mapping[int, str] = {
    8: "uint8",
    9: "int8",
    16: "uint16",
    17: "int16",
    18: "float16",
    32: "uint32",
    33: "int32",
    34: "float32",
    64: "uint64",
    65: "int64",
    66: "float64",
}
"""What the first byte of an array says of its elements, where the encoding does not."""
_NUMBERS = {"int": "int64"} | {name: name for name in DTYPES.values()}
_TEXTS = ("str", "json", "str_decimal")
_BYTES = ("bytes", "jpeg", "png")
_PARSED = {"str_int": pa.int64(), "str_float": pa.float64()}
_REFUSED = {
    "pkl": "a pickle runs whatever code it holds when it is read; write the column as json or ndarray",
    "pil": "raw pixels of Pillow, which no other reader of images knows; write the column as png or jpeg",
}
_SHAPE_BYTES = (1, 2, 4, 8)


def decoder_of(encoding: str, name: str, *, wide: bool, first: Callable[[], Cells]) -> Decoder:
    """Return the decoder of a column.

    Args:
        encoding: As the index has it, such as `int` or `ndarray:float32:3,224,224`.
        name: Of the column.
        wide: Whether texts and lists may have 2 GiB and more.
        first: Returns the cells of the first shard, which tell what an encoding leaves to each row.

    Raises:
        LoaderError: If there is no such encoding, or it is refused.
    """
    kind, _, details = encoding.partition(":")
    if kind in _REFUSED:
        raise LoaderError(f"column {name!r} has the encoding {kind}: {_REFUSED[kind]}")
    if kind in _NUMBERS:
        return number(name, pa.from_numpy_dtype(np.dtype(_NUMBERS[kind])))
    if kind in _TEXTS:
        return plain(name, pa.large_string() if wide else pa.string())
    if kind in _BYTES:
        return plain(name, pa.large_binary() if wide else pa.binary())
    if kind in _PARSED:
        return parsed(name, _PARSED[kind])
    if kind == "ndarray":
        return _arrays(name, details, wide=wide, first=first)
    known = [*_NUMBERS, *_TEXTS, *_BYTES, *_PARSED, "ndarray"]
    raise LoaderError(f"column {name!r}: {unknown_name('encoding', kind, known)}")


def _arrays(name: str, details: str, *, wide: bool, first: Callable[[], Cells]) -> Decoder:
    said, _, axes = details.partition(":")
    shape = _shape(name, axes) if axes else None
    if said and said not in DTYPES.values():
        raise LoaderError(f"column {name!r}: {unknown_name('type of ndarray', said, DTYPES.values())}")
    dtype = np.dtype(said) if said else _dtype_of(first())
    head = 0 if said else 1
    if shape is not None:
        whole = number(name, tensor_type(dtype, shape))
        return Decoder(fields=whole.fields, decode=lambda cells: whole.decode(_typed(cells, dtype, head)))
    count = _axes_of(first().part(head))
    fields = array_fields(name, dtype, count, wide=wide)

    def decode(cells: Cells) -> Sequence[pa.Array]:
        values, shapes = _shaped(_typed(cells, dtype, head), count)
        return array_columns(values, shapes, dtype, fields)

    return Decoder(fields=fields, decode=decode)


def _shape(name: str, text: str) -> tuple[int, ...]:
    sizes = text.split(",")
    fits = all(size.isdecimal() and 0 < int(size) < 2**31 for size in sizes)
    if not fits or math.prod(map(int, sizes)) >= 2**31:
        raise LoaderError(
            f"column {name!r} has arrays of shape {text!r}: sizes from 1 up, parted by commas, make a shape, of up to "
            "2**31 elements in all"
        )
    return tuple(int(size) for size in sizes)


def _dtype_of(cells: Cells) -> Element:
    code = _first_byte(cells)
    if code not in DTYPES:
        raise damaged(cells.name, f"its first array is of type {code}, which is none")
    return np.dtype(DTYPES[code])


def _axes_of(cells: Cells) -> int:
    return _first_byte(cells) >> 2


def _first_byte(cells: Cells) -> int:
    heads = _bytes_at(cells, 0)
    if not len(heads):
        raise LoaderError(f"{cells.name} holds no array that would tell the type of all: leave its shard out")
    return int(heads[0])


def _typed(cells: Cells, dtype: Element, head: int) -> Cells:
    """Return what follows the head that names the type of each array, which must be `dtype`."""
    if not head:
        return cells
    other = np.flatnonzero(np.array([DTYPES.get(int(code)) != dtype.name for code in _bytes_at(cells, 0)], np.bool_))
    if len(other):
        row = int(other[0])
        raise LoaderError(
            f"{cells.name} has {DTYPES.get(int(_bytes_at(cells, 0)[row]), 'no type')} in row {row:,}, {dtype.name} in "
            "the first: one column needs one type; write the folder again with ndarray:TYPE"
        )
    return cells.part(1)


def _shaped(cells: Cells, axes: int) -> tuple[Cells, NDArray[np.int64]]:
    """Return the elements of each array, and its shape."""
    heads = _bytes_at(cells, 0)
    other = np.flatnonzero(heads >> 2 != axes)
    if len(other):
        row = int(other[0])
        raise LoaderError(
            f"{cells.name} has an array of {int(heads[row]) >> 2} axes in row {row:,}, of {axes} in the first: one "
            "column needs one number of axes; write them to columns of their own"
        )
    shapes = np.empty((len(heads), axes), np.int64)
    sizes = np.array(_SHAPE_BYTES)[heads & 3] * axes
    for code, size in enumerate(_SHAPE_BYTES):
        mine = np.flatnonzero(heads & 3 == code)
        if len(mine) and axes:
            chosen = Cells(data=cells.data, starts=cells.starts[mine], lengths=cells.lengths[mine], name=cells.name)
            shapes[mine] = rows(chosen.part(1, size * axes), size * axes).view(f"<u{size}").astype(np.int64)
    return cells.part(1 + sizes), shapes


def _bytes_at(cells: Cells, at: int) -> NDArray[np.uint8]:
    return rows(cells.part(at, 1), 1).reshape(-1)
