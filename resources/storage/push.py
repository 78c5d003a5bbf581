"""Owns the way of a version into another store: with everything it was made of, verified, its manifest last.

Whoever is killed on the way leaves files that no manifest names; pushing again copies what is still missing. It moves
no ref and touches no log; what is there is never replaced.
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from threading import Lock

from resources.errors import IntegrityError
from resources.storage.content import CHUNK_BYTES, StoredFile
from resources.storage.files import borrowed, get_bytes, tree_key, tree_of
from resources.storage.folder import FolderStore
from resources.storage.objects import get_object, has_object, object_key
from resources.storage.provenance import record, records_of
from resources.storage.scratch import ScratchFolder
from resources.storage.store import Store
from resources.storage.versions import version

_FILES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push came to.

    Attributes:
        copied: Versions that the target lacked.
        there: Versions that it had.
        absent: Versions that are recorded as ancestors, but that the source does not hold any more.
        copied_files: Files and objects that were copied.
        copied_bytes: Their bytes.
    """

    copied: tuple[str, ...]
    there: tuple[str, ...]
    absent: tuple[str, ...]
    copied_files: int
    copied_bytes: int


def push(source: Store, target: Store, digest: str, *, beside: Sequence[str] = (), scratch: Path) -> Pushed:
    """Copy the version `digest`, and all that it was made of, from `source` to `target`.

    Args:
        source: Where it lies.
        target: Where it goes.
        digest: The version.
        beside: Versions that belong to it, such as its profile; copied before it.
        scratch: Folder for private copies of files that a folder would else link in.

    Raises:
        ObjectMissing: If the source lacks the version, or a file of one.
        IntegrityError: If bytes of the source were altered, or the target holds others under the same name.
        StoreError: If a store cannot be read or written.
    """
    copy = _Copy(source, target, scratch)
    for item in _lineage(source, digest, set()):
        if item != digest and not has_object(source, item):
            copy.absent += [item] if records_of(source, item) else []  # else a raw file, which no store holds
        elif item != digest and has_object(target, item):
            copy.there.append(item)
            copy.history(item)
        else:
            for other in beside if item == digest else ():
                copy.version(other)
            copy.version(item)
    return Pushed(
        copied=tuple(copy.copied),
        there=tuple(copy.there),
        absent=tuple(copy.absent),
        copied_files=copy.files,
        copied_bytes=copy.bytes,
    )


def _lineage(store: Store, digest: str, seen: set[str]) -> Iterator[str]:
    """Yield what `digest` was made of and then itself, each once."""
    seen.add(digest)
    for made in records_of(store, digest):
        for parent in made.parents:
            if parent.digest not in seen:
                yield from _lineage(store, parent.digest, seen)
    yield digest


class _Copy:
    """One push; files of a version are copied by several threads, versions one after the other."""

    def __init__(self, source: Store, target: Store, scratch: Path) -> None:
        self._source = source
        self._target = target
        self._scratch = scratch
        self._lock = Lock()
        self.copied: list[str] = []
        self.there: list[str] = []
        self.absent: list[str] = []
        self.files = 0
        self.bytes = 0

    def version(self, digest: str) -> None:
        """Copy one version: files, signatures, then its manifest, then how it came to be."""
        found = version(self._source, digest)
        with ThreadPoolExecutor(_FILES) as pool:
            for _ in pool.map(self._file, found.files.values()):
                pass
        self._signatures(digest)
        missing = self._create(object_key(digest), get_object(self._source, digest))
        (self.copied if missing else self.there).append(digest)
        self._records(digest)

    def history(self, digest: str) -> None:
        """Copy who signed a version that is there, and how it came to be."""
        self._signatures(digest)
        self._records(digest)

    def _records(self, digest: str) -> None:
        for made in records_of(self._source, digest):
            record(self._target, made)

    def _file(self, file: StoredFile) -> None:
        if self._target.exists(file.key):
            found = self._target.size_bytes(file.key)
            if found != file.size_bytes:
                raise IntegrityError(
                    f"{file.key} in store {self._target.url} has {found:,} bytes, its name stands for "
                    f"{file.size_bytes:,}: delete it there, then push again"
                )
            return
        if file.size_bytes <= CHUNK_BYTES:
            self._create(file.key, get_bytes(self._source, file))
            return
        self._create(tree_key(file.digest), tree_of(self._source, file).blocks)
        with borrowed(self._source, [file]) as (path,), self._private(path) as private:
            if self._target.upload(file.key, private):
                self._count(file.size_bytes)

    @contextmanager
    def _private(self, path: Path) -> Generator[Path]:
        """Yield a file that a folder may link in: else source and target, or cache and target, were one file."""
        if not isinstance(self._target, FolderStore):
            yield path
            return
        folder = ScratchFolder(self._scratch)
        try:
            yield Path(copyfile(path, folder.path / path.name))
        finally:
            folder.remove()

    def _signatures(self, digest: str) -> None:
        for key in self._source.list(f"signatures/{digest}"):
            self._create(key, self._source.get(key))

    def _create(self, key: str, data: bytes) -> bool:
        created = self._target.create(key, data)
        if created:
            self._count(len(data))
        return created

    def _count(self, size_bytes: int) -> None:
        with self._lock:
            self.files += 1
            self.bytes += size_bytes
