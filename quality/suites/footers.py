"""Owns what Parquet footers say of columns: rows, nulls, bounds, order. It reads no file.

Bounds are taken of whole numbers and floats only: writers shorten those of texts, and old ones order them otherwise.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Statistics of one column in one row group.

    Attributes:
        rows: Rows of the group.
        nulls: Nulls among them, or None where the footer does not tell.
        low: Smallest value, or None where the footer does not tell.
        high: Largest value.
    """

    rows: int
    nulls: int | None
    low: Any  # Any: whatever the column holds
    high: Any

    @property
    def empty(self) -> bool:
        """Whether the group has no value at all."""
        return self.nulls == self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Footers:
    """Statistics of all row groups, in the order of the rows.

    Attributes:
        rows: Rows of all groups.
        group_rows: Rows of each group.
        groups: Column to its statistics in each group, of columns that are not nested.
    """

    rows: int
    group_rows: tuple[int, ...]
    groups: Mapping[str, tuple[Group, ...]]

    @classmethod
    def of(cls, footers: "Iterable[FileMetaData]") -> Self:
        """Return what `footers` say, in their order."""
        sizes: list[int] = []
        groups: dict[str, list[Group]] = {}
        for footer in footers:
            for place in range(footer.num_row_groups):
                group = footer.row_group(place)
                sizes.append(group.num_rows)
                for index in range(group.num_columns):
                    chunk = group.column(index)
                    groups.setdefault(chunk.path_in_schema, []).append(_group(chunk, group.num_rows))
        whole = {name: tuple(found) for name, found in groups.items() if len(found) == len(sizes)}
        return cls(rows=sum(sizes), group_rows=tuple(sizes), groups=whole)

    def nulls(self, names: Iterable[str]) -> dict[str, int]:
        """Return the null counts of the columns of which every row group tells."""
        counts: dict[str, int] = {}
        for name in names:
            found = [group.nulls for group in self.groups.get(name, ()) if group.nulls is not None]
            if name in self.groups and len(found) == len(self.group_rows):
                counts[name] = sum(found)
        return counts

    def bounds(self, name: str) -> tuple[float, float] | None:
        """Return the exact bounds of a column of numbers without NaN, or None where they are not told."""
        groups = [group for group in self.groups.get(name, ()) if not group.empty]
        if not groups or not all(_number(group.low) and _number(group.high) for group in groups):
            return None
        return min(group.low for group in groups), max(group.high for group in groups)

    def ascending(self, name: str) -> bool:
        """Return whether every row group begins above the end of the one before, without nulls."""
        groups = self.groups.get(name, ())
        if not groups or any(group.nulls != 0 or group.low is None for group in groups):
            return False
        return all(before.high < after.low for before, after in pairwise(groups))

    def starts(self, places: int) -> Sequence[int]:
        """Return the first row of up to `places` row groups all over the file: a read may begin there."""
        firsts = list(accumulate(self.group_rows, initial=0))[:-1]
        count = min(places, len(firsts))
        return [firsts[len(firsts) * place // count] for place in range(count)]


def _group(chunk: Any, rows: int) -> Group:  # Any: pyarrow has no stubs
    statistics = chunk.statistics
    if statistics is None:
        return Group(rows=rows, nulls=None, low=None, high=None)
    nulls = statistics.null_count if statistics.has_null_count else None
    if not statistics.has_min_max or statistics.physical_type not in ("INT32", "INT64", "FLOAT", "DOUBLE"):
        return Group(rows=rows, nulls=nulls, low=None, high=None)
    return Group(rows=rows, nulls=nulls, low=statistics.min, high=statistics.max)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
