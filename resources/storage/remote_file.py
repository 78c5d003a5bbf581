"""Owns one file of a store of objects, as the cache of the host fetches it: by ranges, or as it comes."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from resources.errors import IntegrityError
from resources.storage.content import StoredFile

if TYPE_CHECKING:
    from resources.storage.object_store import ObjectStore


class RemoteFile:
    """One file of a store.

    Args:
        store: The store.
        file: The file.
        is_far: Whether the store answers late.
    """

    def __init__(self, store: "ObjectStore", file: StoredFile, *, is_far: bool = False) -> None:
        self._store = store
        self._file = file
        self.is_far = is_far

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"file {self._file.digest} in store {self._store.url}"

    @property
    def size_bytes(self) -> int:
        """Its bytes."""
        return self._file.size_bytes

    def read(self, start: int, end: int) -> memoryview:
        """Return its bytes from `start` to before `end`.

        Raises:
            IntegrityError: If it ends sooner.
        """
        data = self._store.fetch(self._file.key, start, end)
        if len(data) != end - start and (found := self._store.size_bytes(self._file.key)) != self._file.size_bytes:
            raise cut_short(self._store.url, self._file, found)
        return data

    def stream(self, land: Callable[[int, Iterator[memoryview]], None], landed: Callable[[], int], end: int) -> None:
        """Give `land` its pieces; see `resources.storage.inflow.Flow`."""
        self._store.stream(self._file, land, landed, end)


def cut_short(url: str, file: StoredFile, found_bytes: int) -> IntegrityError:
    """Return the error of a file that has other bytes in the store at `url` than its manifest says."""
    return IntegrityError(
        f"file {file.digest} in store {url} was altered: it has {found_bytes:,} bytes there, its manifest says "
        f"{file.size_bytes:,}; delete {file.key} there and make it again, or restore it from a backup"
    )
