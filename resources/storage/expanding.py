"""Owns the way of compressed shards from an object store to their plain form: fetched, verified, decompressed.

The host's cache takes in the plain form (`Expanding`), under its own digest: it is decompressed once for all processes
and epochs, and the compressed bytes, which nobody reads twice, are not kept.
"""

import os
from pathlib import Path

from resources.errors import IntegrityError
from resources.storage.buffers import Buffer, Buffers
from resources.storage.cache.download import Download, allocate, write
from resources.storage.compressed import expand
from resources.storage.content import StoredFile
from resources.storage.inflow import fetch_into
from resources.storage.latencies import Policy
from resources.storage.object_store import ObjectStore


class Expanding:
    """The plain form of one compressed shard, as the cache makes it.

    Args:
        remote: Where the compressed shard lies.
        file: The compressed shard.
        plain: What it stands for.
    """

    def __init__(self, remote: ObjectStore, file: StoredFile, plain: StoredFile) -> None:
        self._remote = remote
        self._file = file
        self._plain = plain

    @property
    def name(self) -> str:
        """What is fetched, and from where, for people."""
        return self._remote.flow(self._file).name

    @property
    def size_bytes(self) -> int:
        """Bytes of the plain form."""
        return self._plain.size_bytes

    def make(self, part: Path, hedging: Policy) -> Download:
        """Fill `part` with the plain form; where what was fetched has a wrong digest, return that one.

        Raises:
            StoreError: If the store fails.
            IntegrityError: If what was fetched does not stand for the plain form.
            OSError: If the disk fails.
        """
        buffers = Buffers()
        packed = buffers.take(self._file.size_bytes)
        done = fetch_into(self._remote.flow(self._file), packed.view[: self._file.size_bytes], hedging)
        if done.value == self._file.digest:
            data = buffers.take(self._plain.size_bytes)
            expand_into(self.name, packed, self._file, data, self._plain)
            _fill(part, data.view[: self._plain.size_bytes])
        return Download(
            digest=self._plain.digest if done.value == self._file.digest else done.value,
            fetched_bytes=self._file.size_bytes,
            hedges=done.hedges,
            hedges_won=done.hedges_won,
        )


def expand_into(name: str, packed: Buffer, file: StoredFile, data: Buffer, plain: StoredFile) -> None:
    """Fill `data` with the plain form of the verified compressed shard in `packed`.

    Raises:
        IntegrityError: If it stands for something else.
    """
    import pyarrow as pa

    try:
        found = expand(pa.py_buffer(packed.view[: file.size_bytes]), data.view[: plain.size_bytes])
    except ValueError as error:
        raise IntegrityError(f"{name} cannot be decompressed ({error}): make the dataset again") from None
    if found != plain.digest:
        raise IntegrityError(
            f"{name} does not decompress to what its manifest says, but to bytes of digest {found}: make the dataset "
            "again"
        )


def _fill(part: Path, data: memoryview) -> None:
    descriptor = os.open(part, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        allocate(descriptor, len(data))
        write(descriptor, data, 0)
    finally:
        os.close(descriptor)
