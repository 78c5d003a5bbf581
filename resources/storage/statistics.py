"""Owns what a dataset's manifest says of its values: nulls and range of each column, as the Parquet footers have them.

No value is read for it. They describe the stored bytes, so they are the same wherever the same bytes are written.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

_LONGEST_TEXT = 64
Bound = int | float | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics:
    """Nulls and range of one column.

    Attributes:
        nulls: Rows without a value.
        low: Smallest value; None where there is no value, no order, or it is no finite number or short text. Clocks
            and dates are texts.
        high: Largest value, likewise.
    """

    nulls: int
    low: Bound = None
    high: Bound = None


def column_statistics(schema: "pa.Schema", footers: Iterable["FileMetaData"]) -> Mapping[str, ColumnStatistics]:
    """Return the statistics of each column that is not nested, over all files.

    Args:
        schema: Arrow schema of the files.
        footers: Their Parquet footers.
    """
    found = {field.name: _Range() for field in schema if not field.type.num_fields}
    for footer in footers:
        for group in map(footer.row_group, range(footer.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                if column.path_in_schema in found:
                    found[column.path_in_schema].add(column.statistics, group.num_rows)
    return {name: values.finished(schema.field(name).type) for name, values in found.items()}


class _Range:
    """Nulls and range of the row groups seen so far, in the physical values of Parquet."""

    def __init__(self) -> None:
        self._nulls = 0
        self._bounds: list[Any] = []  # Any: values of one type, which have an order
        self._known = True

    def add(self, statistics: Any, rows: int) -> None:  # Any: pyarrow's Statistics, or None
        """Take one row group in."""
        nulls = statistics.null_count if statistics is not None and statistics.has_null_count else 0
        self._nulls += nulls
        if statistics is not None and statistics.has_min_max:
            temporal = statistics.logical_type.type in ("DATE", "TIME", "TIMESTAMP")
            low, high = (statistics.min_raw, statistics.max_raw) if temporal else (statistics.min, statistics.max)
            self._bounds = [min([low, *self._bounds]), max([high, *self._bounds])]
        elif nulls < rows:
            self._known = False

    def finished(self, kind: "pa.DataType") -> ColumnStatistics:
        """Return the statistics of a column of the type `kind`."""
        if not self._known or not self._bounds:
            return ColumnStatistics(nulls=self._nulls)
        low, high = (plain_bound(value, kind) for value in self._bounds)
        return ColumnStatistics(nulls=self._nulls, low=low, high=high)


def plain_bound(value: Any, kind: "pa.DataType") -> Bound:  # Any: a value of Parquet
    """Return a smallest or largest value, times as the numbers that they are stored as, in the form of a manifest."""
    import pyarrow as pa

    if pa.types.is_temporal(kind) and isinstance(value, int):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        return str(pa.array([value], width).cast(kind).cast(pa.string())[0])
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None  # Parquet writes a lowest zero as -0.0
    if isinstance(value, bool | int):
        return value
    return value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
