"""Owns the span of the calendar, years 1 to 9999: what lies beyond cannot be written as ISO 8601 nor be a Python date.

Polars panics where it must print such a time, so no value beyond the calendar may go further than this.
"""

from datetime import date
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from quality.contract.arrow import compute, null_of

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_DAY = date.min.toordinal() - _EPOCH
_LAST_DAY = date.max.toordinal() - _EPOCH
_TICKS = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}
"""Ticks of a day by unit; nanoseconds of 64 bits reach from 1677 to 2262."""


def within_calendar(values: "pa.Array") -> "pa.Array":
    """Return dates or clocks with null for each that lies beyond the calendar; any other array as it is."""
    far = beyond_calendar(values)
    return values if far is None else without(values, far)


def without(values: "pa.Array", far: "pa.Array") -> "pa.Array":
    """Return dates or clocks with null for each that `far` marks."""
    return compute().if_else(far, null_of(values.type), values)


def beyond_calendar(values: "pa.Array") -> "pa.Array | None":
    """Return which dates or clocks lie beyond the calendar, or None if none does."""
    ticks = _ticks_of(values)
    if ticks is None or values.null_count == len(values):
        return None
    first, last = _span(ticks)
    numbers = _numbers(values)
    if not values.null_count:
        found = np.from_dlpack(numbers)
        least, most = int(found.min()), int(found.max())
    else:
        ends = compute().min_max(numbers)
        least, most = ends["min"].as_py(), ends["max"].as_py()
    if first <= least and most <= last:
        return None
    pc = compute()
    return pc.fill_null(pc.or_(pc.less(numbers, first), pc.greater(numbers, last)), False)


def is_near(values: pl.Series) -> bool:
    """Return whether none of the values is a date or clock beyond the calendar."""
    span = physical_span(values.dtype)
    if span is None or values.null_count() == len(values):
        return True
    least, most = physical_ends(values)
    return span[0] <= least and most <= span[1]


def far_text(values: "pa.Array", row: int) -> str:
    """Return one date or clock as ISO 8601 text with a year of as many digits as it needs."""
    import pyarrow as pa

    kind = values.type
    unit = kind.unit if pa.types.is_timestamp(kind) else "D" if pa.types.is_date32(kind) else "ms"
    return str(np.datetime64(_numbers(values)[row].as_py(), unit))


def _numbers(values: "pa.Array") -> "pa.Array":
    """Return the days or ticks since 1970 that dates or clocks are stored as."""
    import pyarrow as pa

    return values.view(pa.int32() if pa.types.is_date32(values.type) else pa.int64())


def clock_within_calendar(clock: pl.Series) -> pl.Series:
    """Return a clock in microseconds with null for each time beyond the calendar."""
    first, last = _span(_TICKS["us"])
    near = clock.to_physical().is_between(first, last)
    return clock if near.all() else pl.select(pl.when(near).then(clock)).to_series().alias(clock.name)


def physical(values: pl.Series) -> pl.Series:
    """Return the days or ticks that dates and times are stored as; numbers as they are."""
    if not values.dtype.is_temporal():
        return values
    return values.cast(pl.Int32 if isinstance(values.dtype, pl.Date) else pl.Int64)  # `to_physical` costs a query


def physical_ends(values: pl.Series) -> tuple[float, float]:
    """Return the smallest and the largest of `physical(values)`, of which not all may be null."""
    numbers = physical(values)
    return cast("float", numbers.min()), cast("float", numbers.max())


def physical_span(dtype: pl.DataType) -> tuple[int, int] | None:
    """Return the first and last day or tick of the calendar in a Polars type, or None where it reaches no further."""
    if isinstance(dtype, pl.Date):
        return _span(1)
    return _span(_TICKS[dtype.time_unit]) if isinstance(dtype, pl.Datetime) and dtype.time_unit in _TICKS else None


def _span(ticks: int) -> tuple[int, int]:
    return _FIRST_DAY * ticks, (_LAST_DAY + 1) * ticks - 1


def _ticks_of(values: "pa.Array") -> int | None:
    import pyarrow as pa

    kind = values.type
    if pa.types.is_date(kind):
        return 1 if pa.types.is_date32(kind) else _TICKS["ms"]
    return _TICKS.get(kind.unit) if pa.types.is_timestamp(kind) else None
