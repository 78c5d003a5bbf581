"""Owns content-addressed objects: small JSON values under `objects/<2>/<digest>`, verified whenever they are read.

Manifests, reports and profiles are objects. The bytes that manifests name are files: `resources.storage.files`.
"""

from resources.canonical import DIGEST_LENGTH, digest_bytes, is_hex
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.layered import holder
from resources.storage.store import Store
from resources.storage.values import read_verified


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
        ObjectMissing: If the store has none.
        IntegrityError: If the stored bytes have another digest.
    """

    def verify(data: bytes) -> bytes:
        if (found := digest_bytes(data)) != digest:
            raise ValueError(found)
        return data

    try:
        return read_verified(store, object_key(digest), verify)
    except ValueError as error:
        raise IntegrityError(
            f"object {digest} in store {holder(store, object_key(digest)).url} was altered: its bytes, read twice, have "
            f"digest {error}; "
            f"delete {object_key(digest)} and make it again, or restore it from a backup"
        ) from None
