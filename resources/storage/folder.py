"""Owns the store in a local or network folder: files appear whole, durable and under their final name, or not at all.

Every write goes aside into `.staging`, is flushed to the disk, and is then linked (create) or renamed (replace) into
place; links make `create` atomic among processes and hosts, a lock makes `swap` so. File systems without hard links are
not usable.
"""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from resources.canonical import digest_bytes
from resources.durable import sync, sync_folder
from resources.errors import ObjectMissing, StoreError
from resources.storage.cache.locks import locked
from resources.storage.content import StoredFile
from resources.storage.store import check_key

STAGING = ".staging"
STALE_S = 86_400.0
"""Age in seconds after which a staging file belongs to a killed process."""
SWAP_PATIENCE_S = 60.0
"""Longest wait in seconds for another writer of the same key, who writes one small file."""
_LOCK = "swap-"
_REMEDIES = {
    errno.ENOSPC: "free some space, or move the store to a larger disk (PENSTOCK_STORE)",
    errno.EDQUOT: "the disk quota is used up: free some space, or move the store (PENSTOCK_STORE)",
    errno.EROFS: "it is mounted read-only: mount it writable, or choose another store (PENSTOCK_STORE)",
    errno.EACCES: "give this user read and write access to the folder",
    errno.EPERM: "give this user read and write access; the file system must support hard links",
    errno.ENOTDIR: "a file stands where a folder should be: choose another folder (PENSTOCK_STORE)",
    errno.EEXIST: "a file stands where a folder should be: choose another folder (PENSTOCK_STORE)",
    errno.EMLINK: "the file has too many links: copy the store to another file system",
}


class FolderStore:
    """A store in one folder, made on the first write."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._swept = False

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._root)

    def get(self, key: str) -> bytes:
        """Return the bytes under `key`."""
        with self._explained("read", key):
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                raise self._missing(key) from None

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` unless the key exists; return whether it was written."""
        target = self._path(key)
        with self._explained("create", key):
            if _exists(target):
                return _exists_durably(target)
            with self._aside() as aside:
                _write(aside, data)
                return self._link(aside, target)

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the bytes under `key`."""
        target = self._path(key)
        with self._explained("write", key), self._aside() as aside:
            _write(aside, data)
            self._make_folder(target.parent)
            aside.replace(target)
            sync_folder(target.parent)

    def get_range(self, key: str, start: int, end: int) -> memoryview:
        """Return the bytes under `key` from `start` to before `end`."""
        with self._explained("read", key):
            try:
                descriptor = os.open(self._path(key), os.O_RDONLY)
            except FileNotFoundError:
                raise self._missing(key) from None
            try:
                return memoryview(os.pread(descriptor, end - start, start))
            finally:
                os.close(descriptor)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Return the bytes under `key` and their digest."""
        data = self.get(key)
        return data, digest_bytes(data)

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        """Replace the bytes under `key` if their digest still is `tag`, under a lock that all hosts respect."""
        if tag is None:
            return self.create(key, data)
        target = self._path(key)
        with self._explained("replace", key), self._aside() as aside, self._alone(key):
            try:
                if digest_bytes(target.read_bytes()) != tag:
                    return False
            except FileNotFoundError:
                return False
            _write(aside, data)
            aside.replace(target)
            sync_folder(target.parent)
            return True

    def upload(self, key: str, path: Path) -> bool:
        """Link the finished file `path` under `key`, or copy it from another file system."""
        target = self._path(key)
        with self._explained("create", key):
            if _exists(target):
                return _exists_durably(target)
            sync(path)
            try:
                return self._link(path, target)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                    raise
            with self._aside() as aside:
                shutil.copyfile(path, aside)
                sync(aside)
                return self._link(aside, target)

    def exists(self, key: str) -> bool:
        """Return whether `key` exists."""
        with self._explained("look up", key):
            return _exists(self._path(key))

    def exists_durably(self, key: str) -> bool:
        """Return whether `key` exists, after its name was flushed."""
        target = self._path(key)
        with self._explained("look up", key):
            return _exists(target) and not _exists_durably(target)

    def size_bytes(self, key: str) -> int:
        """Return how many bytes lie under `key`."""
        with self._explained("look up", key):
            try:
                return self._path(key).stat().st_size
            except FileNotFoundError:
                raise self._missing(key) from None

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below the folder `prefix`."""
        with self._explained("list", prefix):
            return sorted(self._key_of(file) for file in _files(self._folder(prefix)))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return key to bytes of what lies below the folder `prefix`."""
        return {key: status.st_size for key, status in self._looked_up(prefix)}

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return key to file, bytes and time of what lies below the folder `prefix`: a replacement is a new file."""
        return {
            key: f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}" for key, status in self._looked_up(prefix)
        }

    def _looked_up(self, prefix: str) -> "list[tuple[str, os.stat_result]]":
        found: dict[str, os.stat_result] = {}
        with self._explained("list", prefix):
            for file in _files(self._folder(prefix)):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    found[self._key_of(file)] = file.stat()
        return sorted(found.items())

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the sorted names of the folders in the folder `prefix`."""
        with self._explained("list", prefix), suppress(FileNotFoundError, NotADirectoryError):
            entries = [entry for entry in os.scandir(self._folder(prefix)) if not entry.name.startswith(".")]
            held = [entry.name for entry in entries if entry.is_dir() and next(_files(Path(entry.path)), None)]
            return tuple(sorted(held))
        return ()

    def delete(self, key: str) -> None:
        """Remove `key` if it exists."""
        path = self._path(key)
        with self._explained("delete", key):
            if _exists(path):
                path.unlink(missing_ok=True)
                sync_folder(path.parent)

    def local(self, file: StoredFile) -> Path:
        """Return the stored file itself."""
        if not self.exists(file.key):
            raise self._missing(file.key)
        return self._path(file.key)

    @property
    def has_copies(self) -> bool:
        """False: the store itself is read."""
        return False

    def open_local(self, file: StoredFile) -> int | None:
        """Return None: there is no copy beside the store."""
        return None

    def landed(self, file: StoredFile, start: int, end: int) -> bytes | None:
        """Return None: nothing is downloaded."""
        return None

    def release_local(self, file: StoredFile) -> None:
        """Do nothing: the stored file itself is never evicted."""

    def forget_local(self, file: StoredFile) -> bool:
        """Return False: there is no copy beside the store."""
        return False

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _folder(self, prefix: str) -> Path:
        return self._path(prefix.rstrip("/")) if prefix.rstrip("/") else self._root

    def _key_of(self, file: "os.DirEntry[str]") -> str:
        return Path(file.path).relative_to(self._root).as_posix()

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(f"no object {key} in store {self.url}: check PENSTOCK_STORE, or make it again")

    @contextmanager
    def _explained(self, operation: str, key: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "check the folder and its file system")
            raise StoreError(f"cannot {operation} {key} in store {self.url}: {error.strerror}; {remedy}") from error

    @contextmanager
    def _aside(self) -> Generator[Path]:
        staging = self._root / STAGING
        self._make_folder(staging)
        if not self._swept:
            self._swept = True
            _sweep(staging)
        path = staging / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            yield path
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _alone(self, key: str) -> AbstractContextManager[bool]:
        """Hold the lock of a mutable key; the kernel frees it when its holder dies, and one that hangs is named."""
        file = self._root / STAGING / f"{_LOCK}{digest_bytes(key.encode())[:2]}"
        return locked(file, patience_s=SWAP_PATIENCE_S)

    def _link(self, source: Path, target: Path) -> bool:
        self._make_folder(target.parent)
        try:
            os.link(source, target)
        except FileExistsError:
            return _exists_durably(target)
        sync_folder(target.parent)
        return True

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _exists_durably(target: Path) -> bool:
    # The other writer may not have flushed the folder yet; whoever relies on the object must not outlive it.
    sync_folder(target.parent)
    return False


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _files(folder: Path) -> "Iterator[os.DirEntry[str]]":
    if not _exists(folder) or folder.is_file():
        return
    for entry in list(os.scandir(folder)):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path))
        else:
            yield entry


def _sweep(staging: Path) -> None:
    """Remove what killed processes left behind."""
    oldest = time.time() - STALE_S
    for path in staging.iterdir():
        with suppress(OSError):
            # A lock that is held stays, however old it looks: without its file it would keep nobody out.
            if not path.name.startswith(_LOCK) and path.stat().st_mtime < oldest:
                path.unlink()
