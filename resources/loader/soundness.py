"""Owns the check that a file means what it says: its names are names, its values lie where their column says.

Nobody vouches for a plain Arrow file, and code that follows a wrong offset ends the process. Only offsets are read, not
the values: of texts of 20 bytes a sixth of the file, at the speed of memory. Bytes of values that were altered cannot
be told from others; a dataset of a store, whose shards are verified, has none.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from resources.canonical import parse_json
from resources.loader.columns import fixed
from resources.storage.matrices import NAMES

_TEXTS = (pa.string(), pa.binary(), pa.large_string(), pa.large_binary())
_WIDE = (pa.large_string(), pa.large_binary())


def check_schema(schema: pa.Schema) -> None:
    """Refuse a schema with names that are no text, or with names of packed columns that do not fit their matrix.

    Raises:
        ValueError: Naming the column, where its name can be read.
    """
    for field in schema:
        name, _ = field.name, str(field.type)  # which decode what the file says
        if NAMES not in (field.metadata or {}):
            continue
        names = parse_json(field.metadata[NAMES])
        fits = isinstance(names, list) and all(isinstance(item, str) for item in names)
        size = field.type.list_size if pa.types.is_fixed_size_list(field.type) else -1
        if not fits or len(names) != size:
            raise ValueError(f"the names of the columns packed in {name!r} do not fit its type {field.type}")


def check_sound(batch: pa.RecordBatch, columns: Sequence[str] | None) -> None:
    """Refuse a batch whose columns do not lie within their buffers.

    Args:
        batch: As it was read.
        columns: Which of its columns are used; None means all.

    Raises:
        ValueError: Naming the column. (The errors of pyarrow are such.)
    """
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if columns is None or field.name in columns:
            try:
                column.validate()
                if fixed(field.type) is None:
                    _check(column)
            except ValueError as error:
                raise ValueError(f"column {field.name!r} is damaged ({str(error).partition(chr(10))[0]})") from None


def _check(array: pa.Array) -> None:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        _check(array.storage)
    elif kind in _TEXTS:
        data = array.buffers()[2]
        _check_offsets(array, 0 if data is None else data.size, is_wide=kind in _WIDE)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        _check_offsets(array, len(_elements(array)), is_wide=pa.types.is_large_list(kind))
        _check(_elements(array))
    elif pa.types.is_fixed_size_list(kind):
        _check(array.values)
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            _check(array.field(number))
    elif not pa.types.is_primitive(kind):  # dictionaries, views, unions and the like are left to Arrow, value by value
        array.validate(full=True)


def _elements(array: pa.Array) -> pa.Array:
    """Return what a list column points to; a map is a list of pairs."""
    if not pa.types.is_map(array.type):
        return array.values
    return pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])


def _check_offsets(array: pa.Array, most: int, *, is_wide: bool) -> None:
    """Refuse offsets that go back, or beyond `most`."""
    stored = array.buffers()[1]
    if not len(array):
        return
    width = 8 if is_wide else 4
    if stored is None or stored.size < (array.offset + len(array) + 1) * width:
        raise ValueError("its offsets end early")
    offsets = np.frombuffer(stored, np.int64 if is_wide else np.int32)[array.offset :][: len(array) + 1]
    if offsets[0] < 0 or offsets[-1] > most or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"its offsets go back, or beyond its {most:,} elements")
