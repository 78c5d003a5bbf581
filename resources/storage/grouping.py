"""Owns where row groups end: a pure function of schema and values, never of the batches they came in."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from resources.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 131_072
GROUP_BYTES = 64 * 2**20
UNIT_ROWS = 4_096


class RowGrouper:
    """Collects batches and gives them back as row groups, cut after whole units of rows.

    A group ends at `group_rows` rows, or at the first unit with which its values pass `GROUP_BYTES`.
    """

    def __init__(self, schema: "pa.Schema", *, rows_per_shard: int) -> None:
        self._width_bytes, self._texts = _widths(schema)
        self._group_rows = min(GROUP_ROWS, rows_per_shard)
        self._unit_rows = min(UNIT_ROWS, self._group_rows)
        self._waiting: list[pa.Table] = []  # less than a unit
        self._group: list[pa.Table] = []
        self._rows = self._bytes = self._waiting_rows = 0

    def add(self, table: "pa.Table") -> Iterator["pa.Table"]:
        """Take rows in, and give back the groups that are complete."""
        import pyarrow as pa

        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows < self._unit_rows:
            return
        rows = pa.concat_tables(self._waiting)
        start = 0
        while rows.num_rows - start >= self._unit_rows:
            start += self._append(rows.slice(start, (rows.num_rows - start) // self._unit_rows * self._unit_rows))
            if self._is_full():
                yield self._close()
        self._waiting, self._waiting_rows = [rows.slice(start)], rows.num_rows - start

    def rest(self) -> Iterator["pa.Table"]:
        """Give back the last, shorter group, if there are rows left."""
        import pyarrow as pa

        rows = pa.concat_tables(self._waiting) if self._waiting else None
        self._waiting, self._waiting_rows, start = [], 0, 0
        while rows is not None and start < rows.num_rows:
            start += self._append(rows.slice(start))
            if self._is_full():
                yield self._close()
        if self._rows:
            yield self._close()

    def _append(self, rows: "pa.Table") -> int:
        """Put the first of `rows` to the group, all that are sure not to fill it or else one unit; return how many."""
        part = rows.slice(0, self._group_rows - self._rows)
        size = self._size_bytes(part)
        if part.num_rows > self._unit_rows and self._bytes + size >= GROUP_BYTES:
            part = part.slice(0, self._unit_rows)
            size = self._size_bytes(part)
        self._group.append(part)
        self._rows += part.num_rows
        self._bytes += size
        return part.num_rows

    def _size_bytes(self, rows: "pa.Table") -> int:
        return rows.num_rows * self._width_bytes + sum(_text_bytes(rows.column(index)) for index in self._texts)

    def _is_full(self) -> bool:
        return self._rows >= self._group_rows or self._bytes >= GROUP_BYTES

    def _close(self) -> "pa.Table":
        import pyarrow as pa

        group = pa.concat_tables(self._group)
        self._group, self._rows, self._bytes = [], 0, 0
        return group


def plain_schema(schema: "pa.Schema") -> "pa.Schema":
    """Return `schema` without metadata, which readers attach in their own ways, checked for one form per value.

    Raises:
        ContractError: If a column is a dictionary: its bytes depend on entries that no row uses.
    """
    import pyarrow as pa

    for field in schema:
        if pa.types.is_dictionary(field.type):
            raise ContractError(
                f"column {field.name!r} is {field.type}: cast it to {field.type.value_type}; "
                "texts that repeat are stored once per row group anyway"
            )
    return pa.schema([field.remove_metadata() for field in schema])


def conformed(batch: "pa.RecordBatch | pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Return `batch` as a table of exactly `schema`, without copying.

    Raises:
        ContractError: If columns differ in name, order or type, or one that may not be null holds nulls.
    """
    import pyarrow as pa

    if batch.schema.names != schema.names:
        raise ContractError(f"a batch has columns {batch.schema.names}, its dataset has {schema.names}: select those")
    for field, column in zip(schema, batch.columns, strict=True):
        if column.type != field.type:
            raise ContractError(f"column {field.name!r} is {column.type}, its dataset says {field.type}: cast it first")
        if not field.nullable and column.null_count:
            raise ContractError(
                f"column {field.name!r} may not be null but {column.null_count} values are: reject them"
            )
    return pa.Table.from_arrays(batch.columns, schema=schema)


def _widths(schema: "pa.Schema") -> tuple[int, list[int]]:
    """Return the bytes of a row's fixed-width columns, and the indices of the columns of text or bytes."""
    import pyarrow as pa

    texts = [
        index
        for index, field in enumerate(schema)
        if pa.types.is_string(field.type)
        or pa.types.is_large_string(field.type)
        or pa.types.is_binary(field.type)
        or pa.types.is_large_binary(field.type)
    ]
    width = sum(_fixed_bytes(field.type) for index, field in enumerate(schema) if index not in texts)
    return width, texts


def _fixed_bytes(kind: "pa.DataType") -> int:
    try:
        return max(1, kind.bit_width // 8)
    except ValueError:  # lists and structs have no fixed width: a guess, which bounds rows, not correctness
        return 64


def _text_bytes(column: "pa.ChunkedArray") -> int:
    from pyarrow.compute import call_function

    return 4 * len(column) + (call_function("sum", [call_function("binary_length", [column])]).as_py() or 0)
