"""Owns the question whether a version is whole: its manifest, the sizes of its files, or every byte of them.

The store itself is read, not the copies in the host's cache.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from resources.errors import IntegrityError, ObjectMissing
from resources.storage.content import CHUNK_BYTES, StoredFile, chunk_count, chunk_digest, root_of
from resources.storage.files import tree_of
from resources.storage.store import Store
from resources.storage.versions import VersionKind, version

Depth = Literal["manifest", "sizes", "bytes"]
_FILES = 8
_READERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a version.

    Attributes:
        name: Name of the file in the version, or `manifest`.
        key: Its key in the store.
        why: What is wrong.
    """

    name: str
    key: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verification found.

    Attributes:
        digest: The version.
        kind: What it is.
        files: Files that it names.
        size_bytes: Their bytes.
        read_bytes: Bytes that were read and hashed.
        faults: Everything that is wrong; empty if it is whole, as far as was asked.
    """

    digest: str
    kind: VersionKind
    files: int
    size_bytes: int
    read_bytes: int
    faults: tuple[Fault, ...]


def verify(store: Store, digest: str, *, depth: Depth = "bytes") -> Verified:
    """Verify the version `digest` as deep as asked.

    Args:
        store: Where it lies.
        digest: Digest of a dataset, model or object.
        depth: `manifest`: that the manifest is unaltered and complete in itself. `sizes`: also that every file is
            there with its size. `bytes`: also that every byte is right.

    Raises:
        StoreError: If the store fails; a missing or altered file is a fault, not an error.
    """
    try:
        found = version(store, digest)
    except (ObjectMissing, IntegrityError) as error:
        fault = Fault(name="manifest", key=digest, why=str(error))
        return Verified(digest=digest, kind="object", files=0, size_bytes=0, read_bytes=0, faults=(fault,))
    faults: list[Fault] = []
    read_bytes = 0
    if depth != "manifest":
        check = _size_fault if depth == "sizes" else _byte_fault
        with ThreadPoolExecutor(_FILES if depth == "sizes" else _READERS) as pool:
            named = [(name, file, pool.submit(check, store, file)) for name, file in found.files.items()]
            for name, file, item in named:
                why = item.result()
                read_bytes += file.size_bytes if depth == "bytes" else 0
                faults += [Fault(name=name, key=file.key, why=why)] if why else []
    return Verified(
        digest=digest,
        kind=found.kind,
        files=len(found.files),
        size_bytes=found.size_bytes,
        read_bytes=read_bytes,
        faults=tuple(faults),
    )


def _size_fault(store: Store, file: StoredFile) -> str:
    try:
        size_bytes = store.size_bytes(file.key)
    except ObjectMissing:
        return "it is missing"
    if size_bytes != file.size_bytes:
        return f"it has {size_bytes:,} bytes, the manifest says {file.size_bytes:,}"
    return ""


def _byte_fault(store: Store, file: StoredFile) -> str:
    if why := _size_fault(store, file):
        return why
    try:
        digests = list(_chunk_digests(store, file))
    except ObjectMissing:
        return "it vanished while it was read"
    if root_of(digests, file.size_bytes) == file.digest:
        return ""
    return f"its bytes are not those of {file.digest}{_where(store, file, digests)}"


def _chunk_digests(store: Store, file: StoredFile) -> Iterator[bytes]:
    for number in range(chunk_count(file.size_bytes)):
        start = number * CHUNK_BYTES
        end = min(start + CHUNK_BYTES, file.size_bytes)
        yield chunk_digest(store.get_range(file.key, start, end) if end > start else b"")


def _where(store: Store, file: StoredFile, digests: list[bytes]) -> str:
    """Return which chunks are wrong, where the digests of the blocks are there to tell."""
    if len(digests) == 1:
        return ""
    try:
        tree = tree_of(store, file)
    except (ObjectMissing, IntegrityError):
        return ""
    wrong = [number for number, digest in enumerate(digests) if tree.chunk(number) != digest]
    return f": chunk {wrong[0]} of {len(digests)}{f' and {len(wrong) - 1} more' if wrong[1:] else ''} is wrong"
