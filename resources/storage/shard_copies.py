"""Owns the local files that rows of shards are read from: of compressed ones behind an object store the plain copy.

In a store without a cache, a folder or an encrypted one, a compressed shard is the file itself, to be decompressed by
whoever reads it.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from resources.errors import ObjectMissing
from resources.storage.content import StoredFile
from resources.storage.expanding import Expanding
from resources.storage.files import file_path
from resources.storage.object_store import ObjectStore
from resources.storage.store import Store
from resources.storage.whole import layers_of


class ShardInStore(Protocol):
    """A shard as a manifest names it."""

    @property
    def file(self) -> StoredFile:
        """What lies in the store."""
        ...

    @property
    def plain(self) -> StoredFile | None:
        """What a compressed one stands for."""
        ...


def shard_path(store: Store, shard: ShardInStore) -> Path:
    """Return a verified local file with the rows of a shard, which stays until this process ends.

    Raises:
        ObjectMissing: If the store has none.
        IntegrityError: If the stored bytes have another digest.
        StoreError: If it cannot be fetched or read.
    """
    return _placed(store, shard)[0]


@contextmanager
def borrowed_shards(store: Store, shards: Iterable[ShardInStore]) -> Generator[list[Path]]:
    """Yield `shard_path` of each; after the block the host's cache may evict them.

    Raises:
        ObjectMissing: If the store lacks one.
        IntegrityError: If one was altered.
        StoreError: If one cannot be fetched or read.
    """
    with ExitStack() as held:
        paths: list[Path] = []
        for shard in shards:
            path, release = _placed(store, shard)
            held.callback(release)
            paths.append(path)
        yield paths


def _placed(store: Store, shard: ShardInStore) -> tuple[Path, Callable[[], None]]:
    """Return the leased local file of a shard, and what gives it back."""
    plain, missing = shard.plain, None
    if plain is None:
        return file_path(store, shard.file), partial(store.release_local, shard.file)
    for layer in layers_of(store):
        copies, file = (_Plain(layer, shard.file), plain) if isinstance(layer, ObjectStore) else (layer, shard.file)
        try:
            return file_path(copies, file), partial(copies.release_local, file)
        except ObjectMissing as error:
            missing = missing or error
    raise missing or ObjectMissing(f"no store was given for file {shard.file.digest}: give one")


class _Plain:
    """The plain copies of one compressed file in the host's cache."""

    def __init__(self, remote: ObjectStore, file: StoredFile) -> None:
        self._remote = remote
        self._file = file

    @property
    def url(self) -> str:
        return self._remote.url

    def local(self, file: StoredFile) -> Path:
        return self._remote.cache.lease(file.digest, Expanding(self._remote, self._file, file))

    def release_local(self, file: StoredFile) -> None:
        self._remote.cache.release(file.digest)

    def forget_local(self, file: StoredFile) -> bool:
        self._remote.cache.mend(file.digest, Expanding(self._remote, self._file, file))
        return True
