"""Owns the publishing of a folder of raw files: small ones packed into tar archives, large ones as they are.

What goes to the store is private: written to scratch and hashed on the way, since a store may link in what it is given,
and the files of a user may change later. The same files give the same version, whatever their times and owners.
"""

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from resources.errors import SourceError
from resources.storage.content import CHUNK_BYTES, Description, StoredFile, chunk_digest
from resources.storage.files import put_described, put_file
from resources.storage.folders import PACKS, FolderManifest, Member, check_name, encode
from resources.storage.garbage.guard import deletions, note_whole, settle
from resources.storage.garbage.walk import file_keys
from resources.storage.objects import put_object
from resources.storage.packs import Packs
from resources.storage.placing import reflink
from resources.storage.scratch import ScratchFolder
from resources.storage.store import Store

_READERS = 4
_UPLOADS = 3
_BATCH = 64


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
    found = _files(folder)
    if not found:
        raise SourceError(f"folder {folder} holds no file: name a folder with files in it")
    before = deletions(store)
    aside = ScratchFolder(scratch)
    try:
        with ThreadPoolExecutor(_UPLOADS) as uploads:
            alone = {
                name: uploads.submit(_put_alone, store, folder / name, aside.path)
                for name, size_bytes in found.items()
                if size_bytes > CHUNK_BYTES
            }
            packs = Packs(store, aside.path, uploads)
            _pack(packs, folder, [name for name in found if name not in alone])
            stored = packs.finish() | {name: work.result() for name, work in alone.items()}
    finally:
        aside.remove()
    members = [*packs.members, *(_alone(name, stored[name]) for name in alone)]
    made = FolderManifest(stored=stored, members=tuple(sorted(members, key=lambda member: member.name)))
    # A file that was there already may be garbage that waits for its end.
    settled = settle(store, lambda: [key for file in stored.values() for key in file_keys(file)], since=before)
    digest = put_object(store, encode(made))
    note_whole(store, digest, settled)
    return digest


def _files(folder: Path) -> dict[str, int]:
    """Return name and bytes of every file, by name."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder: name one that holds the files")
    found = dict(_below(str(folder), ""))
    return {name: found[name] for name in sorted(found)}


def _below(folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    yield from _below(entry.path, f"{name}/")
                elif entry.is_file():
                    yield _checked(name), entry.stat().st_size
                else:
                    raise SourceError(
                        f"{entry.path} is neither a file nor a folder, or a link to a folder: remove it, or copy it in"
                    )
    except OSError as error:
        raise _unreadable(error) from error


def _checked(name: str) -> str:
    try:
        check_name(name)
    except ValueError as error:
        raise SourceError(f"{error}; rename it, then import the folder again") from None
    if name.startswith(f"{PACKS}/"):
        raise SourceError(f"{name!r}: the folder name {PACKS} is taken by the archives: rename it, then import again")
    return name


def _pack(packs: Packs, folder: Path, names: list[str]) -> None:
    batches = [names[start : start + _BATCH] for start in range(0, len(names), _BATCH)]
    ahead: list[Future[list[tuple[bytes, str]]]] = []
    with ThreadPoolExecutor(_READERS) as pool:
        for number, batch in enumerate(batches):
            ahead += [pool.submit(_read, folder, item) for item in batches[number + len(ahead) : number + _READERS + 1]]
            packs.add(list(zip(batch, ahead.pop(0).result(), strict=True)))


def _read(folder: Path, names: list[str]) -> list[tuple[bytes, str]]:
    """Return bytes and digest of some small files."""
    found: list[tuple[bytes, str]] = []
    for name in names:
        path = f"{folder}/{name}"
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (thousands of files: a Path each is felt)
                data = file.read()
        except OSError as error:
            raise _unreadable(error) from error
        if len(data) > CHUNK_BYTES:
            raise SourceError(f"{path} grew while it was read: import the folder when nobody writes to it")
        found.append((data, chunk_digest(data).hex()))
    return found


def _put_alone(store: Store, path: Path, aside: Path) -> StoredFile:
    copy = aside / secrets.token_hex(8)
    try:
        if reflink(path, copy):
            return put_file(store, copy)
        description = Description()
        with path.open("rb", buffering=0) as source, copy.open("wb", buffering=0) as target:
            while data := source.read(CHUNK_BYTES):
                target.write(data)
                description.update(data)
        file, tree = description.finish()
        put_described(store, copy, file, tree)
        return file
    except OSError as error:
        raise SourceError(
            f"cannot copy {path} to {aside}: {error.strerror or error}; make it readable, free space"
        ) from error
    finally:
        copy.unlink(missing_ok=True)


def _alone(name: str, file: StoredFile) -> Member:
    return Member(name=name, stored=name, offset=0, size_bytes=file.size_bytes, digest=file.digest)


def _unreadable(error: OSError) -> SourceError:
    return SourceError(f"cannot read {error.filename}: {error.strerror}; make it readable, then import again")
