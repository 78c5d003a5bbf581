"""Owns the stable split of rows that have no event time: which side a row falls on depends on the row alone.

The hash is our own and never changes: Polars and Python hashes differ between versions and processes. Numbers
are mixed as IEEE-754 doubles, texts by BLAKE3, both finished by splitmix64 (Steele, Lea and Flood, 2014).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

BUCKETS = 10_000


def buckets(frame: pl.DataFrame, by: Sequence[str]) -> NDArray[np.uint16]:
    """Return the bucket of every row, shape `(rows,)`, each in `[0, BUCKETS)`.

    Equal values in the columns `by` give equal buckets on every machine, whatever the other rows are, so
    copies of a row never fall on both sides of a split.
    """
    state = np.full(frame.height, 0x9E3779B97F4A7C15, dtype=np.uint64)
    for name in by:
        state = _mix(state ^ _codes(frame.get_column(name)))
    return (state % np.uint64(BUCKETS)).astype(np.uint16)


def _codes(column: pl.Series) -> NDArray[np.uint64]:
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        # + 0.0 folds -0.0 into 0.0; every NaN and null shares one code.
        numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy() + 0.0
        return _mix(np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64))
    return _text_codes(column.cast(pl.String))


def _text_codes(column: pl.Series) -> NDArray[np.uint64]:
    from blake3 import blake3

    distinct = column.unique()
    codes = [
        int.from_bytes(blake3(b"\0" if text is None else b"\1" + text.encode()).digest(8), "little")
        for text in distinct
    ]
    table = pl.DataFrame({"text": distinct, "code": pl.Series(codes, dtype=pl.UInt64)})
    joined = column.to_frame("text").join(table, on="text", how="left", nulls_equal=True, maintain_order="left")
    return joined.get_column("code").to_numpy()


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        value = value + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))
