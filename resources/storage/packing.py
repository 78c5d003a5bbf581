"""Owns the publishing of a folder of raw files: small ones packed into tar archives of 64 MiB and more.

An archive ends at a file whose digest says so, so that a new file changes the archive that it goes into and few others.
The same files give the same version, whatever their times and owners.
"""

import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from resources.errors import SourceError
from resources.storage.content import CHUNK_BYTES, StoredFile, chunk_digest
from resources.storage.files import put_file
from resources.storage.folders import PACKS, FolderManifest, Member, check_name, encode
from resources.storage.garbage.guard import deletions, settle
from resources.storage.garbage.walk import file_keys
from resources.storage.objects import put_object
from resources.storage.placing import reflink
from resources.storage.scratch import ScratchFolder
from resources.storage.store import Store

PACK_BYTES = 64 * 2**20
LARGEST_PACK_BYTES = 128 * 2**20
_READERS = 8
_UPLOADS = 3
_BATCH = 256
_BLOCK = tarfile.BLOCKSIZE


def put_folder(store: Store, folder: Path, *, scratch: Path) -> str:
    """Store the files below `folder` as one version and return its digest; storing it again changes nothing.

    Args:
        store: Where they go.
        folder: The folder; it must not change meanwhile. Links to files are followed.
        scratch: Folder for unfinished archives and copies.

    Raises:
        SourceError: If a file cannot be read or named, or the folder holds none.
        StoreError: If scratch or store cannot be written.
        ConflictError: If a file was deleted as garbage since it was stored, which takes a day at least.
    """
    found = dict(_files(folder))
    if not found:
        raise SourceError(f"folder {folder} holds no file: name a folder with files in it")
    before = deletions(store)
    aside = ScratchFolder(scratch)
    try:
        with ThreadPoolExecutor(_UPLOADS) as uploads:
            packs = _Packs(store, aside.path, uploads)
            alone = {
                name: uploads.submit(_put_alone, store, path, aside.path)
                for name, path in found.items()
                if _large(path)
            }
            _pack(packs, {name: path for name, path in found.items() if name not in alone})
            stored = packs.finish() | {name: work.result() for name, work in alone.items()}
    finally:
        aside.remove()
    members = [*packs.members, *(_alone(name, stored[name]) for name in alone)]
    made = FolderManifest(stored=stored, members=tuple(sorted(members, key=lambda member: member.name)))
    # A file that was there already may be garbage that waits for its end.
    settle(store, lambda: [key for file in stored.values() for key in file_keys(file)], since=before)
    return put_object(store, encode(made))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every file, by name."""
    names: dict[str, Path] = {}
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder: name one that holds the files")
    for parent, folders, files in os.walk(folder, onerror=_unreadable):
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            if not path.is_file():
                raise SourceError(
                    f"{path} is neither a file nor a folder, or a link to a folder: remove it, or copy it in"
                )
            names[path.relative_to(folder).as_posix()] = path
    for name in sorted(names):
        yield _checked(name), names[name]


def _checked(name: str) -> str:
    try:
        check_name(name)
    except ValueError as error:
        raise SourceError(f"{error}; rename it, then import the folder again") from None
    if name.split("/", maxsplit=1)[0] == PACKS:
        raise SourceError(f"{name!r}: the folder name {PACKS} is taken by the archives: rename it, then import again")
    return name


def _unreadable(error: OSError) -> None:
    raise SourceError(f"cannot read {error.filename}: {error.strerror}; make it readable, then import again")


def _large(path: Path) -> bool:
    return path.stat().st_size > CHUNK_BYTES


def _pack(packs: "_Packs", files: dict[str, Path]) -> None:
    names = list(files)
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(names), _BATCH):  # memory holds one batch
            batch = names[start : start + _BATCH]
            for name, (data, digest) in zip(batch, pool.map(lambda name: _read(files[name]), batch), strict=True):
                packs.add(name, data, digest)


def _read(path: Path) -> tuple[bytes, str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        _unreadable(error)
        raise
    if len(data) > CHUNK_BYTES:
        raise SourceError(f"{path} grew while it was read: import the folder when nobody writes to it")
    return data, chunk_digest(data).hex()


def _put_alone(store: Store, path: Path, aside: Path) -> StoredFile:
    # The store may link what it is given in, and a file of the user may change after this.
    copy = aside / f"{path.stat().st_ino}-{os.urandom(6).hex()}"
    try:
        if not reflink(path, copy):
            shutil.copyfile(path, copy)
    except OSError as error:
        raise SourceError(
            f"cannot copy {path} to {copy.parent}: {error.strerror}; make it readable and free space"
        ) from error
    try:
        return put_file(store, copy)
    finally:
        copy.unlink()


def _alone(name: str, file: StoredFile) -> Member:
    return Member(name=name, stored=name, offset=0, size_bytes=file.size_bytes, digest=file.digest)


class _Packs:
    """The archives of one folder: one is being written, those before it are on their way to the store."""

    def __init__(self, store: Store, aside: Path, uploads: ThreadPoolExecutor) -> None:
        self._store = store
        self._aside = aside
        self._uploads = uploads
        self._sent: dict[str, Future[StoredFile]] = {}
        self._file: IO[bytes] | None = None
        self._name = ""
        self.members: list[Member] = []

    def add(self, name: str, data: bytes, digest: str) -> None:
        """Append a file, and close the archive where its digest says so."""
        if self._file is None:
            self._name = f"{PACKS}/{len(self._sent):05d}.tar"
            self._file = self._path(self._name).open("xb")
        header = _header(name, len(data))
        offset = self._file.tell() + len(header)
        self._file.write(header + data + bytes(-len(data) % _BLOCK))
        self.members.append(Member(name=name, stored=self._name, offset=offset, size_bytes=len(data), digest=digest))
        size_bytes = self._file.tell()
        if (size_bytes >= PACK_BYTES and digest.endswith("0")) or size_bytes >= LARGEST_PACK_BYTES:
            self._close(self._file)

    def finish(self) -> dict[str, StoredFile]:
        """Return the archives by name once all are stored."""
        if self._file is not None:
            self._close(self._file)
        return {name: work.result() for name, work in self._sent.items()}

    def _close(self, file: IO[bytes]) -> None:
        file.write(bytes(2 * _BLOCK))
        file.close()
        self._file = None
        waiting = [work for work in self._sent.values() if not work.done()]
        if len(waiting) >= _UPLOADS:  # scratch holds a few archives at a time, not all
            waiting[0].result()
        self._sent[self._name] = self._uploads.submit(self._send, self._path(self._name))

    def _send(self, path: Path) -> StoredFile:
        try:
            return put_file(self._store, path)
        finally:
            path.unlink()

    def _path(self, name: str) -> Path:
        return self._aside / name.rsplit("/", 1)[1]


def _header(name: str, size_bytes: int) -> bytes:
    item = tarfile.TarInfo(name)
    item.size = size_bytes
    return item.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
