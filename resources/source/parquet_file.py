"""Owns the reading of Parquet, batch by batch, of files that nobody vouches for.

pyarrow reads them without a memory map: a map of a file that is cut short meanwhile kills the process. Every batch is
validated in full, so that no invalid text or offset goes further.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from quality.contract import Contract, check_schema
from quality.contract.rows import render
from resources.errors import SourceError
from resources.source.copies import private_copy
from resources.source.location import local_path, plain_errors, redacted
from resources.source.raw import PIECE_BYTES, open_raw
from resources.source.reading import Parsed, Reading, Room
from resources.source.spec import COMPRESSIONS, Source

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_MOST_ROWS = 65_536
_LEAST_ROWS = 16
_BUFFER_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBlock:
    """Rows that the file itself types."""

    table: "pa.Table"
    url: str

    def parse(self) -> Parsed:
        """Return the rows, once they are known to be sound."""
        with damage_errors(self.url):
            self.table.validate(full=True)
        return Parsed(table=self.table, texts=lambda rows: render(self.table, rows))


@contextmanager
def open_parquet(source: Source, url: str, contract: Contract, room: Room) -> Generator[Reading]:
    """Open a Parquet file and check its schema; one that is not a plain local file is copied first."""
    del source
    from pyarrow import parquet

    with ExitStack() as stack:
        path, digest = stack.enter_context(local_file(url, room.scratch))
        with damage_errors(url):
            # Buffers read ahead are kept until the last batch: with them, memory grows by the size of the file.
            file = stack.enter_context(
                parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, memory_map=False, pre_buffer=False)
            )
            schema = file.schema_arrow
        check_schema(schema, contract, source=redacted(url))
        yield Reading(blocks=_batches(file, contract, url, room), digest=digest)


@contextmanager
def local_file(url: str, scratch: Path) -> Generator[tuple[Path, Callable[[], str]]]:
    """Return a local file with the bytes at `url`, and a function that gives their digest.

    A plain local file is read in place and hashed in a thread beside. Anything else is copied to `scratch`.

    Raises:
        SourceError: If there is no such file, it is empty, or it cannot be read.
    """
    path = local_path(url)
    with ExitStack() as stack:
        stack.enter_context(plain_errors(url))
        if path is None or path.suffix in COMPRESSIONS:
            path, found = stack.enter_context(copied(url, scratch))
            yield path, lambda: found
        else:
            with path.open("rb") as file:
                if not file.read(1):
                    raise SourceError(f"{redacted(url)} is empty: put the rows there, or correct the URL")
            hashing = _Hashing(path)
            stack.callback(hashing.stop)
            yield path, hashing.digest


@contextmanager
def copied(url: str, scratch: Path) -> Generator[tuple[Path, str]]:
    """Return a copy of the file at `url` in `scratch`, decompressed, and the digest of the original bytes."""
    with open_raw(url, scratch=scratch) as (raw, file), private_copy(file, scratch) as path:
        if not path.stat().st_size:
            raise SourceError(f"{redacted(url)} is empty: put the rows there, or correct the URL")
        yield path, raw.digest()


@contextmanager
def damage_errors(url: str) -> Generator[None]:
    """Turn what pyarrow raises on a malformed file into a `SourceError`."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        if isinstance(error, SourceError | FileNotFoundError | PermissionError):
            raise
        brief = str(error).partition("\n")[0][:200]
        raise SourceError(
            f"{redacted(url)} is truncated, damaged, or of another format ({brief}): fetch it again, or correct format"
        ) from error


def batch_rows(rows: int, size_bytes: int, room: Room) -> int:
    """Return how many rows make a batch of the size that there is room for, from what the file says of itself."""
    width = max(1, size_bytes) / max(1, rows)
    return max(_LEAST_ROWS, min(_MOST_ROWS, int(room.block_bytes / width)))


def _batches(file: "ParquetFile", contract: Contract, url: str, room: Room) -> Iterator[TableBlock]:
    import pyarrow as pa

    meta = file.metadata
    size_bytes = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
    with damage_errors(url):
        # Threads of pyarrow's own, one per column of each small batch, take longer and more CPU time than none.
        batches = file.iter_batches(
            batch_size=batch_rows(meta.num_rows, size_bytes, room), columns=list(contract.columns), use_threads=False
        )
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            yield TableBlock(table=pa.Table.from_batches([batch]).select(list(contract.columns)), url=url)

    if rows != meta.num_rows:
        raise SourceError(f"{redacted(url)} has {rows:,} rows, its footer says {meta.num_rows:,}: fetch it again")


class _Hashing:
    """Hashes a file in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hasher = blake3()
        self._stopped = False
        self._failure: list[OSError] = []
        self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
        self._thread.start()

    def digest(self) -> str:
        """Return the digest, once the whole file is hashed."""
        self._thread.join()
        if self._failure:
            raise self._failure[0]
        return self._hasher.hexdigest()

    def stop(self) -> None:
        """End the thread, whatever is still to be hashed."""
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                buffer = bytearray(PIECE_BYTES)
                while not self._stopped and (size := file.readinto(buffer)):
                    self._hasher.update(memoryview(buffer)[:size])
        except OSError as error:
            self._failure.append(error)
