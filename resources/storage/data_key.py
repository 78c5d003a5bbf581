"""Owns the envelope: each encrypted store has a random data key, wrapped by the user's key in `encryption.json` there.

The user's key wraps that one key and nothing else, so another may take its place without rewriting any data. It does
not encrypt values: `resources.storage.sealing` does.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from resources.canonical import canonical_json, parse_json
from resources.errors import ConflictError, IntegrityError, ObjectMissing, SettingsError, StoreError
from resources.private_file import read_secret, write_secret
from resources.storage.sealing import FRAME_BYTES, DataKey, key_id
from resources.storage.store import ENCRYPTION, Store

KEY_BYTES = 32
SETTING = "PENSTOCK_ENCRYPTION_KEY"
CIPHER, FORMAT = "AES-256-GCM", 1
_NONCE_BYTES = 12
_WHAT = "encryption key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What `encryption.json` says.

    Attributes:
        key_id: Which user's key opens it, 16 hex digits.
        data_key_id: Which data key is in it, 16 hex digits.
        nonce: Nonce of the wrapping.
        wrapped: The data key, encrypted with the user's key.
    """

    key_id: str
    data_key_id: str
    nonce: bytes
    wrapped: bytes


def load_user_key(path: Path) -> bytes:
    """Return the user's key, 32 bytes.

    Raises:
        SettingsError: If the file is missing, has another length, or can be read by others.
    """
    if not path.exists():
        raise SettingsError(
            f"there is no {_WHAT} {path}: put it there, or make a new one by `penstock data key --new`; values that "
            "were encrypted with a lost key are lost"
        )
    data = read_secret(path, what=_WHAT)
    if len(data) != KEY_BYTES:
        raise SettingsError(f"the {_WHAT} {path} has {len(data):,} bytes, not {KEY_BYTES}: it is none; put it there")
    return data


def make_user_key(path: Path) -> bool:
    """Write a new random key to `path` with mode 0600; return False, changing nothing, if there is one."""
    return write_secret(path, secrets.token_bytes(KEY_BYTES), what=_WHAT, setting=SETTING)


def read_envelope(store: Store) -> Envelope | None:
    """Return the envelope of `store`, as it lies there, or None where it has none.

    Raises:
        IntegrityError: If it is damaged, or of another format.
    """
    try:
        return _parsed(store, store.get(ENCRYPTION))
    except ObjectMissing:
        return None


def begin(store: Store, user_key: bytes) -> None:
    """Make the empty `store` an encrypted one; of several processes that do so one wins."""
    store.create(ENCRYPTION, _encoded(DataKey(secrets.token_bytes(KEY_BYTES)), user_key))


def unwrap(store: Store, envelope: Envelope, user_key: bytes, *, path: Path) -> DataKey:
    """Return the data key of `store`.

    Args:
        store: The store as it lies there, for errors.
        envelope: Its envelope.
        user_key: The user's key.
        path: Where that was read from, for errors.

    Raises:
        StoreError: If it is the wrong key.
        IntegrityError: If the envelope was altered.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    mine = key_id(user_key).hex()
    if envelope.key_id != mine:
        raise StoreError(
            f"store {store.url} is encrypted with key {envelope.key_id}, but {path} holds key {mine}: "
            f"set {SETTING} (for a base store PENSTOCK_BASE_ENCRYPTION_KEY) to the file of that key"
        )
    try:
        return DataKey(AESGCM(user_key).decrypt(envelope.nonce, envelope.wrapped, _bound(envelope.data_key_id)))
    except InvalidTag:
        raise _damaged(store, "the data key in it does not open") from None


def rotate(store: Store, *, old: Path, new: Path) -> bool:
    """Wrap the data key of `store` with the key in `new` instead of that in `old`; values stay as they are.

    Args:
        store: The store as it lies there.
        old: File of the present key.
        new: File of the key that takes its place.

    Returns:
        Whether it was rotated; False if `new` opens it already.

    Raises:
        StoreError: If `old` is the wrong key, or the store is not encrypted.
        ConflictError: If somebody else rotated it at the same moment.
    """
    try:
        data, tag = store.get_tagged(ENCRYPTION)
    except ObjectMissing:
        raise StoreError(f"store {store.url} is not encrypted: there is no key to rotate") from None
    envelope, new_key = _parsed(store, data), load_user_key(new)
    if envelope.key_id == key_id(new_key).hex():
        unwrap(store, envelope, new_key, path=new)
        return False
    key = unwrap(store, envelope, load_user_key(old), path=old)
    wrapped = _encoded(key, new_key)
    if not store.swap(ENCRYPTION, wrapped, tag=tag) and store.get(ENCRYPTION) != wrapped:
        raise ConflictError(f"the key of store {store.url} was rotated by somebody else at the same moment: run again")
    return True


def _encoded(key: DataKey, user_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, data_key_id = secrets.token_bytes(_NONCE_BYTES), key.id.hex()
    wrapped = AESGCM(user_key).encrypt(nonce, key.secret, _bound(data_key_id))
    return canonical_json(
        {
            "format": FORMAT,
            "cipher": CIPHER,
            "frame_bytes": FRAME_BYTES,
            "key_id": key_id(user_key).hex(),
            "data_key_id": data_key_id,
            "nonce": nonce.hex(),
            "wrapped": wrapped.hex(),
        }
    )


def _parsed(store: Store, data: bytes) -> Envelope:
    try:
        value = parse_json(data)
        form = (value["format"], value["cipher"], value["frame_bytes"])
        if form != (FORMAT, CIPHER, FRAME_BYTES):
            raise ValueError(f"form {form}")
        return Envelope(
            key_id=str(value["key_id"]),
            data_key_id=str(value["data_key_id"]),
            nonce=bytes.fromhex(value["nonce"]),
            wrapped=bytes.fromhex(value["wrapped"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(store, repr(error)) from error


def _damaged(store: Store, why: str) -> IntegrityError:
    return IntegrityError(
        f"{ENCRYPTION} in store {store.url} was altered: {why}; restore it from a backup: without it no value can be "
        "read"
    )


def _bound(data_key_id: str) -> bytes:
    return f"penstock 1 data key {data_key_id}".encode()
