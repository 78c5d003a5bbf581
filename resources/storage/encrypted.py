"""Owns the store whose values are encrypted: everything that goes to the store behind it, and to the host's cache.

Keys stay as they are, so whoever sees the store sees which assets there are, how large their files are, and whether it
holds a file that he has himself. Plain bytes are in the memory of the process alone (`resources.storage.plain_copies`).
An empty store becomes an encrypted one by the first write; one that holds plain values never does.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeVar

from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.storage.content import StoredFile
from resources.storage.data_key import begin, load_user_key, read_envelope, unwrap
from resources.storage.encrypted_body import EncryptedBody, frames_in
from resources.storage.folder import FolderStore
from resources.storage.header_cache import HeaderCache
from resources.storage.layered import own_layer
from resources.storage.object_store import ObjectStore
from resources.storage.plain_copies import PlainCopies
from resources.storage.read_only import ReadOnlyStore
from resources.storage.scratch import ScratchFolder
from resources.storage.sealing import (
    FRAME_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    DataKey,
    Sealed,
    plain_bytes,
    read_header,
    seal,
    seal_file,
    unseal,
)
from resources.storage.store import ENCRYPTION, Store, check_key

_IN_MEMORY_BYTES = 8 * 2**20
_FRAME = FRAME_BYTES + TAG_BYTES
_ATTEMPTS = 2  # the way here may have hurt the bytes
_USUAL = ("refs", "registry", "")  # where a store that holds anything holds something, the last for any other
R = TypeVar("R")
S = TypeVar("S")


class EncryptedStore:
    """Encrypts what goes to `store` and decrypts what comes from it.

    Args:
        store: Holds the ciphertext; its cache, if it has one, holds ciphertext too.
        key: File of the user's key.
        scratch: Folder for unfinished ciphertext.
    """

    def __init__(self, store: FolderStore | ObjectStore, *, key: Path, scratch: Path) -> None:
        self.behind = store
        self._key_file = key
        self._scratch = scratch
        self._data_key: DataKey | None = None
        self._lock = Lock()
        self._headers = HeaderCache(store.cache.root / "headers" if isinstance(store, ObjectStore) else None)
        self._copies = PlainCopies()

    @property
    def url(self) -> str:
        """That of the store behind it."""
        return self.behind.url

    def get(self, key: str) -> bytes:
        """Return the value under `key`, decrypted."""
        data_key = self._reading(key)
        return self._tried(key, lambda: self.behind.get(key), lambda data: unseal(data_key, key, data))

    def get_range(self, key: str, start: int, end: int) -> memoryview:
        """Return the bytes of the value from `start` to before `end`; of it only the frames that hold them are read."""
        self._reading(key)
        return self._tried(key, lambda: self._header(key), lambda sealed: self._range(sealed, start, end))

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Return the value under `key`, and the tag of its ciphertext."""
        data_key = self._reading(key)
        return self._tried(
            key, lambda: self.behind.get_tagged(key), lambda found: (unseal(data_key, key, found[0]), found[1])
        )

    def create(self, key: str, data: bytes) -> bool:
        """Encrypt and write `data` unless the key exists."""
        return self.behind.create(key, seal(self._writing(key), key, data))

    def put(self, key: str, data: bytes) -> None:
        """Encrypt `data`, and write or replace the value under `key`."""
        self.behind.put(key, seal(self._writing(key), key, data))

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        """Encrypt `data`, and replace the value under `key` if it still is the one that `tag` came with."""
        return self.behind.swap(key, seal(self._writing(key), key, data), tag=tag)

    def upload(self, key: str, path: Path) -> bool:
        """Encrypt the finished file `path` into scratch and upload that; the file itself is never linked in."""
        data_key = self._writing(key)
        if self.behind.exists_durably(key):
            return False
        try:
            if path.stat().st_size <= _IN_MEMORY_BYTES:
                return self.behind.create(key, seal(data_key, key, path.read_bytes()))
            with self._aside() as folder:
                seal_file(data_key, key, path, folder / "sealed")
                return self.behind.upload(key, folder / "sealed")
        except OSError as error:
            raise StoreError(
                f"cannot encrypt {path} into {self._scratch}: {error.strerror or error}; free some space there or "
                "choose another folder (PENSTOCK_SCRATCH), then run again"
            ) from error

    def exists(self, key: str) -> bool:
        """Return whether `key` exists; its value is not opened."""
        return self.behind.exists(self._checked(key)) and self._key() is not None

    def size_bytes(self, key: str) -> int:
        """Return how many bytes the value has, as the length of its ciphertext tells."""
        self._reading(key)
        return self._tried(key, lambda: self.behind.size_bytes(key), plain_bytes)

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below the folder `prefix`, without that of the envelope."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return key to bytes that lie below the folder `prefix`, which are those of the ciphertext."""
        if self._key() is None:
            return {}
        return {key: size for key, size in self.behind.sizes(prefix).items() if key != ENCRYPTION}

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return key to stamp of the ciphertext of what lies below the folder `prefix`."""
        if self._key() is None:
            return {}
        return {key: stamp for key, stamp in self.behind.stamps(prefix).items() if key != ENCRYPTION}

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the names of the folders in the folder `prefix`."""
        return () if self._key() is None else self.behind.folders(prefix)

    def delete(self, key: str) -> None:
        """Remove `key` if it exists."""
        self._checked(key)
        if self._key() is not None:
            self._headers.drop(self._header_name(key))
            self.behind.delete(key)

    def local(self, file: StoredFile) -> Path:
        """Return a path of the plain bytes, which are in the memory of this process and on no disk."""
        self._reading(file.key)
        return self._tried(
            file.key,
            lambda: None,
            lambda _: self._copies.lease(file.digest, file.size_bytes, lambda: self._decrypted(file)),
        )

    @property
    def has_copies(self) -> bool:
        """False: what stays is ciphertext."""
        return False

    def open_local(self, file: StoredFile) -> int | None:
        """Return a descriptor of the plain copy of `file` that this process holds, or None."""
        return self._copies.opened(file.digest)

    def landed(self, file: StoredFile, start: int, end: int) -> bytes | None:
        """Return None: what is downloaded is ciphertext under another name."""
        return None

    def release_local(self, file: StoredFile) -> None:
        """Let go of one path that `local` returned; with the last one the plain bytes are gone."""
        self._copies.release(file.digest)

    def forget_local(self, file: StoredFile) -> bool:
        """Return False: plain bytes are decrypted anew by each first reader, from what proved to be authentic."""
        return False

    def _range(self, sealed: Sealed, start: int, end: int) -> memoryview:
        end = min(end, sealed.size_bytes)
        if start >= end:
            return memoryview(b"")
        first, last = start // FRAME_BYTES, -(-end // FRAME_BYTES)
        place = HEADER_BYTES + first * _FRAME
        wanted = min(last * _FRAME, sealed.body_bytes) - first * _FRAME
        data = self.behind.get_range(sealed.name, place, place + wanted)
        if len(data) != wanted:
            raise ValueError("it was cut off")
        offset = first * FRAME_BYTES
        return memoryview(b"".join(sealed.opened(first, data)))[start - offset : end - offset]

    def _decrypted(self, file: StoredFile) -> Iterator[bytes]:
        """Yield the plain frames of a file, from the host's copy of its ciphertext or from the folder."""
        sealed = self._header(file.key)
        if sealed.size_bytes != file.size_bytes:
            raise ValueError(f"it is {sealed.size_bytes:,} bytes long, its manifest says {file.size_bytes:,}")
        if not isinstance(self.behind, ObjectStore):
            yield from frames_in(sealed, self.behind.local(file), HEADER_BYTES)
            return
        cache, body = self.behind.cache, EncryptedBody(self.behind, sealed)
        path = cache.lease(sealed.body_digest, body)
        try:
            yield from frames_in(sealed, path, 0)
        except ValueError:
            cache.mend(sealed.body_digest, body)
            raise
        finally:
            cache.release(sealed.body_digest)

    def _header(self, key: str) -> Sealed:
        data_key, name = self._reading(key), self._header_name(key)
        known = self._headers.get(name) if key.startswith("files/") else None  # other keys may get another value
        if known is not None:
            try:
                return read_header(data_key, key, known)
            except ValueError:
                self._headers.drop(name)
        data = bytes(self.behind.get_range(key, 0, HEADER_BYTES))
        sealed = read_header(data_key, key, data)
        if key.startswith("files/"):
            self._headers.add(name, data)
        return sealed

    def _header_name(self, key: str) -> str:
        return f"{self._data_key.id.hex() if self._data_key else ''} {key}"

    def _tried(self, key: str, read: Callable[[], S], open_: Callable[[S], R]) -> R:
        why = ""
        for _ in range(_ATTEMPTS):
            try:
                return open_(read())
            except ValueError as error:
                why = str(error)
                self._headers.drop(self._header_name(key))
        raise IntegrityError(
            f"{key} in store {self.url} cannot be decrypted: {why}; delete it there and make it again, or restore it "
            "from a backup"
        )

    def _reading(self, key: str) -> DataKey:
        self._checked(key)
        data_key = self._key()
        if data_key is None:
            raise ObjectMissing(
                f"no object {key} in store {self.url}, which is empty: check PENSTOCK_STORE, or make it again"
            )
        return data_key

    def _writing(self, key: str) -> DataKey:
        self._checked(key)
        if self._key() is None:
            begin(self.behind, load_user_key(self._key_file))
        return self._reading(key)

    def _checked(self, key: str) -> str:
        if check_key(key) == ENCRYPTION:
            raise StoreError(f"{key} holds the data key of store {self.url}: only `penstock data key` may touch it")
        return key

    def _key(self) -> DataKey | None:
        """Return the data key, or None while the store is empty."""
        with self._lock:
            if self._data_key is None:
                user_key, envelope = load_user_key(self._key_file), read_envelope(self.behind)
                if envelope is not None:
                    self._data_key = unwrap(self.behind, envelope, user_key, path=self._key_file)
                elif any(self.behind.list(folder) for folder in _USUAL) and read_envelope(self.behind) is None:
                    raise StoreError(
                        f"store {self.url} holds plain values: unset PENSTOCK_ENCRYPTION_KEY (for a base store "
                        "PENSTOCK_BASE_ENCRYPTION_KEY), or begin an encrypted store in an empty place"
                    )
            return self._data_key

    @contextmanager
    def _aside(self) -> Generator[Path]:
        folder = ScratchFolder(self._scratch)
        try:
            yield folder.path
        finally:
            folder.remove()


def is_encrypted(store: Store) -> bool:
    """Return whether what is written to `store` is encrypted there, so that it is no DVC remote."""
    layer = own_layer(store)
    return isinstance(layer.behind if isinstance(layer, ReadOnlyStore) else layer, EncryptedStore)
