"""Owns content-addressed objects: bytes under `objects/<2>/<digest>`, verified whenever they are read."""

from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from resources.canonical import DIGEST_LENGTH, digest_bytes, is_hex
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.store import Store
from resources.storage.verified import hash_file, matches


def object_key(digest: str) -> str:
    """Return the store key of the object named `digest`.

    Raises:
        ObjectMissing: If `digest` is not 64 hex digits.
    """
    if len(digest) != DIGEST_LENGTH or not is_hex(digest):
        raise ObjectMissing(f"{digest!r} names no object: a digest has {DIGEST_LENGTH} lower-case hex digits")
    return f"objects/{digest[:2]}/{digest}"


def put_object(store: Store, data: bytes) -> str:
    """Store `data` and return its digest; storing it again changes nothing."""
    digest = digest_bytes(data)
    store.create(object_key(digest), data)
    return digest


def put_file(store: Store, path: Path) -> str:
    """Store the finished file `path`, linking it in where that is possible, and return its digest."""
    digest = hash_file(path)
    store.upload(object_key(digest), path)
    return digest


def has_object(store: Store, digest: str) -> bool:
    """Return whether the store holds the object; its bytes are not read."""
    return store.exists(object_key(digest))


def get_object(store: Store, digest: str) -> bytes:
    """Return the bytes named `digest`.

    Raises:
        ObjectMissing: If the store has none.
        IntegrityError: If the stored bytes have another digest.
    """
    data = store.get(object_key(digest))
    found = digest_bytes(data)
    if found != digest:
        raise _altered(store, digest, found)
    return data


def object_path(store: Store, digest: str) -> Path:
    """Return a local file with the bytes named `digest`, hashed once per process and again if the file changes.

    A copy in the host's cache stays there until this process ends; `borrowed` gives it back sooner.

    Raises:
        ObjectMissing: If the store has none.
        IntegrityError: If the stored bytes have another digest; a bad local copy is fetched anew first.
    """
    key = object_key(digest)
    path = store.local(key)
    if matches(path, digest):
        return path
    store.release_local(key)
    if store.forget_local(key):
        path = store.local(key)
        if matches(path, digest):
            return path
        store.release_local(key)
    raise _altered(store, digest, hash_file(path))


@contextmanager
def borrowed(store: Store, digests: Iterable[str]) -> Generator[list[Path]]:
    """Yield `object_path` of each digest; after the block the host's cache may evict the files.

    Raises:
        ObjectMissing: If the store lacks one.
        IntegrityError: If one was altered.
    """
    with ExitStack() as leases:
        paths: list[Path] = []
        for digest in digests:
            paths.append(object_path(store, digest))
            leases.callback(store.release_local, object_key(digest))
        yield paths


def _altered(store: Store, digest: str, found: str) -> IntegrityError:
    return IntegrityError(
        f"object {digest} in store {store.url} was altered: its bytes have digest {found}; "
        f"delete {object_key(digest)} and make it again, or restore it from a backup"
    )
