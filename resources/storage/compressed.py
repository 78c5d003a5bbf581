"""Owns compressed shards: Arrow files whose buffers are compressed, each of which stands for one plain file.

Any reader of Arrow opens a compressed shard. The metadata of its footer hold what lies around the buffers of the plain
file, and where these begin in it, so that the plain file comes back byte for byte, whatever a later release of pyarrow
writes: its digest may be relied on for good.
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from resources.canonical import parse_json
from resources.storage.content import BLOCK_BYTES, Tree, block_digests

if TYPE_CHECKING:
    import pyarrow as pa

Codec = Literal["lz4", "zstd"]
CODECS: tuple[Codec, ...] = ("lz4", "zstd")
"""In the order of their numbers in the Arrow format (CompressionType of Message.fbs)."""
PLAIN = b"penstock.plain"
"""Key of the metadata of the footer that the plain file comes back by."""
_MAGIC_BYTES = 8  # of an Arrow file, padding included; a stream of messages follows
_PIECE_BYTES = 4 * BLOCK_BYTES
"""Bytes that are decompressed at a time: they are hashed while the caches of the processor hold them."""
_STORED = -1  # in the place of its length: a buffer that was not compressed, since that would not make it smaller
_LENGTH = struct.Struct("<q")


def compress(plain: Path, path: Path, codec: Codec) -> None:
    """Write the shard in the file `plain`, compressed, as the new file `path`.

    Args:
        plain: An Arrow file of one record batch without dictionaries, not compressed.
        path: The file to write.
        codec: What its buffers are compressed by.

    Raises:
        ValueError: If `plain` is something else, or pyarrow does not compress it buffer by buffer.
        OSError: If a file cannot be read or written.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(str(plain)) as source:
            data = source.read_buffer()
            found = _Batch.of(data)
            _write(pa.ipc.open_file(data).get_batch(0), path, codec, _around(data, found))
        with pa.memory_map(str(path)) as written:
            lengths = [_length(buffer) for buffer in _Batch.of(written.read_buffer()).buffers]
    except pa.ArrowException as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    if lengths != [buffer.size for buffer in found.buffers]:
        raise ValueError("its buffers were not compressed one by one")


def _write(batch: "pa.RecordBatch", path: Path, codec: Codec, around: bytes) -> None:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression=codec)
    with (
        path.open("xb") as file,
        pa.ipc.new_file(file, batch.schema, options=options, metadata={PLAIN: around}) as writer,
    ):
        writer.write_batch(batch)


def expand(data: "pa.Buffer", target: memoryview) -> str:
    """Fill `target` with the plain file that a compressed shard stands for, and return the digest of that.

    Args:
        data: Bytes of the compressed shard.
        target: Memory of the size of the plain file.

    Raises:
        ValueError: If it is no compressed shard, or one of a file of another size.
    """
    import pyarrow as pa

    try:
        around = parse_json((pa.ipc.open_file(data).metadata or {})[PLAIN])
        head, tail = (base64.b64decode(around[name], validate=True) for name in ("head", "tail"))
        found, into = _Batch.of(data), _Landing(target)
        into.put(head)
        for start, buffer in zip(around["starts"], found.buffers, strict=True):
            into.clear(len(head) + start)
            _unfold(buffer, found.codec, into)
        into.clear(len(target) - len(tail))
        into.put(tail)
        return into.digest()
    except (pa.ArrowException, OSError, LookupError, TypeError, AttributeError, struct.error, binascii.Error) as error:
        raise ValueError(str(error).partition("\n")[0]) from None


@dataclass(frozen=True, slots=True)
class _Batch:
    """The body of the one record batch of an Arrow file.

    Attributes:
        start: Where it begins in the file.
        size_bytes: How long it is.
        codec: What its buffers are compressed by; None for plain ones.
        starts: Where each begins in the body.
        buffers: Those that hold anything, as they lie there.
    """

    start: int
    size_bytes: int
    codec: str | None
    starts: list[int]
    buffers: "list[pa.Buffer]"

    @classmethod
    def of(cls, data: "pa.Buffer") -> "_Batch":
        """Return that of the file whose bytes are `data`."""
        import pyarrow as pa

        messages = list(pa.ipc.MessageReader.open_stream(pa.BufferReader(data.slice(_MAGIC_BYTES))))
        if [message.type for message in messages] != ["schema", "record batch"]:
            raise ValueError("it is no Arrow file of one record batch without dictionaries")
        body = messages[1].body
        codec, places = _told(memoryview(messages[1].metadata))
        held = [(start, size) for start, size in places if size]
        return cls(
            start=body.address - data.address,
            size_bytes=body.size,
            codec=codec,
            starts=[start for start, _ in held],
            buffers=[body.slice(start, size) for start, size in held],
        )


def _told(metadata: memoryview) -> tuple[str | None, list[tuple[int, int]]]:
    """Return codec and buffers (start and bytes) of a record batch, as its message tells.

    A message is a FlatBuffer (Message.fbs of the Arrow format): a table begins with the distance back to the list of
    the places of its fields, which are 0 for what is not there.
    """
    root = _number("<I", metadata, 0)
    header = _follow(metadata, _field(metadata, root, 2))
    at = _follow(metadata, _field(metadata, header, 2))
    count = _number("<I", metadata, at)
    places = [struct.unpack_from("<qq", metadata, at + 4 + 16 * number) for number in range(count)]
    compression = _field(metadata, header, 3)
    if not compression:
        return None, places
    kind = _field(metadata, _follow(metadata, compression), 0)
    return CODECS[_number("<b", metadata, kind) if kind else 0], places


def _field(metadata: memoryview, table: int, number: int) -> int:
    """Return where a field of a table lies; 0 if it is not there."""
    places = table - _number("<i", metadata, table)
    if 4 + 2 * number >= _number("<H", metadata, places):
        return 0
    distance = _number("<H", metadata, places + 4 + 2 * number)
    return table + distance if distance else 0


def _follow(metadata: memoryview, at: int) -> int:
    return at + _number("<I", metadata, at)


def _number(kind: str, metadata: memoryview, at: int) -> int:
    return struct.unpack_from(kind, metadata, at)[0]


def _around(data: "pa.Buffer", found: _Batch) -> bytes:
    """Return what brings a plain file back, as text: other readers of Arrow may take metadata for such."""
    parts = {"head": data.slice(0, found.start), "tail": data.slice(found.start + found.size_bytes)}
    texts = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    return json.dumps({"starts": found.starts, **texts}).encode()


def _length(buffer: "pa.Buffer") -> int:
    """Return how many bytes a compressed buffer stands for."""
    found = _LENGTH.unpack_from(buffer)[0]
    return buffer.size - _LENGTH.size if found == _STORED else found


def _unfold(buffer: "pa.Buffer", codec: str | None, into: "_Landing") -> None:
    """Put what a buffer stands for where the file goes on."""
    import pyarrow as pa

    if codec is None:
        raise ValueError("its buffers are not compressed")
    packed = buffer.slice(_LENGTH.size)
    if _LENGTH.unpack_from(buffer)[0] == _STORED:
        into.put(memoryview(packed))
        return
    stream = pa.CompressedInputStream(pa.BufferReader(packed), codec)
    for piece in into.pieces(_length(buffer)):
        filled = 0
        while filled < len(piece):
            count = stream.readinto(piece[filled:])
            if not count:
                raise ValueError("a buffer ends early")
            filled += count


class _Landing:
    """Memory that is filled from its beginning on, and hashed as it is."""

    def __init__(self, target: memoryview) -> None:
        self._target = target
        self._at = 0
        self._hashed = 0
        self._blocks: list[bytes] = []

    def pieces(self, size_bytes: int) -> Iterator[memoryview]:
        """Yield the next so many bytes piece by piece, each to be filled before the next is asked for."""
        end = self._at + size_bytes
        if size_bytes < 0 or end > len(self._target):
            raise ValueError(f"it stands for more than {len(self._target):,} bytes")
        while self._at < end:
            stop = min(self._at + _PIECE_BYTES, end)
            yield self._target[self._at : stop]
            self._at = stop
            self._hash(stop // BLOCK_BYTES * BLOCK_BYTES)

    def put(self, data: "bytes | memoryview") -> None:
        """Append bytes."""
        taken = 0
        for piece in self.pieces(len(data)):
            piece[:] = data[taken : taken + len(piece)]
            taken += len(piece)

    def clear(self, end: int) -> None:
        """Append zeros up to the byte `end`."""
        for piece in self.pieces(end - self._at):
            piece[:] = bytes(len(piece))

    def digest(self) -> str:
        """Return the digest of the file, of which nothing is missing."""
        size_bytes = len(self._target)
        if self._at != size_bytes:
            raise ValueError(f"it stands for {self._at:,} bytes, not for {size_bytes:,}")
        if self._hashed < size_bytes:
            self._hash(size_bytes)
        return Tree(size_bytes=size_bytes, blocks=b"".join(self._blocks)).root

    def _hash(self, stop: int) -> None:
        if stop > self._hashed:
            self._blocks.append(block_digests(self._target[self._hashed : stop]))
            self._hashed = stop
