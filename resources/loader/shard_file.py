"""Owns the form of a shard that the loader maps: an Arrow file of one record batch, numbers at multiples of 64 bytes.

Any reader of Arrow opens it. pyarrow aligns what it writes to 8 bytes: a line of metadata pads the head of the file,
and columns of fixed width come first, of a multiple of 64 rows in every shard but the last.
"""

from pathlib import Path

import pyarrow as pa

from resources.loader.slabs import ALIGNMENT

_PADDING = "penstock.padding"
_STEP = 8


def write_shard(path: Path, batch: pa.RecordBatch) -> None:
    """Write `batch` as the new file `path`.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("xb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch, custom_metadata=_line(_missing(batch)))


def _missing(batch: pa.RecordBatch) -> int:
    """Return how long a line of metadata puts the first buffer of `batch` in its place."""
    few = batch.slice(0, min(batch.num_rows, ALIGNMENT))
    for length in range(0, 2 * ALIGNMENT, _STEP):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(few, custom_metadata=_line(length))
        if _start(sink.getvalue()) % ALIGNMENT == 0:
            return length
    return 0


def _start(written: pa.Buffer) -> int:
    """Return where the first buffer begins that holds anything."""
    columns = pa.ipc.open_file(written).get_batch(0).columns
    held = [buffer for column in columns for buffer in column.buffers() if buffer is not None and buffer.size]
    return min((buffer.address - written.address for buffer in held), default=0)


def _line(length: int) -> dict[str, str]:
    return {_PADDING: " " * length}
