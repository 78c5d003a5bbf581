"""Owns content-addressed objects: bytes under `objects/<2>/<digest>`, verified whenever they are read."""

from pathlib import Path

from blake3 import blake3

from resources.canonical import DIGEST_LENGTH, digest_bytes
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.store import Store

_THREADS_BYTES = 16 * 2**20  # below this, starting threads costs more than it saves
_Stamp = tuple[int, int, int]
_verified: dict[tuple[str, str], _Stamp] = {}


def object_key(digest: str) -> str:
    """Return the store key of the object named `digest`.

    Raises:
        ObjectMissing: If `digest` is not 64 hex digits.
    """
    if len(digest) != DIGEST_LENGTH or not set(digest) <= set("0123456789abcdef"):
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

    Raises:
        ObjectMissing: If the store has none.
        IntegrityError: If the stored bytes have another digest; a bad local copy is fetched anew first.
    """
    key = object_key(digest)
    path = store.local(key)
    if _matches(path, digest):
        return path
    if store.forget_local(key):
        path = store.local(key)
        if _matches(path, digest):
            return path
    raise _altered(store, digest, hash_file(path))


def hash_file(path: Path) -> str:
    """Return the BLAKE3-256 digest of a file, read through a memory map by all processors."""
    size = path.stat().st_size
    hasher = blake3(max_threads=blake3.AUTO if size > _THREADS_BYTES else 1)
    return (hasher.update_mmap(path) if size else hasher).hexdigest()


def _matches(path: Path, digest: str) -> bool:
    status = path.stat()
    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
    if _verified.get((str(path), digest)) == stamp:
        return True
    if hash_file(path) != digest:
        return False
    _verified[str(path), digest] = stamp
    return True


def _altered(store: Store, digest: str, found: str) -> IntegrityError:
    return IntegrityError(
        f"object {digest} in store {store.url} was altered: its bytes have digest {found}; "
        f"delete {object_key(digest)} and make it again, or restore it from a backup"
    )
