"""Owns the files that manifests name: under DVC's keys in the store, verified whenever they are read.

A file of more than one chunk has the digests of its blocks beside it, `trees/<2>/<digest>`, so that parts of it can be
verified. What says which files belong together is an object (`resources.storage.objects`).
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from resources.errors import IntegrityError, StoreError
from resources.storage.content import (
    CHUNK_BYTES,
    StoredFile,
    Tree,
    describe_bytes,
    describe_file,
    digest_of_file,
)
from resources.storage.layered import LayeredStore, holder
from resources.storage.store import Store
from resources.storage.values import read_verified
from resources.storage.verified import matches


def tree_key(digest: str) -> str:
    """Return the store key of the block digests of a file."""
    return f"trees/{digest[:2]}/{digest}"


def put_file(store: Store, path: Path) -> StoredFile:
    """Store the finished file `path`, linking it in where that is possible; storing it again changes nothing.

    Raises:
        StoreError: If the file cannot be read, or the store cannot be written.
    """
    try:
        file, tree = describe_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    put_described(store, path, file, tree)
    return file


def put_described(store: Store, path: Path, file: StoredFile, tree: Tree) -> None:
    """Store the finished file `path`, hashed while it was written; storing it again changes nothing.

    Raises:
        StoreError: If the file cannot be read, or the store cannot be written.
    """
    _put_tree(store, file, tree)
    try:
        store.upload(file.key, path)
    except OSError as error:  # of this file: those of the store are StoreErrors
        raise _unreadable(path, error) from error


def put_bytes(store: Store, data: bytes) -> StoredFile:
    """Store `data` as a file; storing it again changes nothing."""
    file, tree = describe_bytes(data)
    _put_tree(store, file, tree)
    store.create(file.key, data)
    return file


def has_file(store: Store, file: StoredFile) -> bool:
    """Return whether the store holds the file; its bytes are not read."""
    return store.exists(file.key)


def get_bytes(store: Store, file: StoredFile) -> bytes:
    """Return the bytes of a file that fits in memory.

    Raises:
        ObjectMissing: If the store has none.
        IntegrityError: If the stored bytes have another digest.
    """

    def verify(data: bytes) -> bytes:
        if (found := describe_bytes(data)[0].digest) != file.digest:
            raise ValueError(found)
        return data

    try:
        return read_verified(store, file.key, verify)
    except ValueError as error:
        raise altered(store, file, str(error)) from None


def tree_of(store: Store, file: StoredFile) -> Tree:
    """Return the digests of the blocks of a file of more than one chunk, verified.

    Raises:
        ObjectMissing: If the store has none.
        IntegrityError: If they are not those of this file.
    """

    def verify(blocks: bytes) -> Tree:
        tree = Tree(size_bytes=file.size_bytes, blocks=blocks)
        if tree.root != file.digest:
            raise ValueError(tree.root)
        return tree

    try:
        return read_verified(store, tree_key(file.digest), verify)
    except ValueError:
        raise IntegrityError(
            f"{tree_key(file.digest)} in store {holder(store, tree_key(file.digest)).url} was altered: "
            "delete it and store the file again"
        ) from None


class Copies(Protocol):
    """Where files are found on this host: a store, or what makes such files of what a store holds."""

    @property
    def url(self) -> str:
        """Where they come from, safe to print."""
        ...

    def local(self, file: StoredFile) -> Path:
        """Return a local copy, leased until it is released."""
        ...

    def release_local(self, file: StoredFile) -> None:
        """Let go of one path that `local` returned."""
        ...

    def forget_local(self, file: StoredFile) -> bool:
        """Replace or drop a damaged copy; return False where there is none to replace."""
        ...


def file_path(store: Copies, file: StoredFile) -> Path:
    """Return a local file with the bytes of `file`, hashed once per process and again if the file changes.

    A copy in the host's cache stays there until this process ends; `borrowed` gives it back sooner.

    Raises:
        ObjectMissing: If the store has none.
        IntegrityError: If the stored bytes have another digest; a bad local copy is fetched anew first.
        StoreError: If the local file cannot be read.
    """
    found = _matched(store, file)
    if isinstance(found, str) and store.forget_local(file):
        found = _matched(store, file)
    if isinstance(found, str):
        raise altered(store, file, found)
    return found


def _matched(store: Copies, file: StoredFile) -> Path | str:
    """Return the leased path of a local file with the bytes of `file`, or the digest of other bytes found there."""
    path = store.local(file)
    try:
        if matches(path, file.digest):
            return path
        found = digest_of_file(path)
    except OSError as error:
        store.release_local(file)
        raise StoreError(
            f"cannot read {error.filename or 'the local copy'} of file {file.digest} in store {store.url}: "
            f"{error.strerror or error}; check the disk, or delete that file if it is a copy in the cache"
        ) from error
    store.release_local(file)
    return found


@contextmanager
def borrowed(store: Store, files: Iterable[StoredFile]) -> Generator[list[Path]]:
    """Yield `file_path` of each file; after the block the host's cache may evict them.

    Raises:
        ObjectMissing: If the store lacks one.
        IntegrityError: If one was altered.
    """
    leased: list[StoredFile] = []
    paths: list[Path] = []
    try:
        for file in files:
            paths.append(file_path(store, file))
            leased.append(file)
        yield paths
    finally:
        for file in leased:
            store.release_local(file)


def altered(store: Copies, file: StoredFile, found: str) -> IntegrityError:
    """Return the error of a file whose bytes are not those that its digest names."""
    place = holder(store, file.key) if isinstance(store, LayeredStore) else store
    return IntegrityError(
        f"file {file.digest} in store {place.url} was altered: its bytes have digest {found}; "
        f"delete {file.key} and make it again, or restore it from a backup"
    )


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot read {path}: {error.strerror or error}; make it readable, then run again")


def _put_tree(store: Store, file: StoredFile, tree: Tree) -> None:
    # Before the file: one that is there has its tree. What a killed process leaves is collected as garbage.
    if file.size_bytes > CHUNK_BYTES:
        store.create(tree_key(file.digest), tree.blocks)
