"""Owns immutable datasets: Parquet shards and the manifest that names them.

The digest of the manifest is the version of the dataset. The manifest holds schema and ordered shards, nothing of where
they came from. It is stored last: no manifest, no dataset. (BLAKE3 is itself a Merkle tree over 1 KiB chunks, so parts
of a shard can be verified against its digest later without a new version.)
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from resources.canonical import canonical_json, digest_bytes, parse_json
from resources.errors import IntegrityError
from resources.refs import DatasetRef
from resources.storage.grouping import plain_schema
from resources.storage.objects import borrowed, get_object, object_path, put_object
from resources.storage.store import Store
from resources.storage.writer import ROWS_PER_SHARD, SHARD_BYTES, Shard, ShardWriter

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

__all__ = ["Manifest", "Shard", "SnapshotWriter", "manifest", "read_frame", "scan", "write_table"]

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a dataset is made of.

    Attributes:
        schema: Arrow schema of every shard.
        shards: In row order; an empty dataset has one shard without rows.
        rows: Rows of all shards.
        size_bytes: Bytes of all shards.
    """

    schema: "pa.Schema"
    shards: tuple[Shard, ...]
    rows: int
    size_bytes: int


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
        """Store the manifest and return the reference to the dataset."""
        shards = self._shards.finish()
        encoded = bytes(self._schema.serialize())
        value = {
            "format": FORMAT,
            "kind": "dataset",
            "schema": base64.b64encode(encoded).decode(),
            "shards": [asdict(shard) for shard in shards],
        }
        return DatasetRef(
            digest=put_object(self._store, canonical_json(value)),
            location=self._store.url,
            schema_fingerprint=digest_bytes(encoded),
            rows=sum(shard.rows for shard in shards),
            size_bytes=sum(shard.size_bytes for shard in shards),
            partitions=tuple(partitions),
            profile_digest=profile_digest,
            quarantine_digest=quarantine_digest,
            report_digest=report_digest,
        )


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
    arrow = _to_arrow(table) if isinstance(table, pl.DataFrame) else _plain(table)
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


def manifest(store: Store, digest: str) -> Manifest:
    """Return the manifest of the dataset `digest`.

    Raises:
        ObjectMissing: If the store has no such object.
        IntegrityError: If it was altered, or is not a dataset manifest.
    """
    import pyarrow as pa

    data = get_object(store, digest)
    try:
        value = parse_json(data)
        if value["kind"] != "dataset" or value["format"] != FORMAT:
            raise ValueError(f"kind {value['kind']!r}, format {value['format']!r}")
        shards = tuple(Shard(**shard) for shard in value["shards"])
        encoded = base64.b64decode(value["schema"], validate=True)
        schema = pa.ipc.read_schema(pa.py_buffer(encoded))
    except (ValueError, KeyError, TypeError, binascii.Error, pa.ArrowException) as error:
        raise IntegrityError(
            f"object {digest} in store {store.url} is no dataset manifest of format {FORMAT}: {error}; "
            "give the digest of a dataset, or materialize it again with this version"
        ) from error
    return Manifest(
        schema=schema,
        shards=shards,
        rows=sum(shard.rows for shard in shards),
        size_bytes=sum(shard.size_bytes for shard in shards),
    )


def scan(store: Store, digest: str) -> pl.LazyFrame:
    """Return the dataset `digest` as a lazy frame over its verified shards.

    It may be collected at any time, so shards in the host's cache stay there until this process ends; `read_frame`
    gives them back.

    Raises:
        ObjectMissing: If the manifest or a shard is not there.
        IntegrityError: If the manifest or a shard was altered.
    """
    paths = [object_path(store, shard.digest) for shard in manifest(store, digest).shards]
    return pl.scan_parquet(paths, glob=False)


def read_frame(store: Store, digest: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the dataset `digest`, or some of its columns, in memory."""
    with borrowed(store, [shard.digest for shard in manifest(store, digest).shards]) as paths:
        frame = pl.scan_parquet(paths, glob=False)
        return (frame if columns is None else frame.select(columns)).collect()


def _to_arrow(frame: pl.DataFrame) -> "pa.Table":
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
