"""Owns the knowledge of which local files this process has found to have the digest that names them.

A file is hashed once per process and again whenever its time, size or inode changes.
"""

from pathlib import Path

from resources.storage.content import digest_of_file

_Stamp = tuple[int, int, int]
_verified: dict[tuple[str, str], _Stamp] = {}


def matches(path: Path, digest: str) -> bool:
    """Return whether the file has the digest; it is read only if this process does not know already."""
    stamp = _stamp(path)
    if _verified.get((str(path), digest)) == stamp:
        return True
    if digest_of_file(path) != digest:
        return False
    _verified[str(path), digest] = stamp
    return True


def trust(path: Path, digest: str) -> None:
    """Remember that the file, as it is now, was hashed on the way to its place."""
    _verified[str(path), digest] = _stamp(path)


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return (status.st_mtime_ns, status.st_size, status.st_ino)
