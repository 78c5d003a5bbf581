"""Owns tables in memory as datasets that are ready for the loader: packed, and in one random order.

The order is that of a keyed permutation of as many rows, so equal tables give equal datasets, and the rows can be put
back in the order in which they came. How columns are packed depends on the schema alone, never on the values: tables of
one schema become datasets of one schema, which are loaded together.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.loader.bijection import Bijection
from resources.loader.columns import fixed
from resources.loader.counts import Counts
from resources.loader.pack import SHARD_BYTES, on_the_way, shard_rows_of
from resources.loader.packing import FLOATS, packed_schema
from resources.loader.picking import integers
from resources.loader.shard_writer import CodecChoice, ShardWriter
from resources.loader.shards import in_one
from resources.storage.datasets import arrow_table, read_frame
from resources.storage.garbage.guard import deletions
from resources.storage.manifest import read_manifest

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from resources.refs import DatasetRef
    from resources.storage.store import Store

ORDER = b"penstock.order"
"""Key of the metadata of a schema whose rows are permuted; the value says how."""
_KEYED = b"keyed-1"
_KEY = (1954, 8)  # tells this permutation from those of the orders and of `pack`


def write_shuffled(
    store: "Store",
    frame: "pl.DataFrame",
    *,
    scratch: Path,
    keep: Sequence[str] = (),
    partitions: Sequence[str] = (),
    profile_digest: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    codec: CodecChoice = None,
) -> "DatasetRef":
    """Store a frame as shards for the loader, in a random order, and return the reference to the dataset.

    Floats of one width become one matrix, a null among them a NaN of its own. All other columns, which may hold nulls,
    stay as they are.

    Args:
        store: Where it goes.
        frame: The rows.
        scratch: Folder for shards on their way.
        keep: Columns that are not packed into a matrix, such as the label.
        partitions: Partition keys of the reference.
        profile_digest: Profile of the reference.
        shard_bytes: Bytes of a shard, about.
        codec: What the shards are compressed by; see `resources.loader.shard_writer`.

    Raises:
        LoaderError: If there is no such codec.
        StoreError: If scratch or store cannot be written.
    """
    since = deletions(store)
    rows = in_one(arrow_table(frame))
    form = _form(rows.schema, keep)
    counts = Counts(rows.schema)
    counts.add(rows)
    shard_rows = shard_rows_of(_row_bytes(rows), shard_bytes)
    order = np.empty(rows.num_rows, np.int64)
    order[_places(rows.num_rows)] = np.arange(rows.num_rows)
    with on_the_way(scratch, f"about {shard_bytes:,} bytes") as folder:
        shards = ShardWriter(store, folder, form, codec=codec)
        for start in range(0, max(rows.num_rows, 1), shard_rows):
            shards.write(rows.take(integers(order[start : start + shard_rows])))
    ref = shards.finish(counts, since=since)
    return replace(ref, partitions=tuple(partitions), profile_digest=profile_digest)


def read_in_order(store: "Store", digest: str, columns: Sequence[str] | None = None) -> "pl.DataFrame":
    """Return a dataset, or some of its columns, in memory, its rows in the order in which they were written.

    Raises:
        ObjectMissing: If the manifest or a shard is not there.
        IntegrityError: If the manifest or a shard was altered.
    """
    frame = read_frame(store, digest, columns)
    if (read_manifest(store, digest).schema.metadata or {}).get(ORDER) != _KEYED:
        return frame
    return frame[_places(frame.height)]


def _form(schema: pa.Schema, keep: Sequence[str]) -> pa.Schema:
    others = [field.name for field in schema if field.type not in FLOATS]
    return packed_schema(schema, keep=keep, holed=others, nan_nulls=True).with_metadata({ORDER: _KEYED})


def _row_bytes(rows: pa.RecordBatch) -> float:
    """Return the mean bytes of a row, of the values alone: whether a column has room for nulls is by chance."""
    found = 0.0
    for column in rows.columns:
        layout = fixed(column.type)
        if layout is not None:
            found += layout.row_bytes
        elif pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            lengths = pc.call_function("sum", [pc.call_function("binary_length", [column])]).as_py() or 0
            found += _OFFSET_BYTES + lengths / max(rows.num_rows, 1)
        else:
            found += 1
    return found


_OFFSET_BYTES = 4


def _places(rows: int) -> "NDArray[np.int64]":
    """Return the place of each row, shape ``(rows,)``."""
    return Bijection(rows, _KEY)(0, rows).astype(np.int64)
