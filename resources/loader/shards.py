"""Owns the shards that a loader reads: files of Arrow or Parquet, cut where they were written in pieces.

A piece of an uncompressed Arrow file is mapped: opening it reads its footer alone. Any other is decoded when it is
opened. It knows neither stores nor orders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.mapping import Mapped
from resources.loader.soundness import check_schema, check_sound

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

_ARROW_MAGIC = b"ARROW1"
_PARQUET_MAGIC = (b"PAR1", b"PARE")
_UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises on files that are damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The rows of one shard.

    Attributes:
        batch: All of them; of a mapped file without a copy.
        file: Where their bytes lie on disk; None where they were decoded.
    """

    batch: pa.RecordBatch
    file: Mapped | None = None


class Shard(Protocol):
    """One shard; opening it twice gives the same rows."""

    @property
    def rows(self) -> int:
        """How many rows it has."""
        ...

    @property
    def name(self) -> str:
        """What people know it by."""
        ...

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return its rows, of decoded ones those columns only.

        Raises:
            LoaderError: If it is not what it was said to be.
        """
        ...


class PassingShard(Shard, Protocol):
    """One shard that has to be brought here, for who reads it for a while and lets go of it."""

    @property
    def size_bytes(self) -> int:
        """How many bytes have to be brought."""
        ...

    @property
    def at_once_bytes(self) -> int:
        """How many bytes of shards of its dataset may be on their way here at once; 0 means one after the other."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrowShard:
    """One record batch of an Arrow file.

    Attributes:
        path: Of the file.
        number: Of the batch within it.
        rows: How many it has.
    """

    path: Path
    number: int
    rows: int

    @property
    def name(self) -> str:
        """Path, and the batch where it is not the first."""
        return f"{self.path}, batch {self.number}" if self.number else str(self.path)

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return the batch, mapped unless its buffers are compressed; those columns can be read without a crash."""
        mapped = map_file(self.path)
        reader = arrow_reader(self.path, mapped)
        try:
            batch = reader.get_batch(self.number)
            check_sound(batch, columns)
        except _UNREADABLE as error:
            raise _unreadable(self.path, error) from None
        return _unchanged(self, Opened(batch=batch, file=mapped))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetShard:
    """One row group of a Parquet file.

    Attributes:
        path: Of the file.
        number: Of the group within it.
        rows: How many it has.
    """

    path: Path
    number: int
    rows: int

    @property
    def name(self) -> str:
        """Path, and the group where it is not the first."""
        return f"{self.path}, row group {self.number}" if self.number else str(self.path)

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return the group, decoded."""
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path, memory_map=False) as file:
                table = file.read_row_group(self.number, columns=columns, use_threads=False)
        except _UNREADABLE as error:
            raise _unreadable(self.path, error) from None
        return _unchanged(self, Opened(batch=in_one(table)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileShards:
    """What a file says of itself.

    Attributes:
        schema: Of its rows.
        shards: In the order of the rows.
        size_bytes: Bytes of its rows, about.
        footer: Of a Parquet file, whose row groups the shards are.
    """

    schema: pa.Schema
    shards: Sequence[Shard]
    size_bytes: int
    footer: "FileMetaData | None" = None


def shards_of(path: Path) -> FileShards:
    """Return the shards of a file of Arrow or Parquet, told from each other by their first bytes.

    Raises:
        LoaderError: If it cannot be read, or is neither.
    """
    mapped = map_file(path)
    head = mapped.buffer[: len(_ARROW_MAGIC)].to_pybytes()
    if head == _ARROW_MAGIC:
        return _arrow_shards(path, mapped)
    if head[:4] in _PARQUET_MAGIC:
        return _parquet_shards(path)
    raise LoaderError(
        f"{path} is neither an Arrow file nor Parquet, it begins with {head!r}: give files of these kinds, an Arrow "
        "stream written as a file, or a dataset of Penstock"
    )


def read_whole(path: Path, columns: Sequence[str] | None) -> Opened:
    """Return all rows of a file as one shard: mapped if it is an uncompressed Arrow file of one batch, else decoded.

    Raises:
        LoaderError: If it cannot be read.
    """
    found = shards_of(path)
    if len(found.shards) == 1:
        return found.shards[0].open(columns)
    parts = [shard.open(columns).batch for shard in found.shards]
    schema = parts[0].schema if parts else found.schema.remove_metadata()
    return Opened(batch=in_one(pa.Table.from_batches(parts, schema=schema)))


def read_memory(name: str, data: pa.Buffer, columns: Sequence[str] | None) -> Opened:
    """Return all rows of a file whose bytes are in memory as one shard: where they lie, unless they must be decoded.

    Args:
        name: What people know it by.
        data: Its bytes.
        columns: Which columns are needed.

    Raises:
        LoaderError: If it is neither Arrow nor Parquet.
    """
    try:
        if data[: len(_ARROW_MAGIC)].to_pybytes() == _ARROW_MAGIC:
            reader = pa.ipc.open_file(data)
            if reader.num_record_batches == 1:
                return Opened(batch=reader.get_batch(0))
            return Opened(batch=in_one(reader.read_all()))
        import pyarrow.parquet as pq

        with pq.ParquetFile(pa.BufferReader(data)) as file:
            return Opened(batch=in_one(file.read(columns=columns, use_threads=False)))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise LoaderError(f"cannot read {name}: {reason}; make the dataset again") from None


def _unchanged(shard: Shard, opened: Opened) -> Opened:
    if opened.batch.num_rows != shard.rows:
        raise LoaderError(
            f"{shard.name} has {opened.batch.num_rows:,} rows, {shard.rows:,} were counted: it changed meanwhile; "
            "load again"
        )
    return opened


def in_one(table: pa.Table) -> pa.RecordBatch:
    """Return the rows of `table`, each column in one piece."""
    table = table.replace_schema_metadata(None).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _arrow_shards(path: Path, mapped: Mapped) -> FileShards:
    reader = arrow_reader(path, mapped)
    try:
        check_schema(reader.schema)
        rows = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    shards = [ArrowShard(path=path, number=number, rows=count) for number, count in enumerate(rows)]
    return FileShards(schema=reader.schema, shards=shards, size_bytes=mapped.size_bytes)


def _parquet_shards(path: Path) -> FileShards:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            footer: FileMetaData = file.metadata
            schema = file.schema_arrow
            check_schema(schema)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    return FileShards(
        schema=schema,
        shards=[ParquetShard(path=path, number=number, rows=group.num_rows) for number, group in enumerate(groups)],
        size_bytes=sum(group.total_byte_size for group in groups),
        footer=footer,
    )


def map_file(path: Path) -> Mapped:
    """Return the mapped file at `path`.

    Raises:
        LoaderError: If it cannot be opened.
    """
    if path.exists() and not path.is_file():  # to open a pipe waits for its writer
        raise LoaderError(f"{path} is no regular file: give a file of Arrow or Parquet, or leave it out")
    try:
        return Mapped(path)
    except OSError as error:
        raise _unreadable(path, error) from None


def arrow_reader(path: Path, mapped: Mapped) -> pa.RecordBatchFileReader:
    """Return a reader over the map.

    Raises:
        LoaderError: If the file is no Arrow file.
    """
    try:
        return pa.ipc.open_file(mapped.buffer)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> LoaderError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
    return LoaderError(f"cannot read {path}: {reason}; restore the file, or leave it out")
