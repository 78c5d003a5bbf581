"""Owns the writing of Parquet shards: equal rows become equal bytes, whatever batches they came in.

One thread encodes row groups, others hash, flush and store finished shards, so that the caller can read the next
batch meanwhile. The bytes still depend on the version of pyarrow, which every Parquet file names.
"""

import errno
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

from quality.contract.arrow import take
from resources.errors import ContractError, StoreError
from resources.storage.files import put_file
from resources.storage.grouping import RowGrouper, conformed
from resources.storage.manifest import Shard
from resources.storage.scratch import ScratchFolder
from resources.storage.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

ROWS_PER_SHARD = 1_000_000
SHARD_BYTES = 128 * 2**20
_WAITING_GROUPS = 3
_WAITING_SHARDS = 3
_SAMPLE_ROWS = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A stored shard and its Parquet footer."""

    shard: Shard
    footer: "FileMetaData"


class ShardWriter:
    """Turns batches into stored shards; `finish` returns them in row order, `discard` always cleans up."""

    def __init__(
        self, store: Store, schema: "pa.Schema", *, scratch: Path, rows_per_shard: int, max_shard_bytes: int
    ) -> None:
        if rows_per_shard < 1 or max_shard_bytes < 1:
            raise ValueError(f"a shard needs at least 1 row and 1 byte, got {rows_per_shard} and {max_shard_bytes}")
        self._schema = schema
        self._grouper = RowGrouper(schema, rows_per_shard=rows_per_shard)
        self._shards = _Shards(store, schema, scratch, rows_per_shard=rows_per_shard, max_shard_bytes=max_shard_bytes)
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="encode-shards")
        self._room = BoundedSemaphore(_WAITING_GROUPS)
        self._errors: list[BaseException] = []

    def write(self, batch: "pa.RecordBatch | pa.Table") -> None:
        """Append rows; encoding goes on in the background."""
        for group in self._grouper.add(conformed(batch, self._schema)):
            self._encode(group)

    def finish(self) -> tuple[Written, ...]:
        """Encode what is left and return all shards, stored and flushed."""
        for group in self._grouper.rest():
            self._encode(group)
        self._encoder.shutdown(wait=True)
        self._raise_error()
        return self._shards.finish()

    def discard(self) -> None:
        """Stop the threads and remove the scratch files; shards already stored stay, unnamed by any manifest."""
        self._encoder.shutdown(wait=True, cancel_futures=True)
        self._shards.discard()

    def _encode(self, group: "pa.Table") -> None:
        self._raise_error()
        self._room.acquire()
        self._encoder.submit(self._shards.add, group).add_done_callback(self._encoded)

    def _encoded(self, future: "Future[None]") -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._errors.append(error)
        self._room.release()

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors[0]


class _Shards:
    """The shard being written and those being stored; used by one thread at a time."""

    def __init__(
        self, store: Store, schema: "pa.Schema", scratch: Path, *, rows_per_shard: int, max_shard_bytes: int
    ) -> None:
        self._store = store
        self._schema = schema
        self._rows_per_shard = rows_per_shard
        self._max_shard_bytes = max_shard_bytes
        self._parent = scratch
        with _explained(scratch):
            self._scratch = ScratchFolder(scratch)
        # Two, so that one shard is hashed while another is uploaded.
        self._keeper = ThreadPoolExecutor(2, thread_name_prefix="store-shards")
        self._stored: list[Future[Written]] = []
        self._open: _OpenShard | None = None

    def add(self, group: "pa.Table") -> None:
        """Append one row group, closing the shard before or after it where it is full."""
        if self._open is not None and self._open.rows + group.num_rows > self._rows_per_shard:
            self._close()
        with _explained(self._parent):
            shard = self._open = self._open or self._new(group)
            shard.write(group)
        if shard.size_bytes >= self._max_shard_bytes:
            self._close()

    def finish(self) -> tuple[Written, ...]:
        """Close the last shard (an empty one if there were no rows) and wait until all are stored."""
        if not self._stored and self._open is None:
            with _explained(self._parent):
                self._open = self._new(self._schema.empty_table())
        self._close()
        written = tuple(future.result() for future in self._stored)
        self.discard()
        return written

    def discard(self) -> None:
        """Remove the scratch files."""
        self._keeper.shutdown(wait=True, cancel_futures=True)
        if self._open is not None:
            with suppress(OSError):
                self._open.close()
            self._open = None
        self._scratch.remove()

    def _new(self, first: "pa.Table") -> "_OpenShard":
        return _OpenShard(self._scratch.path / f"{len(self._stored):05d}.parquet", self._schema, first)

    def _close(self) -> None:
        if self._open is None:
            return
        with _explained(self._parent):
            self._open.close()
        shard, self._open = self._open, None
        self._stored.append(self._keeper.submit(self._keep, shard))
        if len(self._stored) > _WAITING_SHARDS:
            self._stored[-1 - _WAITING_SHARDS].result()  # scratch stays bounded where storing is slower than encoding

    def _keep(self, shard: "_OpenShard") -> Written:
        from pyarrow.parquet import read_metadata

        with _explained(self._parent):
            footer = read_metadata(shard.path)
            file = put_file(self._store, shard.path)
            shard.path.unlink()
        return Written(shard=Shard(file=file, rows=shard.rows), footer=footer)


class _OpenShard:
    """One Parquet file while row groups are appended to it."""

    def __init__(self, path: Path, schema: "pa.Schema", first: "pa.Table") -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        self.path = path
        self.rows = 0
        self._file = pa.OSFile(str(path), "wb")
        try:
            self._writer = ParquetWriter(
                self._file,
                schema,
                compression="zstd",
                compression_level=1,
                **_encodings(schema, first),
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise _unwritable(error) from error

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def write(self, group: "pa.Table") -> None:
        """Append one row group."""
        import pyarrow as pa

        # Page borders follow chunk borders, so chunks are joined first.
        joined = group.combine_chunks()
        try:
            self._writer.write_table(joined, row_group_size=max(1, joined.num_rows))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise _unwritable(error) from error
        self.rows += joined.num_rows

    def close(self) -> None:
        """Write the footer."""
        try:
            self._writer.close()
        finally:
            self._file.close()


def _encodings(schema: "pa.Schema", first: "pa.Table") -> dict[str, Any]:  # Any: arguments of ParquetWriter
    """Return how each column is encoded: quickly, and in few bytes.

    Whole numbers and clocks become differences, other columns that repeat themselves a dictionary, the rest plain
    values. pyarrow's default begins a dictionary for every column and gives it up when it is full, after the effort.
    """
    deltas = [field.name for field in schema if _is_whole(field.type)]
    plain = [
        field.name for field in schema if not (_is_whole(field.type) or field.type.num_fields or field.type == "bool")
    ]
    repetitive = _repetitive(first.select(plain))
    return {
        "use_dictionary": repetitive or False,
        "column_encoding": dict.fromkeys(deltas, "DELTA_BINARY_PACKED"),
    }


def _is_whole(kind: "pa.DataType") -> bool:
    """Return whether Parquet keeps `kind` as 32 or 64-bit integers."""
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_temporal(kind)


def _repetitive(group: "pa.Table") -> list[str]:
    """Return the columns whose values repeat themselves, as a sample spread over the rows tells."""
    step = max(1, group.num_rows // _SAMPLE_ROWS)
    sample = take(group, range(0, group.num_rows, step))
    return [name for name in group.column_names if 2 * len(sample.column(name).unique()) <= sample.num_rows]


def _unwritable(error: Exception) -> ContractError:
    return ContractError(f"rows cannot be written as Parquet: {error}; choose another column type")


@contextmanager
def _explained(scratch: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC or "No space left" in str(error)
        remedy = "free some space or choose another folder" if full else "make it a writable folder or choose another"
        reason = "the disk is full" if full else (error.strerror or str(error))
        raise StoreError(f"cannot write to scratch folder {scratch}: {reason}; {remedy} (PENSTOCK_SCRATCH)") from error
