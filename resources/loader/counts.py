"""Owns what is counted of columns on their way to shards: nulls, and the range of numbers and times."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.storage.statistics import ColumnStatistics, plain_bound


class Counts:
    """Nulls and ranges of the columns of batches.

    Args:
        schema: Of the batches.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._nulls = dict.fromkeys(schema.names, 0)
        self._ranges: dict[str, tuple[Any, Any]] = {}  # Any: numbers of one type

    @property
    def holed(self) -> list[str]:
        """Columns in which a value is missing."""
        return [name for name, count in self._nulls.items() if count]

    def add(self, batch: pa.RecordBatch) -> None:
        """Count some rows."""
        for field, column in zip(batch.schema, batch.columns, strict=True):
            self._nulls[field.name] += column.null_count
            if _has_range(field.type) and column.null_count < len(column):
                known = column.cast(pa.float32()) if field.type == pa.float16() else column  # Arrow ranks no halves
                found = pc.call_function("min_max", [known])
                # A time as the number that it is stored as: Python's times have no nanoseconds.
                low, high = (
                    found[key].value if pa.types.is_temporal(field.type) else found[key].as_py() for key in _ENDS
                )
                before = self._ranges.get(field.name, (low, high))
                self._ranges[field.name] = min(before[0], low), max(before[1], high)

    def statistics(self) -> Mapping[str, ColumnStatistics]:
        """Return nulls of each column that is not nested, and the range of numbers and times."""
        return {
            field.name: ColumnStatistics(nulls=self._nulls[field.name], **self._range(field.name))
            for field in self._schema
            if not field.type.num_fields
        }

    def _range(self, name: str) -> dict[str, Any]:  # Any: as above
        if name not in self._ranges:
            return {}
        kind = self._schema.field(name).type
        low, high = (plain_bound(end, kind) for end in self._ranges[name])
        return {"low": low, "high": high}


_ENDS = ("min", "max")


def _has_range(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind)
