"""Owns the dealing of rows to files on disk by the places that they shall have, and the putting in order of each.

Each file has the rows of some neighbouring places. What is known of the columns is counted on the way.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.loader.bijection import Bijection
from resources.loader.ragged import integers, picked
from resources.loader.shards import in_one
from resources.storage.statistics import ColumnStatistics

_PLACE = "penstock.place"


class Deal:
    """Rows on their way to their places.

    Args:
        folder: For the files.
        schema: Of the rows.
        places: Place of each row, by the order in which it comes.
        rows_per_file: Places of one file.
    """

    def __init__(self, folder: Path, schema: pa.Schema, places: Bijection, *, rows_per_file: int) -> None:
        self._folder = folder
        self._schema = schema
        self._places = places
        self._rows_per_file = rows_per_file
        self._form = schema.append(pa.field(_PLACE, pa.int64(), nullable=False))
        self._files: dict[int, tuple[pa.OSFile, pa.RecordBatchStreamWriter]] = {}
        self._seen = 0
        self._nulls = dict.fromkeys(schema.names, 0)
        self._ranges: dict[str, tuple[Any, Any]] = {}  # Any: numbers of one type

    @property
    def nulls(self) -> list[str]:
        """Columns in which a value is missing."""
        return [name for name, count in self._nulls.items() if count]

    def add(self, batch: pa.RecordBatch) -> None:
        """Deal some rows.

        Raises:
            OSError: If a file cannot be written.
        """
        self._count(batch)
        places = self._places(self._seen, self._seen + batch.num_rows).astype(np.int64)
        self._seen += batch.num_rows
        numbers = places // self._rows_per_file
        order = np.argsort(numbers, kind="stable")
        columns = [picked(column, order) for column in batch.columns]
        placed = integers(places[order])
        dealt = pa.RecordBatch.from_arrays([*columns, placed], schema=self._form)
        found, firsts = np.unique(numbers[order], return_index=True)
        for number, first, last in zip(
            found.tolist(), firsts.tolist(), [*firsts[1:].tolist(), len(order)], strict=True
        ):
            self._writer(number).write_batch(dealt.slice(first, last - first))

    def in_order(self) -> Iterator[pa.Table]:
        """Yield the rows of each file in order, and remove it; one table without rows if there are none.

        Raises:
            OSError: If a file cannot be read.
        """
        for file, writer in self._files.values():
            writer.close()
            file.close()
        if not self._files:
            yield self._schema.empty_table()
        for number in sorted(self._files):
            path = self._path(number)
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
                whole = in_one(reader.read_all())
            path.unlink()
            order = np.argsort(np.from_dlpack(whole.column(_PLACE)))
            columns = [picked(column, order) for column in whole.columns[:-1]]
            yield pa.Table.from_arrays(columns, schema=self._schema)

    def statistics(self) -> Mapping[str, ColumnStatistics]:
        """Return nulls of each column that is not nested, and the range of numbers."""
        return {
            field.name: ColumnStatistics(nulls=self._nulls[field.name], **self._range(field.name))
            for field in self._schema
            if not field.type.num_fields
        }

    def _range(self, name: str) -> dict[str, Any]:  # Any: as above
        if name not in self._ranges:
            return {}
        low, high = self._ranges[name]
        return {"low": low if isfinite(low) else None, "high": high if isfinite(high) else None}

    def _count(self, batch: pa.RecordBatch) -> None:
        for field, column in zip(batch.schema, batch.columns, strict=True):
            self._nulls[field.name] += column.null_count
            if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
                known = column.cast(pa.float32()) if field.type == pa.float16() else column  # Arrow ranks no halves
                found = pc.call_function("min_max", [known]).as_py()
                if found["min"] is not None:
                    low, high = self._ranges.get(field.name, (found["min"], found["max"]))
                    self._ranges[field.name] = min(low, found["min"]), max(high, found["max"])

    def _writer(self, number: int) -> pa.RecordBatchStreamWriter:
        if number not in self._files:
            file = pa.OSFile(str(self._path(number)), "wb")
            self._files[number] = file, pa.ipc.new_stream(file, self._form)
        return self._files[number][1]

    def _path(self, number: int) -> Path:
        return self._folder / f"dealt-{number:05d}.arrows"
