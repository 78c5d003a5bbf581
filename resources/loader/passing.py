"""Owns the way of shards through memory: read out of an object store, used where they landed, and let go of.

A shard that the host has in its page cache is mapped, and so is every shard while another process of the host reads the
dataset, too: then they share one copy. Any other is read into memory that is used again and again. A copy on the disk
that is read so a second time is mapped from then on, if the page cache has room for the dataset: the epochs that follow
read no disk.
"""

import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from resources.canonical import digest_bytes
from resources.errors import StoreError
from resources.loader.keeping import kept
from resources.loader.mapping import Mapped
from resources.loader.shards import Opened, read_memory
from resources.loader.stored import StoredShard, checked
from resources.storage.buffers import Buffer, Buffers
from resources.storage.object_store import ObjectStore
from resources.storage.whole import read_whole

_MOSTLY = 0.95
"""Share of a file's pages above which mapping it is cheaper than reading it."""
_SHARE_OF_CACHE = 4
"""One part in so many of the cache is for what is on its way: two threads may read, and others hold what they read."""


class Tier:
    """The object stores and the host's cache behind one dataset.

    Args:
        root: Digest of the dataset.
        remotes: Where its files lie.
        shards: All of them.
    """

    def __init__(self, root: str, remotes: list[ObjectStore], shards: Sequence[StoredShard]) -> None:
        self.remotes = remotes
        self.buffers = Buffers()
        self._shards = shards
        self._size_bytes = sum(shard.size_bytes for shard in shards)
        self._reads = Counter[int]()
        self._cache = remotes[0].cache
        self._group = digest_bytes(f"readers of {root}".encode())

    def opened(self, shard: StoredShard, columns: Sequence[str] | None) -> Opened:
        """Return the rows of a shard.

        Raises:
            StoreError: If it is missing or was altered, or cannot be fetched.
            LoaderError: If it is not what the manifest says.
        """
        if self._is_shared or self._is_to_be_mapped(shard):
            return shard.open(columns)
        data = read_whole(
            self.remotes,
            shard.file,
            self.buffers,
            keep=shard.kept.digest in self._kept,
            plain=shard.plain,
        )
        return checked(shard, read_memory(shard.name, _bytes_of(data, shard.size_bytes), columns))

    @cached_property
    def at_once_bytes(self) -> int:
        """How many bytes of shards may be on their way at once: what comes to the cache meanwhile needs room there."""
        try:
            return self._cache.budget_bytes() // _SHARE_OF_CACHE
        except StoreError:  # who writes there is told why it cannot be used
            return 0

    @property
    def _is_shared(self) -> bool:
        return self._has_joined and self._cache.has_company(self._group)

    @cached_property
    def _has_joined(self) -> bool:
        try:
            self._cache.join(self._group)
        except StoreError:  # a cache that cannot be used is shared by nobody
            return False
        weakref.finalize(self, self._cache.leave, self._group).atexit = False
        return True

    @cached_property
    def _kept(self) -> frozenset[str]:
        files = [shard.kept for shard in self._shards]
        try:
            return kept(files, self._cache.budget_bytes())
        except StoreError:  # who writes there is told why it cannot be used
            return frozenset(file.digest for file in files)

    def _is_to_be_mapped(self, shard: StoredShard) -> bool:
        path = self._cache.path_of(shard.kept.digest)
        try:
            if Mapped(path).resident_share() >= _MOSTLY:
                return True
        except OSError:  # there is none
            return False
        self._reads[shard.number] += 1
        return self._reads[shard.number] > 1 and _free_bytes() >= 2 * self._size_bytes


def _free_bytes() -> int:
    """Return the memory that the page cache may take; 0 where the kernel does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 0


def _bytes_of(data: Buffer, size_bytes: int) -> pa.Buffer:
    address = np.frombuffer(data.view, np.uint8).ctypes.data
    return pa.foreign_buffer(address, size_bytes, data) if size_bytes else pa.py_buffer(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInMemory:
    """One shard of a dataset in an object store, for who reads it for a while.

    Attributes:
        shard: The shard.
        tier: How it is read.
    """

    shard: StoredShard
    tier: Tier

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.shard.rows

    @property
    def name(self) -> str:
        """Its number, and the digest of its bytes."""
        return self.shard.name

    @property
    def size_bytes(self) -> int:
        """How long its file is when it is not compressed."""
        return self.shard.size_bytes

    @property
    def at_once_bytes(self) -> int:
        """How many bytes of shards of its dataset may be on their way here at once."""
        return self.tier.at_once_bytes

    def open(self, columns: Sequence[str] | None) -> Opened:
        """Return its rows, whose memory is used for others once nobody refers to them.

        Raises:
            StoreError: If it is missing or was altered, or cannot be fetched.
            LoaderError: If it is not what the manifest says.
        """
        return self.tier.opened(self.shard, columns)
