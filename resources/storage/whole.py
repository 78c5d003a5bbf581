"""Owns whole files in memory: out of the host's copy or from an object store, verified, and kept behind the reader.

Only what lies in an object store is read so: of a folder the file itself is mapped, and what is encrypted is decrypted
into memory anyway.
"""

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass

from resources.errors import ObjectMissing, StoreError
from resources.storage.buffers import Buffer, Buffers
from resources.storage.cache.cache import HostCache
from resources.storage.cache.fetch import altered
from resources.storage.cache.intake import behind, read_past_cache
from resources.storage.content import CHUNK_BYTES, StoredFile, chunk_digest, root_of
from resources.storage.expanding import expand_into
from resources.storage.inflow import fetch_into
from resources.storage.layered import LayeredStore
from resources.storage.object_store import ObjectStore
from resources.storage.read_only import ReadOnlyStore
from resources.storage.store import Store
from resources.storage.verified import knows, trust_status

_ATTEMPTS = 2
_LOG = logging.getLogger(__name__)


def remotes_of(store: Store) -> list[ObjectStore] | None:
    """Return the object stores that files of `store` are looked for in, in that order; None if it has other layers."""
    layers = layers_of(store)
    found = [layer for layer in layers if isinstance(layer, ObjectStore)]
    return found if len(found) == len(layers) else None


def layers_of(store: Store) -> list[Store]:
    """Return the stores that files of `store` are looked for in, in that order."""
    layers = [store.own, store.base] if isinstance(store, LayeredStore) else [store]
    return [layer.behind if isinstance(layer, ReadOnlyStore) else layer for layer in layers]


def read_whole(
    remotes: list[ObjectStore],
    file: StoredFile,
    buffers: Buffers,
    *,
    keep: bool,
    plain: StoredFile | None = None,
) -> Buffer:
    """Return the verified bytes of `file`, or of the plain file that it stands for, in memory of `buffers`.

    Args:
        remotes: Where it may lie.
        file: The file.
        buffers: Where the memory comes from.
        keep: Whether the host's cache shall have it afterwards, written by another thread; where that fails it is
            counted as `unkept`, told in the log, and nothing else.
        plain: What a compressed shard stands for: that is returned, and kept.

    Raises:
        ObjectMissing: If no store has it.
        IntegrityError: If the stored bytes have another digest, twice.
        StoreError: If a store fails.
    """
    missing: ObjectMissing | None = None
    for remote in remotes:
        try:
            return _read(_Wanted(remote, file, plain or file, buffers), keep)
        except ObjectMissing as error:
            missing = missing or error
    if missing is None:
        raise ObjectMissing(f"no store was given for file {file.digest}: give one")
    raise missing


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file to be read: what lies in the store, and what of it is read and kept, which may be the same."""

    remote: ObjectStore
    stored: StoredFile
    file: StoredFile
    buffers: Buffers

    @property
    def name(self) -> str:
        return self.remote.flow(self.stored).name

    def bring(self) -> Buffer:
        """Return the bytes of the file, fetched."""
        # Compressed bytes get memory that has room for plain ones, which it is used for next.
        fetched = self.buffers.take(max(self.stored.size_bytes, self.file.size_bytes))
        _fetch(self.remote, self.stored, fetched)
        if self.stored is self.file:
            return fetched
        data = self.buffers.take(self.file.size_bytes)
        expand_into(self.name, fetched, self.stored, data, self.file)
        return data

    def copy(self) -> Buffer | None:
        """Return the bytes of the file out of the host's copy, if there is a good one; a damaged one goes."""
        return _read_copy(self.remote.cache, self.file, self.buffers)


def _read(wanted: _Wanted, keep: bool) -> Buffer:
    cache, file = wanted.remote.cache, wanted.file
    if (data := wanted.copy()) is not None:
        return data
    place = None
    if keep:
        try:
            place = cache.take_in(file.digest, wanted.name, file.size_bytes)
        except StoreError as error:
            _not_kept(cache, error)
        else:
            if place is None and (data := wanted.copy()) is not None:  # another process was first
                return data
    try:
        data = wanted.bring()
    except BaseException:
        if place is not None:
            place.leave()
        raise
    if place is not None:
        behind().write(place, data, file.size_bytes, lambda error: _not_kept(cache, error))
    return data


def _not_kept(cache: HostCache, error: Exception) -> None:
    cache.count(unkept=1)
    _LOG.warning("a file is read without being kept in the cache %s: %s", cache.root, error)


def _read_copy(cache: HostCache, file: StoredFile, buffers: Buffers) -> Buffer | None:
    try:
        copy = cache.open(file.digest, file.size_bytes)
    except StoreError:  # the store has the bytes, too
        return None
    if copy is None:
        return None
    data = buffers.take(file.size_bytes)
    try:
        with suppress(OSError):  # a bad sector is damage like any other
            if read_past_cache(copy, data, file.size_bytes) and _is_right(cache, copy, file, data):
                return data
    finally:
        os.close(copy)
    with suppress(StoreError):
        cache.drop_damaged(file.digest)
    return None


def _is_right(cache: HostCache, copy: int, file: StoredFile, data: Buffer) -> bool:
    status = os.fstat(copy)
    if knows(status, file.digest):
        return True
    began, view = time.perf_counter(), data.view[: file.size_bytes]
    starts = range(0, max(1, file.size_bytes), CHUNK_BYTES)
    found = root_of([chunk_digest(view[start : start + CHUNK_BYTES]) for start in starts], file.size_bytes)
    cache.count(verify_s=time.perf_counter() - began)
    if found == file.digest:
        trust_status(status, file.digest)
    return found == file.digest


def _fetch(remote: ObjectStore, file: StoredFile, data: Buffer) -> None:
    cache, flow, found = remote.cache, remote.flow(file), ""
    for attempt in range(_ATTEMPTS):
        done = fetch_into(flow, data.view[: file.size_bytes], cache.hedging)
        cache.count(
            fetched_bytes=file.size_bytes, hedges=done.hedges, hedges_won=done.hedges_won, retries=int(attempt > 0)
        )
        found = done.value
        if found == file.digest:
            return
    raise altered(flow.name, found)
