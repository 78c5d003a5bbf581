"""Owns what identifies the bytes of a file: a Merkle root over its 4 MiB chunks, and the MD5 that DVC calls it by.

A file is cut into chunks of 4 MiB, a chunk into blocks of 64 KiB. The digest of a block is its BLAKE3-256. The digest
of a chunk is BLAKE3 in key-derivation mode over the digests of its blocks, that of a file the same over its size and
the digests of its chunks; one that has a single part has the digest of that part. So a file of up to 64 KiB is named
by its plain BLAKE3 digest, chunks are verified in any order and by any number of threads, and a read of some KB is
verified by the blocks that it touches. MD5 is what DVC's layout needs; nothing here trusts it.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from resources.canonical import DIGEST_LENGTH, is_hex

BLOCK_BYTES = 64 * 2**10
CHUNK_BYTES = 4 * 2**20
DIGEST_BYTES = 32
_BLOCKS = CHUNK_BYTES // BLOCK_BYTES
_CHUNK_CONTEXT = "penstock 2026-11 digest of a chunk from those of its blocks"
_FILE_CONTEXT = "penstock 2026-11 digest of a file from its size and those of its chunks"
_MD5_LENGTH = 32
_READERS, _READ_BLOCKS = 4, 4

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """Names the bytes of a file, and where every store keeps them.

    Attributes:
        digest: Merkle root of the bytes, 64 hex digits.
        md5: Their MD5, 32 hex digits, by which DVC finds them.
        size_bytes: How many they are.
    """

    digest: str
    md5: str
    size_bytes: int

    def __post_init__(self) -> None:
        for name, text, length in (("digest", self.digest, DIGEST_LENGTH), ("md5", self.md5, _MD5_LENGTH)):
            if len(text) != length or not is_hex(text):
                raise ValueError(f"{name} must be {length} lower-case hex digits, got {text!r}")
        if self.size_bytes < 0:
            raise ValueError(f"size_bytes must not be negative, got {self.size_bytes}")

    @property
    def key(self) -> str:
        """Key in every store: that of a DVC remote."""
        return f"files/md5/{self.md5[:2]}/{self.md5[2:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The digests of the blocks of one file.

    Attributes:
        size_bytes: Bytes of the file.
        blocks: Digests of its blocks, 32 bytes each, in order.
    """

    size_bytes: int
    blocks: bytes

    @property
    def root(self) -> str:
        """Digest of the file."""
        return root_of([self.chunk(number) for number in range(chunk_count(self.size_bytes))], self.size_bytes)

    def chunk(self, number: int) -> bytes:
        """Return the digest of a chunk."""
        start = number * _BLOCKS * DIGEST_BYTES
        return _joined(_CHUNK_CONTEXT, self.blocks[start : start + _BLOCKS * DIGEST_BYTES])

    def block(self, number: int) -> bytes:
        """Return the digest of a block."""
        return self.blocks[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]


def chunk_count(size_bytes: int) -> int:
    """Return how many chunks a file has; an empty one has one."""
    return max(1, -(-size_bytes // CHUNK_BYTES))


def block_digests(data: Bytes) -> bytes:
    """Return the digests of the blocks of `data`, one after the other.

    Args:
        data: Bytes from the beginning of a block.
    """
    view = memoryview(data)
    starts = range(0, max(1, len(view)), BLOCK_BYTES)
    return b"".join(blake3(view[start : start + BLOCK_BYTES]).digest() for start in starts)


def chunk_digest(data: Bytes) -> bytes:
    """Return the digest of one chunk, 32 bytes."""
    return _joined(_CHUNK_CONTEXT, block_digests(data))


def root_of(chunks: Sequence[bytes], size_bytes: int) -> str:
    """Return the digest of a file whose chunks have these digests, 64 hex digits."""
    if len(chunks) == 1:
        return chunks[0].hex()
    hasher = blake3(derive_key_context=_FILE_CONTEXT)
    hasher.update(size_bytes.to_bytes(8, "little"))
    return hasher.update(b"".join(chunks)).hexdigest()


class Description:
    """Makes what names a file while the file is being written, piece by piece."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._blocks: list[bytes] = []
        self._rest = b""  # of a block that has only begun
        self._size_bytes = 0

    def update(self, data: Bytes) -> None:
        """Append `data`, of any length."""
        self._size_bytes += len(data)
        for piece in _pieces(memoryview(self._rest + data if self._rest else data)):
            whole = len(piece) // BLOCK_BYTES * BLOCK_BYTES
            if whole:
                self._add(piece[:whole])
            self._rest = bytes(piece[whole:])

    def finish(self) -> tuple[StoredFile, Tree]:
        """Return what names all bytes, and the digests of their blocks."""
        if self._rest or not self._blocks:
            self._add(memoryview(self._rest))
        tree = Tree(size_bytes=self._size_bytes, blocks=b"".join(self._blocks))
        return StoredFile(digest=tree.root, md5=self._md5.hexdigest(), size_bytes=self._size_bytes), tree

    def _add(self, piece: memoryview) -> None:
        self._md5.update(piece)
        self._blocks.append(block_digests(piece))


def describe_bytes(data: Bytes) -> tuple[StoredFile, Tree]:
    """Return what names `data`, and the digests of its blocks."""
    return _described([memoryview(data)], len(data))


def describe_file(path: Path) -> tuple[StoredFile, Tree]:
    """Return what names the bytes of a file, and the digests of its blocks, read once."""
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        return _described(iter(lambda: file.read(CHUNK_BYTES), b""), size_bytes)


def digest_of_file(path: Path) -> str:
    """Return the digest of a file, read by several threads.

    It is not mapped: a bad sector, or somebody who cuts the file meanwhile, would end the process without a word.

    Raises:
        OSError: If the file cannot be read, or ends early.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size_bytes = os.fstat(descriptor).st_size
        count = chunk_count(size_bytes)
        readers = min(count, _READERS)
        shares = [range(first, count, readers) for first in range(readers)]
        if readers == 1:
            found = [_digests_at(descriptor, shares[0], size_bytes)]
        else:
            with ThreadPoolExecutor(readers) as pool:
                found = list(pool.map(lambda share: _digests_at(descriptor, share, size_bytes), shares))
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)
    chunks = [b""] * count
    for first, digests in enumerate(found):
        chunks[first::readers] = digests
    return root_of(chunks, size_bytes)


def _described(parts: Iterable[Bytes], size_bytes: int) -> tuple[StoredFile, Tree]:
    description = Description()
    for part in parts:
        description.update(part)
    file, tree = description.finish()
    if file.size_bytes != size_bytes:
        raise OSError(f"a file changed while it was hashed: {size_bytes:,} bytes before, {file.size_bytes:,} read")
    return file, tree


def _digests_at(descriptor: int, chunks: Iterable[int], size_bytes: int) -> list[bytes]:
    """Return the digests of chunks, by their numbers; what was read is hashed while the processor's cache holds it."""
    buffer = memoryview(bytearray(_READ_BLOCKS * BLOCK_BYTES))
    digests: list[bytes] = []
    for chunk in chunks:
        start, end = chunk * CHUNK_BYTES, min((chunk + 1) * CHUNK_BYTES, size_bytes)
        blocks: list[bytes] = []
        for position in range(start, max(end, start + 1), len(buffer)):
            piece = buffer[: min(len(buffer), end - position)]
            if _read_into(piece, descriptor, position) != len(piece):
                raise OSError(errno.EIO, f"ended before byte {position + len(piece):,}: somebody cut it meanwhile")
            blocks.append(block_digests(piece))
        digests.append(_joined(_CHUNK_CONTEXT, b"".join(blocks)))
    return digests


def _read_into(piece: memoryview, descriptor: int, position: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [piece], position)
    data = os.pread(descriptor, len(piece), position)  # macOS
    piece[: len(data)] = data
    return len(data)


def _pieces(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), CHUNK_BYTES):
        yield view[start : start + CHUNK_BYTES]


def _joined(context: str, digests: bytes) -> bytes:
    return digests if len(digests) == DIGEST_BYTES else blake3(digests, derive_key_context=context).digest()
