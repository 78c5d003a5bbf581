"""Owns the making of Arrow values from Python ones, and the bridge between Arrow and Polars.

`pyarrow.array` and `pyarrow.scalar` import pandas (1 s) where it is installed; Polars makes the same arrays without it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import pyarrow as pa


def compute() -> Any:  # Any: pyarrow makes these functions at run time, so no checker knows them
    """Return the module `pyarrow.compute`."""
    import pyarrow.compute

    return pyarrow.compute


def to_series(values: "pa.Array") -> pl.Series:
    """Return an Arrow array as a Polars series, without a copy where both share the layout."""
    return pl.Series(values=values)


def to_arrow(series: pl.Series) -> "pa.Array":
    """Return a Polars series as one Arrow array; text has 32-bit offsets."""
    import pyarrow as pa

    array = series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    narrow = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    return array.cast(narrow[array.type]) if array.type in narrow else array


def array_of(values: Sequence[object], kind: pl.DataType) -> "pa.Array":
    """Return Python values as an Arrow array of the type that corresponds to `kind`."""
    return to_arrow(pl.Series("", values, kind, strict=True))


def scalar_of(value: object, kind: pl.DataType, target: "pa.DataType") -> "pa.Scalar[Any]":  # Any: of any type
    """Return one Python value as an Arrow scalar of type `target`."""
    return array_of([value], kind).cast(target)[0]


def null_of(kind: "pa.DataType") -> "pa.Scalar[Any]":  # Any: of any type
    """Return the null of type `kind`."""
    import pyarrow as pa

    return pa.nulls(1, kind)[0]


def plain(values: "pa.Array") -> "pa.Array":
    """Return values without dictionary or view encoding, and decimals of fewer bits as those of 128."""
    import pyarrow as pa

    kind = values.type
    if pa.types.is_dictionary(kind):
        return plain(values.dictionary).take(values.indices)
    if pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_binary_view(kind):
        return values.cast(pa.binary())
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return values.cast(pa.decimal128(kind.precision, kind.scale))
    return values


def take(table: "pa.Table", rows: Iterable[int]) -> "pa.Table":
    """Return some rows of `table` by number, in the given order."""
    return table.take(array_of(list(rows), pl.Int64()))


def without_rows(table: "pa.Table", rows: Sequence[int]) -> "pa.Table":
    """Return `table` without some rows, given by number."""
    if not rows:
        return table
    mask = bytearray(b"\1") * len(table)
    for row in rows:
        mask[row] = 0
    return table.filter(to_arrow(pl.Series("", list(mask), pl.UInt8).cast(pl.Boolean)))


def empty_table(schema: "pa.Schema") -> "pa.Table":
    """Return a table without rows."""
    import pyarrow as pa

    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def float_ends(values: "pa.Array") -> tuple[float, float] | None:
    """Return smallest and largest value of floats without nulls, NaN if one is NaN; None for any other array.

    NumPy does in one pass what takes `pyarrow.compute.min_max` ten times as long and is blind to NaN.
    """
    import pyarrow as pa

    if values.null_count or not len(values) or values.type not in (pa.float32(), pa.float64()):
        return None
    numbers = np.from_dlpack(values)
    return float(numbers.min()), float(numbers.max())
