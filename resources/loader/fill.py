"""Owns the filling of nulls: a value that takes their place in columns of numbers, so that these can be packed."""

from collections.abc import Collection
from math import isfinite, isnan

import pyarrow as pa
import pyarrow.compute as pc

from resources.errors import LoaderError


def fill_of(text: str) -> float:
    """Return the value that a text names, an integer as one.

    Raises:
        LoaderError: If it is neither a number nor `nan`.

    >>> fill_of("-1"), fill_of("0.5"), fill_of("NaN")
    (-1, 0.5, nan)
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise LoaderError(f"fill_null is {text!r}: give a number, or nan")


def filled(batch: pa.RecordBatch, value: float, *, keep: Collection[str]) -> pa.RecordBatch:
    """Return `batch` with `value` for the nulls of columns of numbers, but those in `keep`.

    Raises:
        LoaderError: If a column that holds nulls has no such value, naming it.
    """
    columns = [
        _filled(field, column, value) if column.null_count and field.name not in keep and _is_number(field) else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _is_number(field: pa.Field) -> bool:
    return pa.types.is_integer(field.type) or pa.types.is_floating(field.type)


def _filled(field: pa.Field, column: pa.Array, value: float) -> pa.Array:
    try:
        if pa.types.is_integer(field.type):
            scalar = pa.scalar(_whole(value), field.type)
        else:
            scalar = pa.scalar(float(value), pa.float64()).cast(field.type)
            if isfinite(value) and not isfinite(scalar.as_py()):
                raise ValueError
    except (ValueError, OverflowError, pa.ArrowException):
        raise LoaderError(
            f"fill_null is {value}, which column {field.name!r} of type {field.type} has no place for: give another "
            "value, or keep the column out of the matrices"
        ) from None
    return pc.call_function("coalesce", [column, scalar])


def _whole(value: float) -> int:
    if isnan(value) or value != int(value):
        raise ValueError
    return int(value)
