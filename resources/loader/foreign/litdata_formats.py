"""Owns the formats of leaves in LitData: the name of each, and the decoder that it stands for.

Files and images stay bytes. `pickle` and what holds one are refused, since a pickle runs whatever code is in it, and so
are formats that only libraries of their own read.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.foreign.cells import Cells, damaged
from resources.loader.foreign.decoders import Decoder, Element, array_columns, array_fields, boolean, number, plain
from resources.loader.foreign.offsets import WORD, words_at
from resources.names import unknown_name

# Both tables are of LitData's `constants`; names that torch has twice are there twice.
_TORCH = (
    *("float32", "float32", "float64", "float64", "complex64", "complex64", "complex128", "complex128"),
    *("float16", "float16", "bfloat16", "uint8", "int8", "int16", "int16", "int32", "int32", "int64", "int64"),
    *("bool", "uint16"),
)
_NUMPY = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"),
    *("complex64", "complex128", "bool", "object", "bytes", "str", "void"),
)
_READ = {*_NUMPY[:11], "bool"}
_NUMBERS = {"int": pa.int64(), "float": pa.float64()}
_TEXTS = ("str", "text")
_BYTES = ("bytes", "jpeg", "image", "file", "tifffile")
_ARRAYS = {"numpy": (_NUMPY, "<"), "tensor": (_TORCH, ">")}
"""Names of types by number, and the order of bytes of the head of such an array."""
_FLAT = {"no_header_numpy": _NUMPY, "no_header_tensor": _TORCH}
_REFUSED = {
    "pickle": "a pickle runs whatever code it holds when it is read; write the leaf as a number, text, bytes or array",
    "graph": "it holds a pickle, which runs whatever code is in it; write its arrays as leaves of their own",
    "pil": "raw pixels of Pillow, which no other reader of images knows; write the leaf as jpeg or bytes",
    "jpeg_array": "a list of images, which only LitData reads; write the images as leaves of their own",
    "json": "a form of its own, which only LitData reads; write the leaf as a text",
}


def decoder_of(leaf: str, name: str, *, wide: bool, first: Callable[[], Cells]) -> Decoder:
    """Return the decoder of a leaf.

    Args:
        leaf: Its format as the index has it, such as `int` or `no_header_tensor:16`.
        name: Of the column.
        wide: Whether texts and lists may have 2 GiB and more.
        first: Returns the cells of the first chunk, which tell the type of arrays with a head.

    Raises:
        LoaderError: If there is no such format, or it is refused.
    """
    kind, _, details = leaf.partition(":")
    if kind in _REFUSED:
        raise LoaderError(f"column {name!r} has the format {kind}: {_REFUSED[kind]}")
    if kind in _NUMBERS:
        return number(name, _NUMBERS[kind])
    if kind == "bool":
        return boolean(name)
    if kind in _TEXTS:
        return plain(name, pa.large_string() if wide else pa.string())
    if kind in _BYTES:
        return plain(name, pa.large_binary() if wide else pa.binary())
    if kind in _FLAT:
        return _flat(name, dtype_of(name, _FLAT[kind], int(details) if details.isdecimal() else -1), wide=wide)
    if kind in _ARRAYS:
        return _arrays(name, *_ARRAYS[kind], wide=wide, first=first)
    known = [*_NUMBERS, "bool", *_TEXTS, *_BYTES, *_FLAT, *_ARRAYS]
    raise LoaderError(f"column {name!r}: {unknown_name('format', kind, known)}")


def dtype_of(name: str, types: Sequence[str], number: int) -> Element:
    """Return the type of an array's elements by its number.

    Raises:
        LoaderError: If there is none, or none of Arrow.
    """
    said = types[number] if 0 <= number < len(types) else f"number {number}"
    if said not in _READ:
        raise LoaderError(
            f"column {name!r} holds arrays of type {said}, Penstock reads {', '.join(sorted(_READ))}: write the folder "
            "again with one of these"
        )
    return np.dtype(said)


def _flat(name: str, dtype: Element, *, wide: bool) -> Decoder:
    """Return the decoder of arrays with one axis, which are their elements alone."""
    fields = array_fields(name, dtype, 1, wide=wide)

    def decode(cells: Cells) -> Sequence[pa.Array]:
        return array_columns(cells, cells.lengths[:, None] // dtype.itemsize, dtype, fields)

    return Decoder(fields=fields, decode=decode)


def _arrays(name: str, types: Sequence[str], order: str, *, wide: bool, first: Callable[[], Cells]) -> Decoder:
    """Return the decoder of arrays with a head: type, number of axes, and the shape."""
    found = first()
    if not len(found.starts):
        raise LoaderError(f"{found.name} holds no array that would tell the type of all: leave its chunk out")
    code, axes = words_at(found, 2, order)[0].tolist()
    dtype = dtype_of(name, types, code)
    if axes > _MOST_AXES:
        raise damaged(found.name, f"its first array has {axes:,} axes, {_MOST_AXES} at most are possible")
    fields = array_fields(name, dtype, axes, wide=wide)

    def decode(cells: Cells) -> Sequence[pa.Array]:
        heads = words_at(cells, 2, order)
        _check_heads(cells, heads[:, 0], code, "type", types)
        _check_heads(cells, heads[:, 1], axes, "number of axes", [str(number) for number in range(_MOST_AXES + 1)])
        shapes = words_at(cells.part(2 * WORD), axes, order)
        return array_columns(cells.part(WORD * (2 + axes)), shapes, dtype, fields)

    return Decoder(fields=fields, decode=decode)


_MOST_AXES = 64


def _check_heads(
    cells: Cells, found: "np.ndarray[tuple[int], np.dtype[np.int64]]", expected: int, what: str, names: Sequence[str]
) -> None:
    other = np.flatnonzero(found != expected)
    if len(other):
        row, value = int(other[0]), int(found[other[0]])
        said = names[value] if value < len(names) else str(value)
        raise LoaderError(
            f"{cells.name} has an array of {what} {said} in row {row:,}, the first has {names[expected]}: one column "
            f"needs one {what}; write them to columns of their own"
        )
