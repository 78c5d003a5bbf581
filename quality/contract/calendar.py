"""Owns the spans of dates, clocks and times: the years 1 to 9999, the 24 hours of a day, durations that Polars holds.

What lies beyond the calendar cannot be written as ISO 8601 nor be a Python date, and Polars panics where it must print
it. Durations in seconds it holds as milliseconds, wrapping silently. So no value beyond its span may go further than
this, though Arrow and Parquet hold it.
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
"""Ticks of a day by unit; clocks of 64-bit nanoseconds reach from 1677 to 2262."""
_NANOSECONDS = 86_400_000_000_000
_SECONDS = (2**63 - 1) // 1_000


def within_span(values: "pa.Array") -> "pa.Array":
    """Return dates, clocks and times with null for each that lies beyond its span; any other array as it is."""
    far = beyond_span(values)
    return values if far is None else without(values, far)


def without(values: "pa.Array", far: "pa.Array") -> "pa.Array":
    """Return values with null for each that `far` marks."""
    return compute().if_else(far, null_of(values.type), values)


def span_text(kind: "pa.DataType") -> str:
    """Return what values of a type are that lie beyond its span."""
    import pyarrow as pa

    if pa.types.is_time(kind):
        return "beyond the 24 hours of a day"
    return "beyond 292 million years" if pa.types.is_duration(kind) else "beyond the years 1 to 9999"


def beyond_span(values: "pa.Array") -> "pa.Array | None":
    """Return which values lie beyond the span of their type, or None if none does."""
    span = _span_of(values.type)
    if span is None or values.null_count == len(values):
        return None
    first, last = span
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
    """Return one value as text: ISO 8601 with a year of as many digits as it needs; times and durations as ticks."""
    import pyarrow as pa

    kind, number = values.type, _numbers(values)[row].as_py()
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return f"{number} {kind.unit}"
    unit = kind.unit if pa.types.is_timestamp(kind) else "D" if pa.types.is_date32(kind) else "ms"
    return str(np.datetime64(number, unit))


def _numbers(values: "pa.Array") -> "pa.Array":
    """Return the days or ticks that dates, clocks, times and durations are stored as."""
    import pyarrow as pa

    return values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())


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
    """Return the first and last day or tick of a Polars type's span, or None where it reaches no further."""
    if isinstance(dtype, pl.Date):
        return _span(1)
    return _span(_TICKS[dtype.time_unit]) if isinstance(dtype, pl.Datetime) and dtype.time_unit in _TICKS else None


def _span(ticks: int) -> tuple[int, int]:
    return _FIRST_DAY * ticks, (_LAST_DAY + 1) * ticks - 1


def _span_of(kind: "pa.DataType") -> tuple[int, int] | None:
    """Return the first and last number that values of an Arrow type may be stored as, or None where it has no end."""
    import pyarrow as pa

    if pa.types.is_date(kind):
        return _span(1 if pa.types.is_date32(kind) else _TICKS["ms"])
    if pa.types.is_timestamp(kind):
        return _span(_TICKS[kind.unit]) if kind.unit in _TICKS else None
    if pa.types.is_time(kind):
        return 0, _TICKS.get(kind.unit, _NANOSECONDS) - 1
    return (-_SECONDS, _SECONDS) if kind == pa.duration("s") else None
