"""Owns packing: columns of one type side by side in one matrix, their names in the metadata of its field.

A row of a matrix is one stretch of memory, so a batch of rows costs one read a row instead of one a column. The
metadata keeps the names where any reader of Arrow finds them; `unpacked` gives the columns back.
"""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.loader.columns import Fixed, Matrix, arrow, fixed, matrix
from resources.storage.matrices import NAMES, NAN, NULL_BITS, NULLS, holds_nulls, packed_names

FLOATS = (pa.float32(), pa.float64())
"""Types whose matrices have a place for nulls."""


def packed_schema(
    schema: pa.Schema, *, keep: Sequence[str] = (), holed: Sequence[str] = (), nan_nulls: bool = False
) -> pa.Schema:
    """Return the schema with plain numbers of one type packed, each matrix named after its type.

    Columns of fixed width without nulls come first, so that they lie aligned in a shard.

    Args:
        schema: Of the columns; those that may be null, are alone of their type, or no plain numbers stay as they are.
        keep: Columns that stay as they are, such as label and event time.
        holed: Columns that hold nulls; they stay as they are, too.
        nan_nulls: Whether matrices of 32 and 64 bit floats may hold nulls, each as a NaN of its own.
    """
    groups: dict[pa.DataType, list[str]] = {}
    for field in schema:
        if field.name not in (*keep, *holed) and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
            groups.setdefault(field.type, []).append(field.name)
    groups = {kind: names for kind, names in groups.items() if len(names) > 1}
    taken = set(schema.names) - {name for names in groups.values() for name in names}
    matrices = [
        pa.field(
            _free(_type_name(kind), taken),
            pa.list_(pa.field("item", kind, nullable=False), len(names)),
            nullable=False,
            metadata={
                NAMES: json.dumps(names).encode(),
                **({NULLS: NAN} if nan_nulls and kind in FLOATS else {}),
            },
        )
        for kind, names in groups.items()
    ]
    rest = [field for field in schema if field.name in taken]
    return pa.schema([*matrices, *sorted(rest, key=lambda field: (fixed(field.type) is None, field.name in holed))])


def _type_name(kind: pa.DataType) -> str:
    layout = fixed(kind)
    return str(kind) if layout is None else layout.dtype.name


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}_"
    return name


def packed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return `batch` in the form of `schema`, which `packed_schema` made of its own.

    Raises:
        ValueError: If a column holds a null that its matrix has no place for, naming it.
    """
    names = packed_names(schema)
    return pa.record_batch(
        [
            _matrix_of(batch, field, names[field.name]) if field.name in names else batch.column(field.name)
            for field in schema
        ],
        schema=schema,
    )


def _matrix_of(batch: pa.RecordBatch, field: pa.Field, names: Sequence[str]) -> pa.Array:
    layout, element = _layouts_of(field)
    rows = np.empty((batch.num_rows, len(names)), layout.dtype)
    for number, name in enumerate(names):
        values, valid = matrix(batch.column(name), element)
        rows[:, number] = values
        if holds_nulls(field):
            _mark(rows[:, number], valid)
        elif valid is not None:
            raise ValueError(name)
    return arrow(rows, None, field.type, layout)


def _mark(values: Matrix, valid: NDArray[np.bool_] | None) -> None:
    """Write the NaN that means null where `valid` says that there is no value, and another where one looks like it."""
    bits = _bits(values)
    bits[bits == NULL_BITS[values.itemsize]] = _bits(np.full(1, np.nan, values.dtype))[0]
    if valid is not None:
        bits[~valid] = NULL_BITS[values.itemsize]


def _bits(values: Matrix) -> Matrix:
    return values.view(np.uint64 if values.itemsize == 8 else np.uint32)


def unpacked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return `batch` with the columns of its matrices by name, in the places of these."""
    names = packed_names(batch.schema)
    columns: list[pa.Array] = []
    fields: list[pa.Field] = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name not in names:
            columns.append(column)
            fields.append(field)
            continue
        for number, name in enumerate(names[field.name]):
            columns.append(_column(column, field, number))
            fields.append(pa.field(name, field.type.value_type, nullable=holds_nulls(field)))
    return pa.record_batch(columns, schema=pa.schema(fields))


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column of `batch` by its name, out of a matrix too.

    Raises:
        KeyError: If there is none.
    """
    for field, names in packed_names(batch.schema).items():
        if name in names:
            return _column(batch.column(field), batch.schema.field(field), names.index(name))
    return batch.column(name)


def _column(packed: pa.Array, field: pa.Field, number: int) -> pa.Array:
    """Return one column of a matrix, with its nulls."""
    layout, element = _layouts_of(field)
    rows, _ = matrix(packed, layout)
    values = np.ascontiguousarray(rows[:, number])
    valid = _bits(values) != NULL_BITS[values.itemsize] if holds_nulls(field) else None
    return arrow(values, None if valid is None or valid.all() else valid, field.type.value_type, element)


def _layouts_of(field: pa.Field) -> tuple[Fixed, Fixed]:
    """Return how the rows of a matrix lie in memory, and how the values of one of its columns would."""
    layout, element = fixed(field.type), fixed(field.type.value_type)
    if layout is None or element is None:
        raise TypeError(f"{field.name} of type {field.type} is no matrix")
    return layout, element
