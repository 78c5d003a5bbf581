"""Owns the conversion of a dataset into shards that are ready for the loader: packed, and in one random order.

The place of each row is that of a keyed permutation of all rows, so equal rows give equal shards. Rows go to files on
disk first, each for some neighbouring shards (`resources.loader.deal`), then each such file is put in order in memory,
which is bounded by that, whatever the dataset. In what comes out any stretch of rows is a random sample.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from resources.errors import LoaderError, StoreError
from resources.loader.bijection import Bijection
from resources.loader.deal import Deal
from resources.loader.fill import filled
from resources.loader.order import words_of
from resources.loader.packing import packed_schema, unpacked
from resources.loader.shard_writer import CodecChoice, ShardWriter
from resources.loader.shards import in_one
from resources.loader.sources import Dataset, Source, source_of
from resources.names import unknown_name
from resources.refs import DatasetRef
from resources.storage.garbage.guard import deletions
from resources.storage.scratch import ScratchFolder
from resources.storage.store import Store

SHARD_BYTES = 64 * 2**20
ROWS_STEP = 4096
"""Rows of a shard are a multiple of this, where they are not so wide that fewer fill it; then of 64."""
_LEAST_STEP = 64
_READ_BYTES = 32 * 2**20
_MOST_FILES = 256
_PURPOSE = 7  # tells this permutation from those of the orders


def pack(
    dataset: Dataset,
    *,
    store: Store,
    scratch: Path,
    keep: Sequence[str] = (),
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
    fill_null: float | None = None,
    codec: CodecChoice = None,
) -> DatasetRef:
    """Store a dataset anew as shards for the loader, in a random order, and return the reference to it.

    Plain numbers of one type become one matrix, unless a column of them holds nulls or is named in `keep`.

    Args:
        dataset: What `Loader` takes, or what `source_of` made of it.
        store: Where it goes, and where datasets are looked up.
        scratch: Folder for rows on their way; it needs as much room as the dataset.
        keep: Columns that are not packed into a matrix.
        seed: Of the order of the rows.
        shard_bytes: Bytes of a shard, about.
        fill_null: What takes the place of nulls in columns of numbers, such as NaN, so that these are packed, too;
            None leaves nulls as they are.
        codec: What the shards are compressed by; see `resources.loader.shard_writer`.

    Raises:
        LoaderError: If the dataset cannot be read, has no column named in `keep`, `fill_null` does not fit one, or
            there is no such codec.
        StoreError: If scratch or store cannot be written.
    """
    source = source_of(dataset, store)
    schema = _decoded_schema(source.schema)
    for name in keep:
        if name not in schema.names:
            raise LoaderError(f"keep: {unknown_name('column', name, schema.names)}")
    since = deletions(store)
    rows = source.layout.total_rows
    shard_rows = shard_rows_of(source.layout.row_bytes, shard_bytes)
    shards_per_file = -(-max(rows, 1) // (shard_rows * _MOST_FILES))
    permutation = Bijection(rows, (*words_of(source.layout.root), seed, _PURPOSE))
    with on_the_way(scratch, "as much as the dataset takes") as folder:
        deal = Deal(folder, schema, permutation, rows_per_file=shards_per_file * shard_rows)
        for batch in _batches(source):
            rows_read = _decoded(batch, schema)
            deal.add(rows_read if fill_null is None else filled(rows_read, fill_null, keep=keep))
        form = packed_schema(schema, keep=keep, holed=deal.counts.holed)
        shards = ShardWriter(store, folder, form, codec=codec)
        for table in deal.in_order():
            for start in range(0, max(table.num_rows, 1), shard_rows):
                shards.write(in_one(table.slice(start, shard_rows)))
        return shards.finish(deal.counts, since=since)


@contextmanager
def on_the_way(scratch: Path, needed: str) -> Generator[Path]:
    """Give a folder in `scratch` for rows and shards on their way to a store; nothing is left of it.

    Args:
        scratch: Where it is made.
        needed: How much room that takes, for people.

    Raises:
        StoreError: If something cannot be written there.
    """
    try:
        folder = ScratchFolder(scratch)
        try:
            yield folder.path
        finally:
            folder.remove()
    except OSError as error:
        raise StoreError(
            f"cannot write {error.filename or scratch}: {error.strerror or error}; make room there, {needed}, or "
            "choose another folder (PENSTOCK_SCRATCH)"
        ) from error


def shard_rows_of(row_bytes: float, shard_bytes: int = SHARD_BYTES) -> int:
    """Return how many rows a shard has."""
    rows = max(1, int(shard_bytes / max(row_bytes, 1.0)))
    step = ROWS_STEP if rows >= ROWS_STEP else _LEAST_STEP
    return max(rows // step, 1) * step


def _batches(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `source` in their order, in batches that are not large."""
    rows = max(1, int(_READ_BYTES / max(source.layout.row_bytes, 1.0)))
    for shard in source.shards:
        batch = shard.open(None).batch
        for start in range(0, batch.num_rows, rows):
            yield unpacked(batch.slice(start, rows))


def _decoded_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of unpacked rows, dictionaries replaced by their values."""
    return pa.schema(
        pa.field(
            field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type, field.nullable
        )
        for field in unpacked(pa.RecordBatch.from_pylist([], schema=schema)).schema
    )


def _decoded(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
