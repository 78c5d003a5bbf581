"""Owns the knowledge of which local files this process has found to have the digest that names them.

A file is hashed once per process and again whenever its time, size or inode changes.
"""

from pathlib import Path

from blake3 import blake3

_THREADS_BYTES = 16 * 2**20  # below this, starting threads costs more than it saves
_Stamp = tuple[int, int, int]
_verified: dict[tuple[str, str], _Stamp] = {}


def hash_file(path: Path) -> str:
    """Return the BLAKE3-256 digest of a file, read through a memory map by all processors."""
    size = path.stat().st_size
    hasher = new_hasher(size)
    return (hasher.update_mmap(path) if size else hasher).hexdigest()


def new_hasher(size_bytes: int) -> blake3:
    """Return a hasher for `size_bytes`, with threads where they pay."""
    return blake3(max_threads=blake3.AUTO if size_bytes > _THREADS_BYTES else 1)


def matches(path: Path, digest: str) -> bool:
    """Return whether the file has the digest; it is read only if this process does not know already."""
    stamp = _stamp(path)
    if _verified.get((str(path), digest)) == stamp:
        return True
    if hash_file(path) != digest:
        return False
    _verified[str(path), digest] = stamp
    return True


def trust(path: Path, digest: str) -> None:
    """Remember that the file, as it is now, was hashed on the way to its place."""
    _verified[str(path), digest] = _stamp(path)


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return (status.st_mtime_ns, status.st_size, status.st_ino)
