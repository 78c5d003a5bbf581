"""Owns the manifest of a folder of raw files: which bytes of which stored file each of them is.

Files of one chunk or less are packed into tar archives, since a store, and DVC, take a fixed time for each object;
larger ones are stored as they are. Each keeps its own digest, so that it is read and verified without its neighbours.
Modes, times, owners and empty folders are not kept.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resources.canonical import canonical_json, parse_json
from resources.errors import IntegrityError
from resources.storage.content import StoredFile
from resources.storage.objects import get_object
from resources.storage.store import Store

FORMAT = 1
KIND = "folder"
PACKS = "_packs"
"""Folder in which a listing of what is stored shows the archives."""
_DIGESTS = re.compile(r"([0-9a-f]{64}\n)*")
_ELSEWHERE = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0")  # an empty part, `.` or `..`; a NUL


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One raw file.

    Attributes:
        name: Its path in the folder, with `/`.
        stored: Name of the stored file that holds it, its own if it lies there alone.
        offset: Where its bytes begin in that file.
        size_bytes: How many they are.
        digest: Digest of these bytes alone.
    """

    name: str
    stored: str
    offset: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class FolderManifest:
    """What a folder of raw files is made of.

    Attributes:
        stored: Name to stored file: archives below `_packs/`, and files that lie there alone.
        members: The raw files, by name.
    """

    stored: Mapping[str, StoredFile]
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        # Of 100,000 files at once: checking each when it is made takes most of the time of a small pull.
        if not _DIGESTS.fullmatch("\n".join([*(member.digest for member in self.members), ""])):
            raise ValueError("a file has a digest that is none")
        for member in self.members:
            check_name(member.name)
            holder = self.stored.get(member.stored)
            end = member.offset + member.size_bytes
            if holder is None or not 0 <= member.offset <= end <= holder.size_bytes:
                raise ValueError(f"file {member.name!r} lies outside of {member.stored!r}")
        if len(self.by_name) != len(self.members):
            raise ValueError("two files have one name")

    @cached_property
    def by_name(self) -> dict[str, Member]:
        """The raw files."""
        return {member.name: member for member in self.members}

    @property
    def size_bytes(self) -> int:
        """Bytes of all raw files."""
        return sum(member.size_bytes for member in self.members)


def check_name(name: str) -> str:
    """Return `name` if it can name a file in any folder, and nothing outside of it.

    Raises:
        ValueError: If it is absolute, has empty or dot parts, or is not Unicode.
    """
    if _ELSEWHERE.search(name) or not _is_unicode(name):
        raise ValueError(
            f"{name!r} cannot name a file everywhere: use Unicode names joined by '/', without '.' and '..'"
        )
    return name


def encode(manifest: FolderManifest) -> bytes:
    """Return the object that `decode` reads back: the same manifest, the same bytes."""
    names = list(manifest.stored)
    place = {name: number for number, name in enumerate(names)}
    members = manifest.members
    return canonical_json(
        {
            "format": FORMAT,
            "kind": KIND,
            "stored": {
                "name": names,
                "digest": [file.digest for file in manifest.stored.values()],
                "md5": [file.md5 for file in manifest.stored.values()],
                "size_bytes": [file.size_bytes for file in manifest.stored.values()],
            },
            "files": {
                "name": [member.name for member in members],
                "stored": [place[member.stored] for member in members],
                "offset": [member.offset for member in members],
                "size_bytes": [member.size_bytes for member in members],
                "digest": [member.digest for member in members],
            },
        }
    )


def decode(data: bytes) -> FolderManifest:
    """Return the manifest that `encode` wrote.

    Raises:
        ValueError: If `data` is none.
    """
    try:
        value = parse_json(data)
        if value["kind"] != KIND or value["format"] != FORMAT:
            raise ValueError(f"kind {value['kind']!r}, format {value['format']!r}")
        stored = {
            check_name(name): StoredFile(digest=digest, md5=md5, size_bytes=size)
            for name, digest, md5, size in _rows(value["stored"], ("name", "digest", "md5", "size_bytes"))
        }
        names = list(stored)
        members = tuple(
            Member(name=name, stored=names[number], offset=offset, size_bytes=size, digest=digest)
            for name, number, offset, size, digest in _rows(
                value["files"], ("name", "stored", "offset", "size_bytes", "digest")
            )
        )
        return FolderManifest(stored=stored, members=members)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def read_folder(store: Store, digest: str) -> FolderManifest:
    """Return the manifest of the folder `digest`.

    Raises:
        ObjectMissing: If the store has no such object.
        IntegrityError: If it was altered, or is not the manifest of a folder.
    """
    try:
        return decode(get_object(store, digest))
    except ValueError as error:
        raise IntegrityError(
            f"object {digest} in store {store.url} is no folder of format {FORMAT}: {error}; "
            "give the digest of a folder, or import it again with this version"
        ) from error


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of a file name that are no UTF-8
        return False
    return True


def _rows(columns: Mapping[str, list[Any]], names: Iterable[str]) -> Iterable[tuple[Any, ...]]:  # Any: JSON values
    return zip(*(columns[name] for name in names), strict=True)
