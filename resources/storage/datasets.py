"""Owns immutable datasets: shards and the manifest that names them; it writes Parquet, and reads Arrow shards too.

The manifest (`resources.storage.manifest`) is stored last: no manifest, no dataset.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from resources.canonical import digest_bytes
from resources.refs import DatasetRef
from resources.storage.garbage.guard import deletions, note_whole, settle
from resources.storage.garbage.walk import file_keys
from resources.storage.grouping import plain_schema
from resources.storage.layered import holder
from resources.storage.manifest import Manifest, Shards, encode, read_manifest
from resources.storage.matrices import NULL_BITS, holds_nulls, packed_names
from resources.storage.objects import object_key, put_object
from resources.storage.shard_copies import borrowed_shards, shard_path
from resources.storage.statistics import column_statistics
from resources.storage.store import Store
from resources.storage.writer import ROWS_PER_SHARD, SHARD_BYTES, ShardWriter

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa
    from pyarrow.parquet import FileMetaData


class SnapshotWriter:
    """Writes one dataset from batches of any size; equal rows give equal bytes however they are batched.

    Encoding, hashing and flushing run beside the caller in two threads; memory stays bounded by a few row groups. Use
    it as a context manager: leaving it without `commit` removes the scratch files and stores no dataset.

    Args:
        store: Where the dataset goes.
        schema: Arrow schema; its metadata is dropped.
        scratch: Folder for unfinished shards; on the store's own file system they are linked in, not copied.
        rows_per_shard: Largest number of rows of a shard.
        max_shard_bytes: A shard is closed once its file has this size.
    """

    def __init__(
        self,
        store: Store,
        schema: "pa.Schema",
        *,
        scratch: Path,
        rows_per_shard: int = ROWS_PER_SHARD,
        max_shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._store = store
        self._schema = plain_schema(schema)
        self._deletions = deletions(store)
        self._shards = ShardWriter(
            store, self._schema, scratch=scratch, rows_per_shard=rows_per_shard, max_shard_bytes=max_shard_bytes
        )

    def __enter__(self) -> "SnapshotWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._shards.discard()

    def write(self, batch: "pa.RecordBatch | pa.Table") -> None:
        """Append the rows of `batch`.

        Raises:
            ContractError: If its columns are not those of the schema, or a column that may not be null is.
            StoreError: If scratch or store cannot be written, now or by an earlier batch.
        """
        self._shards.write(batch)

    def commit(
        self,
        *,
        partitions: Sequence[str] = (),
        profile_digest: str | None = None,
        quarantine_digest: str | None = None,
        report_digest: str | None = None,
    ) -> DatasetRef:
        """Store the manifest and return the reference to the dataset.

        Raises:
            ConflictError: If a shard was deleted as garbage since it was stored, which takes a day at least.
        """
        written = self._shards.finish()
        made = Manifest(
            schema=self._schema,
            shards=Shards.of(item.shard for item in written),
            statistics=column_statistics(self._schema, (item.footer for item in written)),
        )
        return replace(
            put_dataset(self._store, made, since=self._deletions),
            partitions=tuple(partitions),
            profile_digest=profile_digest,
            quarantine_digest=quarantine_digest,
            report_digest=report_digest,
        )


def put_dataset(store: Store, made: Manifest, *, since: int) -> DatasetRef:
    """Store the manifest of shards that are stored and return the reference to the dataset, as far as it tells.

    Args:
        store: Where the shards lie.
        made: The manifest.
        since: What `deletions` said before the first shard was stored.

    Raises:
        ConflictError: If a shard was deleted as garbage since it was stored, which takes a day at least.
    """
    # A shard that was there already may be garbage that waits for its end.
    keys = cache(lambda: [key for file in made.shards.files for key in file_keys(file)])
    settled = settle(store, keys, since=since)
    digest = put_object(store, encode(made))
    note_whole(store, digest, settled)
    return _reference(store, digest, made)


def write_table(
    store: Store,
    table: "pa.Table | pl.DataFrame",
    *,
    scratch: Path,
    partitions: Sequence[str] = (),
    profile_digest: str | None = None,
    quarantine_digest: str | None = None,
    report_digest: str | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    max_shard_bytes: int = SHARD_BYTES,
) -> DatasetRef:
    """Store a table that fits in memory and return the reference to the dataset.

    Categories are stored as their texts. Further arguments are those of `SnapshotWriter`.
    """
    arrow = arrow_table(table) if isinstance(table, pl.DataFrame) else _plain(table)
    with SnapshotWriter(
        store, arrow.schema, scratch=scratch, rows_per_shard=rows_per_shard, max_shard_bytes=max_shard_bytes
    ) as writer:
        writer.write(arrow)
        return writer.commit(
            partitions=partitions,
            profile_digest=profile_digest,
            quarantine_digest=quarantine_digest,
            report_digest=report_digest,
        )


def reference(store: Store, digest: str) -> DatasetRef:
    """Return the reference to the dataset `digest`, as far as its manifest tells.

    Raises:
        ObjectMissing: If the manifest is not there.
        IntegrityError: If it was altered, or is none.
    """
    return _reference(store, digest, read_manifest(store, digest))


def _reference(store: Store, digest: str, made: Manifest) -> DatasetRef:
    return DatasetRef(
        digest=digest,
        location=holder(store, object_key(digest)).url,
        schema_fingerprint=digest_bytes(bytes(made.schema.serialize())),
        rows=made.rows,
        size_bytes=made.size_bytes,
    )


def scan(store: Store, digest: str) -> pl.LazyFrame:
    """Return the dataset `digest` as a lazy frame over its verified shards.

    It may be collected at any time, so shards in the host's cache stay there until this process ends; `read_frame`
    gives them back.

    Raises:
        ObjectMissing: If the manifest or a shard is not there.
        IntegrityError: If the manifest or a shard was altered.
    """
    made = read_manifest(store, digest)
    return _scanned(made, [shard_path(store, shard) for shard in made.shards])


def read_frame(store: Store, digest: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the dataset `digest`, or some of its columns, in memory."""
    made = read_manifest(store, digest)
    with borrowed_shards(store, made.shards) as paths:
        frame = _scanned(made, paths)
        return (frame if columns is None else frame.select(columns)).collect()


@contextmanager
def lent_frame(store: Store, digest: str) -> "Generator[tuple[pl.LazyFrame, list[FileMetaData] | None]]":
    """Lend the dataset `digest` as a lazy frame with the footers of its shards, for as long as the context lasts.

    Raises:
        ObjectMissing: If the manifest or a shard is not there.
        IntegrityError: If the manifest or a shard was altered.
    """
    from pyarrow.parquet import read_metadata

    made = read_manifest(store, digest)
    with borrowed_shards(store, made.shards) as paths:
        yield _scanned(made, paths), [read_metadata(path) for path in paths] if made.encoding == "parquet" else None


def _scanned(made: Manifest, paths: Sequence[Path]) -> pl.LazyFrame:
    """Return the rows of a dataset whose shards lie at `paths`; columns that are packed by their names."""
    if made.encoding == "parquet":
        return pl.scan_parquet(list(paths), glob=False)
    names = packed_names(made.schema)
    columns = [
        column
        for field in made.schema
        for column in (
            [_packed_column(field, place).alias(name) for place, name in enumerate(names[field.name])]
            if field.name in names
            else [pl.col(field.name)]
        )
    ]
    return pl.scan_ipc(list(paths), glob=False).select(columns)


def _packed_column(field: "pa.Field", place: int) -> pl.Expr:
    values = pl.col(field.name).arr.get(place)
    if not holds_nulls(field):
        return values
    size_bytes = field.type.value_type.bit_width // 8
    bits = values.reinterpret(dtype=pl.UInt64 if size_bytes == 8 else pl.UInt32)
    return pl.when(bits != NULL_BITS[size_bytes]).then(values)


def arrow_table(frame: pl.DataFrame) -> "pa.Table":
    """Return `frame` with 32-bit string offsets, as a contract's schema has them."""
    import pyarrow as pa

    narrow = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    table = _plain(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
    schema = pa.schema([field.with_type(narrow.get(field.type, field.type)) for field in table.schema])
    return table.cast(schema)


def _plain(table: "pa.Table") -> "pa.Table":
    """Return `table` with dictionaries replaced by their values."""
    import pyarrow as pa

    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
