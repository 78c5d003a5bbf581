"""Owns the form of an encrypted value: a header and frames of AES-256-GCM, each bound to its name and its place.

    header   magic (8) | id of the data key (8) | size of the value (8) | salt (32) | sealed digest of the body (48)
    body     one frame for each 64 KiB of the value, at least one: ciphertext | tag (16)

The salt is a keyed hash of name and value, the key of the value is derived from data key and salt, the nonces count the
frames. So no two values share key and nonce, whoever writes them and whatever the random numbers of the host are worth;
equal values under one name become equal bytes, so that writers that race write the same; whoever watches the store sees
that a value came back. Name, size, number of the frame and whether it is the last are associated data:
a frame that was moved, doubled, cut off or put under another name does not open. Frames are as long as the blocks of
`resources.storage.content`: a read of some KB opens what it verifies.

The body's digest is that of `resources.storage.content`: by it the host's cache keeps the ciphertext.
"""

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from resources.storage.content import BLOCK_BYTES, CHUNK_BYTES, Bytes, chunk_digest, root_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"PNSTKAE1"
FRAME_BYTES = BLOCK_BYTES
TAG_BYTES = 16
HEADER_BYTES = 104
_ID_BYTES, _SALT_BYTES = 8, 32
_SALT_END = 56
_HEADER_NONCE = b"\xff" * 12
_OBJECT, _SALT = b"penstock 1 key of a value", b"penstock 1 salt of a value"
_ID_CONTEXT = "penstock 2026-11 id of an encryption key"


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key that all values of one store are encrypted under.

    Attributes:
        secret: 32 bytes.
    """

    secret: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """What may be shown of it, 8 bytes."""
        return key_id(self.secret)

    def salt(self, name: str, content: bytes) -> bytes:
        """Return the salt of the value with the digest `content` under `name`."""
        return hmac.digest(_derived(self.secret, b"", _SALT), name.encode() + b"\0" + content, "sha256")

    def cipher(self, salt: bytes) -> "AESGCM":
        """Return the cipher of the value with this salt."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(_derived(self.secret, salt, _OBJECT))


@dataclass(frozen=True)
class Sealed:
    """What the header of an encrypted value says, verified.

    Attributes:
        name: Key of the value in its store.
        size_bytes: Bytes of the value.
        body_digest: Digest of the encrypted frames.
        cipher: Opens the frames.
    """

    name: str
    size_bytes: int
    body_digest: str
    cipher: "AESGCM" = field(repr=False)

    @property
    def body_bytes(self) -> int:
        """Bytes of all encrypted frames."""
        return self.size_bytes + TAG_BYTES * self.frames

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return _frames(self.size_bytes)

    @cached_property
    def _bound(self) -> bytes:
        return _bound(self.name, self.size_bytes)

    def opened(self, first: int, data: Bytes) -> Iterator[bytes]:
        """Yield the plain frames of `data`, which holds whole encrypted frames from number `first` on.

        Raises:
            ValueError: If one is not what was written there.
        """
        view, number = memoryview(data), first
        for start in range(0, len(view), FRAME_BYTES + TAG_BYTES):
            frame = view[start : start + FRAME_BYTES + TAG_BYTES]
            yield _open(self.cipher, _nonce(number), frame, self._bound + _place(number, self.frames))
            number += 1


def key_id(secret: bytes) -> bytes:
    """Return what may be shown of a key, 8 bytes."""
    return blake3(secret, derive_key_context=_ID_CONTEXT).digest(length=_ID_BYTES)


def seal(key: DataKey, name: str, data: Bytes) -> bytes:
    """Return `data` as the encrypted value under `name`."""
    salt = key.salt(name, blake3(data).digest())
    pieces = list(_body(key, name, salt, [memoryview(data)], len(data)))
    digest = root_of([chunk_digest(piece) for piece in pieces], sum(map(len, pieces)))
    return b"".join([_header(key, name, salt, len(data), digest), *pieces])


def seal_file(key: DataKey, name: str, source: Path, target: Path) -> None:
    """Write the file `source` as the encrypted value under `name` to the new file `target`; it is read twice.

    Raises:
        OSError: If a file cannot be read or written, or `source` changes meanwhile.
    """
    hasher = blake3()
    size_bytes = source.stat().st_size
    with source.open("rb") as plain, target.open("xb") as sealed:
        for part in iter(lambda: plain.read(CHUNK_BYTES), b""):
            hasher.update(part)
        salt = key.salt(name, hasher.digest())
        plain.seek(0)
        again, chunks, body_bytes = blake3(), list[bytes](), 0
        sealed.write(bytes(HEADER_BYTES))
        for piece in _body(key, name, salt, _read(plain, again), size_bytes):
            chunks.append(chunk_digest(piece))
            sealed.write(piece)
            body_bytes += len(piece)
        if again.digest() != hasher.digest() or body_bytes != size_bytes + TAG_BYTES * _frames(size_bytes):
            raise OSError(f"{source} changed while it was encrypted")
        sealed.seek(0)
        sealed.write(_header(key, name, salt, size_bytes, root_of(chunks, body_bytes)))


def read_header(key: DataKey, name: str, data: Bytes) -> Sealed:
    """Return what the header of the value under `name` says.

    Args:
        key: Data key of the store.
        name: Key of the value in the store.
        data: The value, or its first `HEADER_BYTES` bytes.

    Raises:
        ValueError: If it is no header, or not that of this name.
    """
    head = bytes(memoryview(data)[:HEADER_BYTES])
    if not head.startswith(MAGIC):
        raise ValueError("it is not encrypted: somebody wrote it past the encryption")
    if len(head) < HEADER_BYTES:
        raise ValueError(f"it ends within its header of {HEADER_BYTES} bytes")
    found, size_bytes, salt = head[8:16], int.from_bytes(head[16:24], "big"), head[24:_SALT_END]
    if found != key.id:
        raise ValueError(f"it was encrypted with data key {found.hex()}, that of this store is {key.id.hex()}")
    cipher = key.cipher(salt)
    digest = _open(cipher, _HEADER_NONCE, head[_SALT_END:], _bound(name, size_bytes))
    return Sealed(name, size_bytes, digest.hex(), cipher)


def unseal(key: DataKey, name: str, data: Bytes) -> bytes:
    """Return the value under `name`.

    Raises:
        ValueError: If `data` is not what `seal` made.
    """
    sealed = read_header(key, name, data)
    if len(data) != HEADER_BYTES + sealed.body_bytes:
        raise ValueError(f"it has {len(data):,} bytes instead of {HEADER_BYTES + sealed.body_bytes:,}")
    return b"".join(sealed.opened(0, memoryview(data)[HEADER_BYTES:]))


def plain_bytes(stored_bytes: int) -> int:
    """Return how many bytes a value has whose encrypted form has `stored_bytes`.

    Raises:
        ValueError: If no encrypted value is as long as that.
    """
    body = stored_bytes - HEADER_BYTES
    size = body - TAG_BYTES * max(1, -(-body // (FRAME_BYTES + TAG_BYTES)))
    if size < 0 or HEADER_BYTES + size + TAG_BYTES * _frames(size) != stored_bytes:
        raise ValueError(f"it has {stored_bytes:,} bytes, as no encrypted value has")
    return size


def _derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)


def _header(key: DataKey, name: str, salt: bytes, size_bytes: int, digest: str) -> bytes:
    sealed = key.cipher(salt).encrypt(_HEADER_NONCE, bytes.fromhex(digest), _bound(name, size_bytes))
    return MAGIC + key.id + size_bytes.to_bytes(8, "big") + salt + sealed


def _body(key: DataKey, name: str, salt: bytes, parts: Iterable[Bytes], size_bytes: int) -> Iterator[bytes]:
    """Yield the encrypted frames, in pieces that are chunks of the body."""
    cipher, bound, frames = key.cipher(salt), _bound(name, size_bytes), _frames(size_bytes)
    waiting = bytearray()
    for number, frame in enumerate(_split(parts)):
        waiting += cipher.encrypt(_nonce(number), frame, bound + _place(number, frames))
        if len(waiting) >= CHUNK_BYTES:
            yield bytes(memoryview(waiting)[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)


def _read(plain: BinaryIO, hasher: "blake3") -> Iterator[bytes]:
    for part in iter(lambda: plain.read(CHUNK_BYTES), b""):
        hasher.update(part)
        yield part


def _split(parts: Iterable[Bytes]) -> Iterator[memoryview]:
    """Yield frames of `parts`, each of which but the last is whole frames; one empty frame of nothing."""
    empty = True
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), FRAME_BYTES):
            empty = False
            yield view[start : start + FRAME_BYTES]
    if empty:
        yield memoryview(b"")


def _open(cipher: "AESGCM", nonce: bytes, data: Bytes, bound: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    if len(data) < TAG_BYTES:
        raise ValueError("it was cut off")
    try:
        return cipher.decrypt(nonce, data, bound)
    except InvalidTag:
        raise ValueError("its bytes are not those that were written under this name") from None


def _frames(size_bytes: int) -> int:
    return max(1, -(-size_bytes // FRAME_BYTES))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _bound(name: str, size_bytes: int) -> bytes:
    return MAGIC + name.encode() + b"\0" + size_bytes.to_bytes(8, "big")


def _place(number: int, frames: int) -> bytes:
    return number.to_bytes(8, "big") + (b"\1" if number == frames - 1 else b"\0")
