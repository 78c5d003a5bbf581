"""Owns the tree of files in one version, as a reader sees it: raw files as they were, wherever they are packed.

What is read is verified by the blocks of the stored file that holds it (`resources.storage.ranges`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from resources.canonical import digest_bytes
from resources.storage.content import StoredFile
from resources.storage.folders import read_folder
from resources.storage.objects import get_object
from resources.storage.ranges import read_ranges
from resources.storage.store import Store
from resources.storage.versions import version


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a version.

    Attributes:
        size_bytes: Its bytes.
        digest: Their digest.
        md5: Their MD5; None for a packed file.
        holder: The stored file that they lie in; None for a single object.
        offset: Where they begin in it.
    """

    size_bytes: int
    digest: str
    md5: str | None
    holder: StoredFile | None
    offset: int = 0


class Contents:
    """The files of one version; a single object is one file without a name.

    Args:
        store: Where it lies.
        digest: The version.

    Raises:
        ObjectMissing: If the store has no such version.
        IntegrityError: If its manifest was altered.
    """

    def __init__(self, store: Store, digest: str) -> None:
        self.digest = digest
        self._store = store
        self.files, self._object = _entries(store, digest)
        self._folders = _folders(self.files)

    def children(self, path: str) -> Mapping[str, Entry | None] | None:
        """Return name to file of what lies in a folder, None for folders; None if `path` is no folder."""
        names = self._folders.get(path)
        if names is None:
            return None
        prefix = f"{path}/" if path else ""
        return {name: self.files.get(prefix + name) for name in names}

    def read(self, requests: Sequence[tuple[Entry, int, int]]) -> list[bytes]:
        """Return the bytes of several files from a start to before an end, verified, in order."""
        if self._object is not None:
            return [self._object[start:end] for _, start, end in requests]
        return read_entries(self._store, requests)


def read_entries(store: Store, requests: Sequence[tuple[Entry, int, int]]) -> list[bytes]:
    """Return the bytes of several stored files from a start to before an end, verified, in order."""
    wanted = [
        (entry.holder, entry.offset + start, entry.offset + end)
        for entry, start, end in requests
        if entry.holder is not None
    ]
    return read_ranges(store, wanted)


def _entries(store: Store, digest: str) -> tuple[dict[str, Entry], bytes | None]:
    found = version(store, digest)
    if found.kind == "object":
        data = get_object(store, digest)
        return {"": Entry(size_bytes=len(data), digest=digest_bytes(data), md5=None, holder=None)}, data
    stored = {
        name: Entry(size_bytes=file.size_bytes, digest=file.digest, md5=file.md5, holder=file)
        for name, file in found.files.items()
    }
    if found.kind != "folder":
        return stored, None
    members = {
        item.name: stored.get(item.name)
        or Entry(
            size_bytes=item.size_bytes,
            digest=item.digest,
            md5=None,
            holder=found.files[item.stored],
            offset=item.offset,
        )
        for item in read_folder(store, digest).members
    }
    return members, None


def _folders(names: Iterable[str]) -> dict[str, list[str]]:
    """Return folder to the names of what lies in it, sorted."""
    found: dict[str, set[str]] = {}
    for name in names:
        path = name
        while path:
            path, _, last = path.rpartition("/")
            known = found.setdefault(path, set())
            if last in known:
                break
            known.add(last)
    return {folder: sorted(children) for folder, children in found.items()}
