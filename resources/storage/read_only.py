"""Owns the store that cannot be written: reads go to the store behind it, every write is an error before any I/O.

It holds whatever credentials and rights this process has; none of them is ever used to write.
"""

from pathlib import Path
from typing import NoReturn

from resources.errors import StoreError
from resources.storage.content import StoredFile
from resources.storage.store import Store


class ReadOnlyStore:
    """Reads from `store` and writes nothing to it."""

    def __init__(self, store: Store) -> None:
        self.behind = store

    @property
    def url(self) -> str:
        """That of the store behind it."""
        return self.behind.url

    def get(self, key: str) -> bytes:
        """Return the bytes under `key`."""
        return self.behind.get(key)

    def get_range(self, key: str, start: int, end: int) -> memoryview:
        """Return the bytes under `key` from `start` to before `end`."""
        return self.behind.get_range(key, start, end)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Return the bytes under `key` and their tag."""
        return self.behind.get_tagged(key)

    def exists(self, key: str) -> bool:
        """Return whether `key` exists."""
        return self.behind.exists(key)

    def size_bytes(self, key: str) -> int:
        """Return how many bytes lie under `key`."""
        return self.behind.size_bytes(key)

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below the folder `prefix`."""
        return self.behind.list(prefix)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return key to bytes of what lies below the folder `prefix`."""
        return self.behind.sizes(prefix)

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return key to stamp of what lies below the folder `prefix`."""
        return self.behind.stamps(prefix)

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the names of the folders in the folder `prefix`."""
        return self.behind.folders(prefix)

    def local(self, file: StoredFile) -> Path:
        """Return a local copy of `file`; of a folder it is the stored file itself, which nobody may write to."""
        return self.behind.local(file)

    @property
    def has_copies(self) -> bool:
        """Whether the store behind has any."""
        return self.behind.has_copies

    def open_local(self, file: StoredFile) -> int | None:
        """Return a descriptor of the host's copy of `file`, or None."""
        return self.behind.open_local(file)

    def landed(self, file: StoredFile, start: int, end: int) -> bytes | None:
        """Return bytes of `file` that a download has fetched or is about to, or None."""
        return self.behind.landed(file, start, end)

    def release_local(self, file: StoredFile) -> None:
        """Let go of one path that `local` returned."""
        self.behind.release_local(file)

    def forget_local(self, file: StoredFile) -> bool:
        """Drop a damaged copy in the host's cache, which is no part of the store."""
        return self.behind.forget_local(file)

    def create(self, key: str, data: bytes) -> bool:
        """Refuse."""
        self._refuse("create", key)

    def put(self, key: str, data: bytes) -> None:
        """Refuse."""
        self._refuse("write", key)

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        """Refuse."""
        self._refuse("replace", key)

    def upload(self, key: str, path: Path) -> bool:
        """Refuse."""
        self._refuse("create", key)

    def delete(self, key: str) -> None:
        """Refuse."""
        self._refuse("delete", key)

    def _refuse(self, operation: str, key: str) -> NoReturn:
        raise StoreError(
            f"cannot {operation} {key} in store {self.url}: it is a base store, which is only read "
            "(PENSTOCK_BASE_STORE); write to your own (PENSTOCK_STORE), or offer a result by `penstock data push`"
        )
