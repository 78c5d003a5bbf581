"""Owns the reading of a whole file of a foreign folder: checked, and decompressed within bounds."""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.foreign.cells import damaged
from resources.loader.shards import map_file

MOST_BYTES = 2**32
"""Both formats count the bytes of a file by 32 bits."""
_CODECS = {"zstd": "zstd", "gz": "gzip", "br": "brotli", "bz2": "bz2", "snappy": "snappy"}
_PIECE_BYTES = 2**20


def inside(folder: Path, name: object, index: Path) -> Path:
    """Return the path of a file that an index names.

    Raises:
        LoaderError: If it names none, or one outside its folder.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not parts or ".." in parts or PurePosixPath(str(name)).is_absolute() or "\0" in str(name):
        raise LoaderError(f"{index} names the file {name!r}: a path within the folder is needed; {_REMEDY}")
    return folder.joinpath(*parts)


_REMEDY = "restore the index, or write the folder again"


def read(path: Path, *, size_bytes: int | None, hashes: Mapping[str, str] | None = None) -> pa.Buffer:
    """Return the bytes of a file, mapped.

    Args:
        path: Of the file.
        size_bytes: How long it must be; None if nobody knows.
        hashes: Hexadecimal digests by their algorithm; those that the standard library lacks are passed over.

    Raises:
        LoaderError: If it cannot be read, or is not what it was.
    """
    data = map_file(path).buffer
    if size_bytes is not None and data.size != size_bytes:
        raise damaged(str(path), f"it has {data.size:,} bytes, the index says {size_bytes:,}")
    for algorithm, expected in (hashes or {}).items():
        if algorithm in hashlib.algorithms_guaranteed and not algorithm.startswith("shake"):
            found = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
            if found != expected:
                raise damaged(str(path), f"its {algorithm} is {found}, the index says {expected}")
    return data


def check_codec(compression: object, index: Path) -> str:
    """Return the codec of a compression such as `zstd:7`.

    Raises:
        LoaderError: If it is not among those that Penstock reads.
    """
    name = str(compression).partition(":")[0]
    if name not in _CODECS or not pa.Codec.is_available(_CODECS[name]):
        raise LoaderError(
            f"{index} says compression {compression!r}, of which Penstock reads {', '.join(_CODECS)}: write the "
            "folder again with one of these, or without"
        )
    return name


def decompressed(data: pa.Buffer, codec: str, *, size_bytes: int | None, name: str) -> pa.Buffer:
    """Return the bytes that `data` was compressed from.

    Args:
        data: Compressed bytes.
        codec: Of `check_codec`.
        size_bytes: How long they must be; None if nobody knows, then `MOST_BYTES` at most.
        name: Of the file, for people.

    Raises:
        LoaderError: If `data` is damaged, or holds more or fewer bytes.
    """
    most = MOST_BYTES if size_bytes is None else size_bytes
    try:
        if codec == "snappy":  # it has no stream; its head says how long it is
            whole = pa.Codec("snappy").decompress(data, decompressed_size=most)
        else:
            whole = _streamed(data, _CODECS[codec], most)
    except (pa.ArrowException, OSError, EOFError, MemoryError) as error:
        raise damaged(name, f"{codec} cannot be decompressed: {str(error).partition(chr(10))[0]}") from None
    if whole.size > most or size_bytes not in (None, whole.size):
        more = "more than" if whole.size > most else f"{whole.size:,} instead of"
        raise damaged(name, f"decompressed it has {more} {most:,} bytes")
    return whole


def _streamed(data: pa.Buffer, codec: str, most: int) -> pa.Buffer:
    """Return what the stream gives, up to one byte more than `most`."""
    sink = pa.BufferOutputStream()
    left = most + 1
    with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
        while left > 0 and (piece := stream.read(min(left, _PIECE_BYTES))):
            sink.write(piece)
            left -= len(piece)
    return sink.getvalue()
