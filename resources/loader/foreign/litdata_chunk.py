"""Owns the bytes of one chunk of LitData: plain, compressed as a whole, by sample or by frames of samples, or Arrow."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.foreign.cells import Cells, damaged
from resources.loader.foreign.files import MOST_BYTES, decompressed, read
from resources.loader.foreign.offsets import WORD, between, samples

_ARROW_TAIL = b"LDARW01\0"
_FRAMED_HEAD = b"LDFZ01\0\0"
_PREFIX = struct.Struct("<8sHHIII")  # magic, version, flags, samples, samples a frame, frames
_FRAME = np.dtype([("first", "<u4"), ("rows", "<u4"), ("start", "<u8"), ("size", "<u4"), ("raw_size", "<u4")])
_FRAMED_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFile:
    """A chunk, as the index lists it.

    Attributes:
        path: Of the file.
        rows: Samples in it.
        size_bytes: How long it is, where it was compressed as a whole: before that.
        codec: Of its compression, if it is compressed.
        level: What was compressed: chunk, batch or sample.
    """

    path: Path
    rows: int
    size_bytes: int
    codec: str | None
    level: str

    def data(self) -> pa.Buffer:
        """Return its bytes, decompressed if it was compressed as a whole.

        Raises:
            LoaderError: If it is missing or damaged.
        """
        if self.codec is None or self.level != "chunk":
            return read(self.path, size_bytes=self.size_bytes)
        return decompressed(
            read(self.path, size_bytes=None), self.codec, size_bytes=self.size_bytes, name=str(self.path)
        )


def holds_arrow(data: pa.Buffer) -> bool:
    """Return whether the bytes of a chunk end in rows of Arrow."""
    return data[max(data.size - len(_ARROW_TAIL), 0) :].to_pybytes() == _ARROW_TAIL


def sample_cells(file: ChunkFile) -> Cells:
    """Return where the samples of a chunk lie.

    Raises:
        LoaderError: If it is missing, damaged, or holds Arrow.
    """
    data, name = file.data(), str(file.path)
    if holds_arrow(data):
        raise LoaderError(f"{name} holds Arrow, the first chunk of the folder does not: write the folder again")
    if data[: min(data.size, len(_FRAMED_HEAD))].to_pybytes() == _FRAMED_HEAD:
        return _framed(file, data)
    found = samples(data, file.rows, name)
    return _of_samples(found, file.codec) if file.codec is not None and file.level == "sample" else found


def arrow_schema(file: ChunkFile) -> pa.Schema:
    """Return the schema of the rows of a chunk that holds Arrow.

    Raises:
        LoaderError: If it is damaged, or does not.
    """
    return _reader(file).schema


def arrow_table(file: ChunkFile, schema: pa.Schema) -> pa.Table:
    """Return the rows of a chunk that holds Arrow, in the types of `schema`, missing columns as nulls.

    Raises:
        LoaderError: If it is damaged, or does not.
    """
    try:
        table = _reader(file).read_all()
        table.validate(full=True)  # nothing vouches for the bytes, and Arrow reads where offsets point
        columns = [
            table.column(field.name).cast(field.type)
            if field.name in table.column_names
            else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
            for field in schema
        ]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise damaged(str(file.path), str(error).partition("\n")[0]) from None
    if table.num_rows != file.rows:
        raise damaged(str(file.path), f"it holds {table.num_rows:,} samples, the index says {file.rows:,}")
    return pa.Table.from_arrays(columns, schema=schema)


def _reader(file: ChunkFile) -> pa.RecordBatchFileReader:
    data, name = file.data(), str(file.path)
    if not holds_arrow(data):
        raise LoaderError(f"{name} holds no Arrow, the first chunk of the folder does: write the folder again")
    end = data.size - len(_ARROW_TAIL) - WORD
    size = int(np.frombuffer(data[max(end, 0) :], "<u4", 1)[0]) if end >= 0 else MOST_BYTES
    if size > end:
        raise damaged(name, f"its Arrow has {size:,} bytes, the file has {data.size:,}")
    try:
        reader = pa.ipc.open_file(data[end - size : end])
        _names(list(reader.schema))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise damaged(name, str(error).partition("\n")[0]) from None
    return reader


def _names(fields: Sequence[pa.Field]) -> list[str]:
    """Return the names of fields and of those within them; raises UnicodeDecodeError if one is no text."""
    names = [field.name for field in fields]
    for field in fields:
        names += _names([field.type.field(number) for number in range(field.type.num_fields)])
    return names


def _of_samples(packed: Cells, codec: str) -> Cells:
    """Return the samples of `packed`, each of which was compressed alone."""
    parts: list[pa.Buffer] = []
    total = 0
    for number, (start, length) in enumerate(zip(packed.starts.tolist(), packed.lengths.tolist(), strict=True)):
        name = f"{packed.name}, sample {number}"
        parts.append(decompressed(packed.data[start : start + length], codec, size_bytes=None, name=name))
        total += parts[-1].size
        if total >= MOST_BYTES:
            raise damaged(packed.name, f"decompressed it has more than {MOST_BYTES:,} bytes")
    lengths = np.array([part.size for part in parts], np.int64)
    return Cells(data=_joined(parts), starts=np.cumsum(lengths) - lengths, lengths=lengths, name=packed.name)


def _framed(file: ChunkFile, data: pa.Buffer) -> Cells:
    """Return the samples of a chunk whose samples were compressed some at a time."""
    name = str(file.path)
    if data.size < _PREFIX.size:
        raise damaged(name, f"it has {data.size} bytes, its head has {_PREFIX.size}")
    _, version, _, count, _, frames = _PREFIX.unpack_from(data)
    if version != _FRAMED_VERSION:
        raise LoaderError(f"{name} is of version {version}, Penstock reads {_FRAMED_VERSION}: write the folder again")
    head = _PREFIX.size + WORD * (count + 1)
    if count != file.rows or data.size < head + _FRAME.itemsize * frames:
        raise damaged(name, f"it holds {count:,} samples in {frames:,} frames, the index says {file.rows:,} samples")
    bounds = np.frombuffer(data, "<u4", count + 1, _PREFIX.size)
    parts: list[pa.Buffer] = []
    for frame in np.frombuffer(data, _FRAME, frames, head):
        start, stop = int(frame["start"]), int(frame["start"]) + int(frame["size"])
        if stop > data.size:
            raise damaged(name, f"a frame lies from byte {start:,} to {stop:,}, it has {data.size:,}")
        parts.append(decompressed(data[start:stop], file.codec or "zstd", size_bytes=int(frame["raw_size"]), name=name))
    whole = _joined(parts)
    return between(whole, bounds, 0, whole.size, name)


def _joined(parts: Sequence[pa.Buffer]) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    for part in parts:
        sink.write(part)
    return sink.getvalue()
