"""Owns signatures: one ed25519 key per installation, a ring of trusted public keys, detached signatures in the store.

What is signed is a kind and a digest, so a signature under a model is worth nothing under a report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.canonical import canonical_json, digest_bytes, parse_json
from resources.errors import SettingsError, SignatureError
from resources.private_file import read_secret, write_secret
from resources.storage.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_KEY_ID_LENGTH = 16
_SECRET = "signing key"


class Signer:
    """Signs with one private key, which never leaves it."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key
        self.key_id = _key_id(key.public_key())

    def sign(self, kind: str, digest: str) -> str:
        """Return the signature of `digest` as a thing of `kind`, in hex."""
        return self._key.sign(_message(kind, digest)).hex()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The public keys whose signatures count.

    Attributes:
        keys: Key id to raw public key.
    """

    keys: Mapping[str, bytes]

    def verify(self, kind: str, digest: str, signature: str, key_id: str) -> None:
        """Return if `signature` was made by a key of this ring over `kind` and `digest`.

        Raises:
            SignatureError: If it is missing, made by an unknown key, or false.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        what = f"{kind} {digest[:12]}"
        if not signature or not key_id:
            raise SignatureError(f"{what} is not signed: make it again with a signing key (PENSTOCK_KEY)")
        if key_id not in self.keys:
            raise SignatureError(
                f"{what} is signed by the unknown key {key_id}: if you trust it, put its public key (PEM, which "
                "`penstock key` prints there) into the folder PENSTOCK_TRUSTED_KEYS; if not, make it again"
            )
        try:
            Ed25519PublicKey.from_public_bytes(self.keys[key_id]).verify(
                bytes.fromhex(signature), _message(kind, digest)
            )
        except (InvalidSignature, ValueError):
            raise SignatureError(
                f"{what} has a false signature of key {key_id}: it was altered after signing; make it again"
            ) from None


def load_signer(path: Path) -> Signer:
    """Return the signer with the private key at `path`, made now if there is none.

    Raises:
        SettingsError: If others can read the key, or it is no ed25519 private key.
    """
    if not _is_there(path):
        _make_key(path)
    return Signer(_read_private(path))


def load_keyring(own: Path, trusted: Path | None) -> Keyring:
    """Return the ring of the key at `own`, if it exists, and of all public keys (`*.pem`) in `trusted`.

    Raises:
        SettingsError: If the folder is missing, or a file in it is no ed25519 public key.
    """
    keys = {}
    if _is_there(own):
        public = _read_private(own).public_key()
        keys[_key_id(public)] = public.public_bytes_raw()
    if trusted is not None:
        if not trusted.is_dir():
            raise SettingsError(f"PENSTOCK_TRUSTED_KEYS: {trusted} is no folder: make it, or unset the variable")
        for path in sorted(trusted.glob("*.pem")):
            public = _read_public(path)
            keys[_key_id(public)] = public.public_bytes_raw()
    return Keyring(keys)


def public_pem(path: Path) -> str:
    """Return the public half of the private key at `path` as PEM, to be given to those who shall trust it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return _read_private(path).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign_object(store: Store, kind: str, digest: str, signer: Signer) -> None:
    """Store a detached signature of the object `digest` as a thing of `kind`."""
    value = {"kind": kind, "digest": digest, "key_id": signer.key_id, "signature": signer.sign(kind, digest)}
    # Replaced, not created: ed25519 is deterministic, so signing again restores an altered one.
    store.put(f"signatures/{digest}/{signer.key_id}.json", canonical_json(value))


def verify_object(store: Store, kind: str, digest: str, keyring: Keyring) -> str:
    """Return the id of a trusted key that signed the object `digest` as a thing of `kind`.

    Raises:
        SignatureError: If there is no signature, none by a known key, or a false one.
    """
    found = [_read_signature(store, key) for key in store.list(f"signatures/{digest}")]
    known = [item for item in found if item["key_id"] in keyring.keys]
    for item in known or found[:1] or [{}]:
        keyring.verify(kind, digest, item.get("signature", ""), item.get("key_id", ""))
    return known[0]["key_id"]


def _read_signature(store: Store, key: str) -> dict[str, str]:
    try:
        value = parse_json(store.get(key))
        return {name: str(value[name]) for name in ("signature", "key_id")}
    except (ValueError, KeyError, TypeError) as error:
        raise SignatureError(
            f"{key} in store {store.url} is no signature: {error!r}; delete it and sign again"
        ) from error


def _message(kind: str, digest: str) -> bytes:
    if "\n" in kind:  # else kind "a\nb" with digest "c" would read like kind "a" with digest "b\nc"
        raise ValueError(f"kind must be one line, got {kind!r}")
    return b"penstock-v1\n" + kind.encode() + b"\n" + digest.encode()


def _key_id(key: "Ed25519PublicKey") -> str:
    return digest_bytes(key.public_bytes_raw())[:_KEY_ID_LENGTH]


def _make_key(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(path, pem, what=_SECRET, setting="PENSTOCK_KEY")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise SettingsError(
            f"cannot look at the key {path}: {error.strerror}; check the rights on its folder"
        ) from error


def _read_private(path: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_secret(path, what=_SECRET)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{path} is no plain PEM private key: {error}; remove it to get a new one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path} holds a {type(key).__name__}, not an ed25519 key; remove it to get a new one")
    return key


def _read_public(path: Path) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path))
    except ValueError as error:
        raise SettingsError(f"{path} is no PEM public key: {error}; remove it from PENSTOCK_TRUSTED_KEYS") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(
            f"{path} holds a {type(key).__name__}, not an ed25519 key: remove it from PENSTOCK_TRUSTED_KEYS"
        )
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read the key {path}: {error.strerror}; check its owner and mode") from error
