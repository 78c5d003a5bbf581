"""Datasets for the tests of the loader: every row knows its number, so that orders can be told from the rows alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resources.loader import Loader
from resources.loader.order import Layout
from resources.loader.packing import packed, packed_schema

ROOT = "0123456789abcdef" * 4
WORDS = ("", "a", "penstock", "µ" * 40)


def layout(rows: Sequence[int], *, row_bytes: float = 100.0) -> Layout:
    return Layout(root=ROOT, rows=np.array(rows, np.int64), row_bytes=row_bytes)


def rows_of(first: int, count: int) -> pa.RecordBatch:
    """Return rows numbered from `first` on: numbers of two types, nulls, texts, booleans, times and a small tensor."""
    numbers = np.arange(first, first + count)
    tensor = pa.fixed_shape_tensor(pa.float32(), (2, 3))
    flat = pa.array(np.repeat(numbers, 6).astype(np.float32), pa.float32())
    columns = {
        "id": pa.array(numbers, pa.int64()),
        "half": pa.array(numbers / 2, pa.float64()),
        "third": pa.array(numbers / 3, pa.float64()),
        "holed": pa.array([None if number % 7 == 0 else float(number) for number in numbers], pa.float64()),
        "text": pa.array([WORDS[number % 4] for number in numbers], pa.string()),
        "even": pa.array(numbers % 2 == 0, pa.bool_()),
        "at": pa.array(numbers, pa.int64()).cast(pa.timestamp("us")),
        "tensor": pa.ExtensionArray.from_storage(tensor, pa.FixedSizeListArray.from_arrays(flat, 6)),
        "list": pa.array([list(range(number % 5)) for number in numbers], pa.list_(pa.int32())),
        "long": pa.array([bytes([number % 251]) * (1500 + number % 100) for number in numbers], pa.binary()),
    }
    return pa.record_batch(columns)


def write_arrow(folder: Path, rows: Sequence[int]) -> Path:
    """Write packed shards of so many rows each, numbered through."""
    folder.mkdir(exist_ok=True)
    first = 0
    for number, count in enumerate(rows):
        batch = rows_of(first, count)
        schema = packed_schema(batch.schema, keep=["id"], holed=["holed"])
        with pa.ipc.new_file(folder / f"{number:03d}.arrow", schema) as writer:
            writer.write_batch(packed(batch, schema))
        first += count
    return folder


def write_parquet(folder: Path, rows: Sequence[int], *, group_rows: int) -> Path:
    folder.mkdir(exist_ok=True)
    first = 0
    for number, count in enumerate(rows):
        table = pa.Table.from_batches([rows_of(first, count).drop_columns(["tensor"])])
        pq.write_table(table, folder / f"{number:03d}.parquet", row_group_size=group_rows)
        first += count
    return folder


def ids(loader: Loader) -> list[int]:
    """Return the numbers of the rows that are left of the epoch, in their order."""
    return [number for batch in loader.numpy() for number in np.asarray(batch["id"]).tolist()]
