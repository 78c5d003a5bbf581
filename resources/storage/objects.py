"""Owns content-addressed objects: small JSON values under `objects/<2>/<digest>`, verified whenever they are read.

Manifests, reports and profiles are objects. The bytes that manifests name are files: `resources.storage.files`.
"""

from resources.canonical import DIGEST_LENGTH, digest_bytes, is_hex
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.layered import holder
from resources.storage.store import Store
from resources.storage.values import read_verified

ARCHIVED = "archived"
"""Folder of marks that say which versions are in the archive."""


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


def has_object(store: Store, digest: str) -> bool:
    """Return whether the store holds the object; its bytes are not read."""
    return store.exists(object_key(digest))


def get_object(store: Store, digest: str) -> bytes:
    """Return the bytes named `digest`.

    Raises:
        ObjectMissing: If the store has none; one that was archived is told by its own message.
        IntegrityError: If the stored bytes have another digest.
    """

    def verify(data: bytes) -> bytes:
        if (found := digest_bytes(data)) != digest:
            raise ValueError(found)
        return data

    key = object_key(digest)
    try:
        return read_verified(store, key, verify)
    except ValueError as error:
        raise IntegrityError(
            f"object {digest} in store {holder(store, key).url} was altered: its bytes, read twice, have digest "
            f"{error}; "
            f"delete {key} and make it again, or restore it from a backup"
        ) from None
    except ObjectMissing:
        if store.exists(archived_key(digest)):
            raise ObjectMissing(
                f"version {digest[:12]} of store {store.url} is in the archive: bring it back by "
                f"`penstock data recall {digest[:12]}`"
            ) from None
        raise


def archived_key(digest: str) -> str:
    """Return the key of the mark of an archived version."""
    return f"{ARCHIVED}/{digest}.json"
