"""Owns the archives that small raw files are packed into: tar, 64 MiB and more, hashed while they are written.

An archive ends at a file whose digest says so, so that a new file changes the archive that it goes into and few others.
"""

import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

from resources.errors import StoreError
from resources.storage.content import Description, StoredFile
from resources.storage.files import put_described
from resources.storage.folders import PACKS, Member
from resources.storage.store import Store

T = TypeVar("T")
PACK_BYTES = 64 * 2**20
LARGEST_PACK_BYTES = 128 * 2**20
_WAITING = 3
_BLOCK = tarfile.BLOCKSIZE


class Packs:
    """The archives of one folder: one is being written, those before it are on their way to the store.

    Args:
        store: Where they go.
        aside: Private folder for those that are not there yet.
        uploads: Runs the uploads.
    """

    def __init__(self, store: Store, aside: Path, uploads: ThreadPoolExecutor) -> None:
        self._store = store
        self._aside = aside
        self._uploads = uploads
        self._sent: dict[str, Future[StoredFile]] = {}
        self._open: _Pack | None = None
        self.members: list[Member] = []

    def add(self, files: Sequence[tuple[str, tuple[bytes, str]]]) -> None:
        """Append files, by name, each with its bytes and their digest; close the archive where a digest says so.

        Raises:
            StoreError: If scratch cannot be written, or the store, now or by an earlier archive.
        """
        for name, (data, digest) in files:
            pack = self._open = self._open or self._new()
            offset = pack.append(name, data)
            self.members.append(Member(name=name, stored=pack.name, offset=offset, size_bytes=len(data), digest=digest))
            full = pack.size_bytes >= PACK_BYTES and digest.endswith("0")
            if full or pack.size_bytes >= LARGEST_PACK_BYTES:
                self._close(pack)
        if self._open is not None:
            self._open.write()

    def finish(self) -> dict[str, StoredFile]:
        """Return the archives by name once all are stored."""
        if self._open is not None:
            self._close(self._open)
        return {name: work.result() for name, work in self._sent.items()}

    def _new(self) -> "_Pack":
        number = f"{len(self._sent):05d}.tar"
        return _Pack(f"{PACKS}/{number}", self._aside / number)

    def _close(self, pack: "_Pack") -> None:
        pack.end()
        self._open = None
        waiting = [work for work in self._sent.values() if not work.done()]
        if len(waiting) >= _WAITING:  # scratch holds a few archives at a time, not all
            waiting[0].result()
        self._sent[pack.name] = self._uploads.submit(self._send, pack)

    def _send(self, pack: "_Pack") -> StoredFile:
        try:
            file, tree = pack.description.finish()
            put_described(self._store, pack.path, file, tree)
            return file
        finally:
            pack.path.unlink()


class _Pack:
    """One archive that is being written."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.size_bytes = 0
        self.description = Description()
        self._pending: list[bytes] = []
        self._file: IO[bytes] = _explained(path, lambda: path.open("xb", buffering=0))

    def append(self, name: str, data: bytes) -> int:
        """Append a file and return where its bytes begin."""
        header = _header(name, len(data))
        offset = self.size_bytes + len(header)
        padding = -len(data) % _BLOCK
        self._pending += (header, data, bytes(padding))
        self.size_bytes = offset + len(data) + padding
        return offset

    def write(self) -> None:
        """Write and hash what was appended."""
        data = b"".join(self._pending)
        self._pending.clear()
        _explained(self.path, lambda: self._file.write(data))
        self.description.update(data)

    def end(self) -> None:
        """Write what a tar archive ends with."""
        self._pending.append(bytes(2 * _BLOCK))
        self.write()
        self._file.close()


def _explained(path: Path, work: Callable[[], T]) -> T:
    try:
        return work()
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}; free space, or choose another folder (PENSTOCK_SCRATCH)"
        ) from error


def _header(name: str, size_bytes: int) -> bytes:
    item = tarfile.TarInfo(name)
    item.size = size_bytes
    plain = name.isascii() and len(name) <= tarfile.LENGTH_NAME
    return item.tobuf(tarfile.USTAR_FORMAT if plain else tarfile.PAX_FORMAT, "utf-8", "strict")
