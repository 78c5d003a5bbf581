"""Owns the encrypted body of one file: how the host's cache fetches it, and how it is read from a local file."""

from collections.abc import Iterator
from pathlib import Path

from resources.errors import IntegrityError, StoreError
from resources.storage.object_store import ObjectStore
from resources.storage.sealing import FRAME_BYTES, HEADER_BYTES, TAG_BYTES, Sealed

_READ_FRAMES = 64
_FRAME = FRAME_BYTES + TAG_BYTES


class EncryptedBody:
    """The encrypted frames of one file, as the cache fetches them."""

    def __init__(self, store: ObjectStore, sealed: Sealed) -> None:
        self._store = store
        self._sealed = sealed

    @property
    def name(self) -> str:
        """What it is and where, for people."""
        return f"encrypted file {self._sealed.name} in store {self._store.url}"

    @property
    def size_bytes(self) -> int:
        """Bytes of the ciphertext, without the header."""
        return self._sealed.body_bytes

    def read(self, start: int, end: int) -> memoryview:
        """Return ciphertext from `start` to before `end`.

        Raises:
            IntegrityError: If the value has another length than its header says.
        """
        data = self._store.fetch(self._sealed.name, HEADER_BYTES + start, HEADER_BYTES + end)
        wanted = HEADER_BYTES + self._sealed.body_bytes
        if len(data) != end - start and (found := self._store.size_bytes(self._sealed.name)) != wanted:
            raise IntegrityError(
                f"{self.name} was altered: it has {found:,} bytes there, its header says {wanted:,}; delete it there "
                "and make it again, or restore it from a backup"
            )
        return data


def frames_in(sealed: Sealed, path: Path, offset: int) -> Iterator[bytes]:
    """Yield the plain frames of the body that begins at `offset` of the file `path`.

    Raises:
        ValueError: If it is not the body that the header belongs to.
        StoreError: If the file cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            for first in range(0, sealed.frames, _READ_FRAMES):
                wanted = min(_READ_FRAMES * _FRAME, sealed.body_bytes - first * _FRAME)
                if len(data := file.read(wanted)) != wanted:
                    raise ValueError("it was cut off")
                yield from sealed.opened(first, data)
            if file.read(1):
                raise ValueError("it has bytes after its end")
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; check the disk, then run again") from error
