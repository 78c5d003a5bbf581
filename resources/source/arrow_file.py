"""Owns the reading of Arrow IPC, the file and the stream format, of files that nobody vouches for.

A record batch may be as large as the file, so the file is mapped, from a private copy that nobody else can cut short,
and mapped pages are handed back as rows are done. A compressed batch is decompressed as a whole: its memory is not
bounded.
"""

import mmap
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from quality.contract import Contract, check_schema
from resources.source.location import redacted
from resources.source.parquet_file import TableBlock, batch_rows, copied, damage_errors
from resources.source.reading import Reading, Room
from resources.source.spec import Source

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"ARROW1"


@contextmanager
def open_arrow(source: Source, url: str, contract: Contract, room: Room) -> Generator[Reading]:
    """Open an Arrow IPC file or stream and check its schema."""
    del source
    with ExitStack() as stack:
        path, digest = stack.enter_context(copied(url, room.scratch))
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with damage_errors(url):
            schema, batches = _open(mapped)
        check_schema(schema, contract, source=redacted(url))
        yield Reading(blocks=_slices(batches, mapped, (contract, room), url), digest=lambda: digest)


def _open(mapped: mmap.mmap) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    import pyarrow as pa

    buffer = pa.BufferReader(pa.py_buffer(mapped))
    if mapped[: len(_MAGIC)] == _MAGIC:
        file = pa.ipc.open_file(buffer)
        return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
    stream = pa.ipc.open_stream(buffer)
    return stream.schema, iter(stream)


def _slices(
    batches: "Iterator[pa.RecordBatch]", mapped: mmap.mmap, wanted: tuple[Contract, Room], url: str
) -> Iterator[TableBlock]:
    import pyarrow as pa

    contract, room = wanted
    names = list(contract.columns)
    with damage_errors(url):
        for batch in batches:
            table = pa.Table.from_batches([batch]).select(names)
            rows = batch_rows(len(table), table.get_total_buffer_size(), room)
            for start in range(0, len(table), rows):
                yield TableBlock(table=table.slice(start, rows), url=url)
                _release(mapped)
            if not len(table):
                yield TableBlock(table=table, url=url)


def _release(mapped: mmap.mmap) -> None:
    """Hand mapped pages back; what is still needed of them is mapped again from the file."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
