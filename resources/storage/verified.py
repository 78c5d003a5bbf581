"""Owns the knowledge of which local files this process has found to have the digest that names them.

A file is hashed once per process and again whenever its time, size or inode changes.
"""

import os
from pathlib import Path

from resources.storage.content import digest_of_file

_Stamp = tuple[int, int]
_verified: dict[tuple[int, int, str], _Stamp] = {}


def matches(path: Path, digest: str) -> bool:
    """Return whether the file has the digest; it is read only if this process does not know already."""
    status = path.stat()
    if knows(status, digest):
        return True
    if digest_of_file(path) != digest:
        return False
    _verified[_key(status, digest)] = _stamp(status)
    return True


def knows(status: os.stat_result, digest: str) -> bool:
    """Return whether this process has found that the file with this status has the digest."""
    return _verified.get(_key(status, digest)) == _stamp(status)


def trust(path: Path, digest: str) -> None:
    """Remember that the file, as it is now, was hashed on the way to its place."""
    status = path.stat()
    _verified[_key(status, digest)] = _stamp(status)


def _key(status: os.stat_result, digest: str) -> tuple[int, int, str]:
    return status.st_dev, status.st_ino, digest


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_size
