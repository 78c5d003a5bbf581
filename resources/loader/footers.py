"""Owns what the footers of Parquet files tell of values: the range of each column in a row group. It reads no value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.loader.scalars import comparable, scalar_of
from resources.loader.where import Range

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData, RowGroupMetaData

    from resources.storage.content import StoredFile
    from resources.storage.store import Store

_TAIL_BYTES = 65_536
"""Bytes at the end of a file that are read at first: most footers are shorter."""
_TRAILER_BYTES = 8  # length of the footer, and the mark of the format


def ranges_of(groups: Iterable["RowGroupMetaData"], schema: pa.Schema, columns: Sequence[str]) -> Mapping[str, Range]:
    """Return what some row groups say together of those of `columns` of which they all tell a range."""
    known: dict[str, list[Range]] = {}
    count = 0
    for group in groups:
        count += 1
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in columns:
                found = _range(column.statistics, schema.field(column.path_in_schema).type)
                known.setdefault(column.path_in_schema, []).extend([] if found is None else [found])
    return {name: _joined(found) for name, found in known.items() if found and len(found) == count}


def stored_footers(store: "Store", files: Sequence["StoredFile"]) -> list["FileMetaData"]:
    """Return the footers of Parquet files of a store, of which nothing else is fetched.

    Raises:
        StoreError: If a file is missing or was altered.
    """
    from resources.storage.ranges import read_ranges

    tails = read_ranges(store, [(file, max(file.size_bytes - _TAIL_BYTES, 0), file.size_bytes) for file in files])
    long = {number: _needed(tail) for number, tail in enumerate(tails) if _needed(tail) > len(tail)}
    more = read_ranges(
        store, [(files[n], files[n].size_bytes - needed, files[n].size_bytes) for n, needed in long.items()]
    )
    for number, tail in zip(long, more, strict=True):
        tails[number] = tail
    return [_parsed(tail) for tail in tails]


def _needed(tail: bytes) -> int:
    return int.from_bytes(tail[-_TRAILER_BYTES:-4], "little") + _TRAILER_BYTES


def _parsed(tail: bytes) -> "FileMetaData":
    import pyarrow.parquet as pq

    return pq.read_metadata(pa.BufferReader(tail))


def _range(statistics: Any, kind: pa.DataType) -> Range | None:  # Any: pyarrow's Statistics, or None
    if statistics is None or not statistics.has_min_max or not statistics.has_null_count:
        return None
    try:
        low, high = (scalar_of(value, kind) for value in (statistics.min, statistics.max))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # no values that can be compared
        return None
    return Range(low=low, high=high, has_nulls=bool(statistics.null_count))


def _joined(found: Sequence[Range]) -> Range:
    return Range(
        low=min((one.low for one in found), key=comparable),
        high=max((one.high for one in found), key=comparable),
        has_nulls=any(one.has_nulls for one in found),
    )
