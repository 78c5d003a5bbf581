"""Owns the knowledge of which local files this process has found to have the digest that names them.

Unless the mode says otherwise, a file is hashed once per process and again whenever its time, size or inode changes.
Who hashes nothing must be able to rely on what lies there: `is_bound_to_flush` and `may_be_torn` are for the cache.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from resources.storage.content import digest_of_file

WRITE_BITS = 0o222
"""Those of the mode of a file: a copy in the cache loses them when it is flushed."""

Mode = Literal["first", "always", "never"]
_Stamp = tuple[int, int]
_verified: dict[tuple[int, int, str], _Stamp] = {}
_mode: list[Mode] = ["first"]
_hashed_s: list[tuple[int, float]] = []  # each with its process: a fork inherits what its parent spent


def use_mode(mode: Mode) -> None:
    """Have this process hash local files at their first read, at each, or never.

    What comes from a store over the network is verified in every mode.
    """
    _mode[0] = mode


def matches(path: Path, digest: str) -> bool:
    """Return whether the file has the digest; it is read only if this process does not know already."""
    status = path.stat()
    if knows(status, digest):
        return True
    if not has_digest(path, digest):
        return False
    _verified[_key(status, digest)] = _stamp(status)
    return True


def has_digest(path: Path, digest: str) -> bool:
    """Return whether the file has the digest, read for it in any mode."""
    began = time.perf_counter()
    found = digest_of_file(path)
    _hashed_s.append((os.getpid(), time.perf_counter() - began))
    return found == digest


def knows(status: os.stat_result, digest: str) -> bool:
    """Return whether the file with this status need not be hashed for this process to rely on its digest."""
    if _mode[0] != "first":
        return _mode[0] == "never"
    return _verified.get(_key(status, digest)) == _stamp(status)


def is_bound_to_flush() -> bool:
    """Return whether this process flushes what it fetches before that has its name: readers like it hash nothing."""
    return _mode[0] == "never"


def may_be_torn(status: os.stat_result, digest: str) -> bool:
    """Return whether a copy that nobody here would hash may have lost bytes with the power of the machine.

    A copy that was flushed has no write bits; another that this process hashed on its way is whole while it runs.
    """
    if _mode[0] != "never" or not status.st_mode & WRITE_BITS:
        return False
    return _verified.get(_key(status, digest)) != _stamp(status)


def trust(path: Path, digest: str) -> None:
    """Remember that the file, as it is now, was hashed on the way to its place."""
    trust_status(path.stat(), digest)


def trust_status(status: os.stat_result, digest: str) -> None:
    """Do so for the file with this status."""
    _verified[_key(status, digest)] = _stamp(status)


def take_hashed_s() -> float:
    """Return the seconds that this process spent on hashing since this was last asked."""
    process_id, spent_s = os.getpid(), 0.0
    with suppress(IndexError):  # another thread took the last
        while _hashed_s:
            spent_by, took_s = _hashed_s.pop()
            spent_s += took_s if spent_by == process_id else 0.0
    return spent_s


def _key(status: os.stat_result, digest: str) -> tuple[int, int, str]:
    return status.st_dev, status.st_ino, digest


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_size
