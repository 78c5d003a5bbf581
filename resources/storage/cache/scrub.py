"""Owns the scrub of a host's cache: copies are hashed again, the least recently verified first, and damaged ones go.

It takes no lock that a reader needs until it has found a damaged copy, reads no faster than it was told, and leaves the
page cache to others. A copy is a file that has the digest that names it: of an encrypted store that is the ciphertext,
so no key is needed here.
"""

import errno
import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from resources.canonical import DIGEST_LENGTH, is_hex
from resources.errors import StoreError
from resources.storage.cache.cache import HostCache
from resources.storage.cache.layout import Layout
from resources.storage.cache.locks import locked
from resources.storage.cache.pace import Pace
from resources.storage.cache.verifications import Verifications
from resources.storage.content import CHUNK_BYTES, chunk_digest, root_of

Verdict = Literal["whole", "damaged", "gone", "late"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrub:
    """What one scrub came to.

    Attributes:
        copies: Copies that were hashed to their end.
        read_bytes: Bytes of these.
        damaged: Digests that name the copies whose bytes were wrong or could not be read.
        dropped: Those of them that are gone; the others are in use, and replaced by whoever reads them next.
        left: Copies that there was no time for.
        busy: Whether another process was scrubbing, so that nothing was done here.
    """

    copies: int = 0
    read_bytes: int = 0
    damaged: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    left: int = 0
    busy: bool = False


def scrub(cache: HostCache, pace: Pace | None = None) -> Scrub:
    """Hash the copies in the cache, each once at most, and drop damaged ones, so that their next reader fetches them.

    Of several processes that scrub one cache at a time, one does and the others return at once.

    Args:
        cache: The cache.
        pace: How fast and how long; None means `Pace()`: until all are hashed.

    Raises:
        StoreError: If the folder cannot be read, or nothing can be removed from it.
    """
    layout = Layout(cache.root)
    if not layout.root.is_dir():
        return Scrub()
    with _explained(layout.root), locked(layout.root / "scrub.lock", patience_s=0, done=lambda: True) as mine:
        if not mine:
            return Scrub(busy=True)
        with closing(Verifications(layout.verifications)) as known:
            return _scrubbed(cache, layout, known, pace or Pace())


def least_recently_verified(cache: HostCache) -> datetime | None:
    """Return when the copy was verified that waits longest: by a scrub, or when it was fetched; None without copies.

    Raises:
        StoreError: If the folder cannot be read.
    """
    layout = Layout(cache.root)
    with _explained(layout.root):
        first = min((copy.verified_at for copy in _copies(layout, Verifications(layout.verifications))), default=None)
    return None if first is None else datetime.fromtimestamp(first, UTC)


@dataclass(frozen=True, slots=True)
class _Copy:
    name: str
    size_bytes: int
    verified_at: float


def _copies(layout: Layout, known: Verifications) -> list[_Copy]:
    """Return all copies, the least recently verified first; what was fetched was verified on its way."""
    times, now = known.read(), time.time()
    found = [
        _Copy(name, size, times.get(name, fetched_at))
        for fetched_at, name, size in layout.copies()
        if len(name) == DIGEST_LENGTH and is_hex(name)
    ]
    # A time that is yet to come is that of a wrong clock, and tells nothing.
    return sorted(
        (copy if copy.verified_at <= now else _Copy(copy.name, copy.size_bytes, 0.0) for copy in found),
        key=lambda copy: (copy.verified_at, copy.name),
    )


def _scrubbed(cache: HostCache, layout: Layout, known: Verifications, pace: Pace) -> Scrub:
    copies = _copies(layout, known)
    known.begin({copy.name: copy.verified_at for copy in copies})
    done, damaged = list[_Copy](), list[str]()
    for number, copy in enumerate(copies):
        if number and pace.is_over:
            break
        verdict, verify_s = _verdict(layout.final(copy.name), copy.name, pace, may_stop=number > 0)
        cache.count(verify_s=verify_s)
        if verdict == "late":
            break
        if verdict == "gone":
            continue
        done.append(copy)
        cache.count(scrubbed=1, scrubbed_bytes=copy.size_bytes)
        if verdict == "damaged" and cache.drop_damaged(copy.name, is_whole=_is_whole):
            damaged.append(copy.name)
        else:  # one that is damaged and in use is not remembered, so that it is looked at again
            known.add(copy.name, time.time())
    else:
        number = len(copies)
    return Scrub(
        copies=len(done),
        read_bytes=sum(copy.size_bytes for copy in done),
        damaged=tuple(damaged),
        dropped=tuple(name for name in damaged if not layout.final(name).exists()),
        left=len(copies) - number,
    )


def _is_whole(path: Path, name: str) -> bool:
    """Return whether a file has the digest `name`, read at once, by a way that survives a disk that cannot."""
    return _verdict(path, name, Pace(rate_bytes_per_s=float("inf")), may_stop=False)[0] != "damaged"


def _verdict(path: Path, name: str, pace: Pace, *, may_stop: bool) -> tuple[Verdict, float]:
    """Hash one file; return what it is and the seconds that hashing took."""
    hashed_s, chunks = 0.0, list[bytes]()
    try:
        with path.open("rb", buffering=0) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            for chunk in _chunks(file.fileno(), size_bytes, pace):
                # An evicted file keeps its blocks on the disk as long as somebody has it open.
                if os.fstat(file.fileno()).st_nlink == 0:
                    return "gone", hashed_s
                if may_stop and pace.is_over:
                    return "late", hashed_s
                began = time.perf_counter()
                chunks.append(chunk_digest(chunk))
                hashed_s += time.perf_counter() - began
    except FileNotFoundError:
        return "gone", hashed_s
    except OSError as error:
        if error.errno == errno.EIO:  # a bad sector is damage like any other
            return "damaged", hashed_s
        raise
    return ("whole" if root_of(chunks, size_bytes) == name else "damaged"), hashed_s


def _chunks(descriptor: int, size_bytes: int, pace: Pace) -> Iterator[bytes | memoryview]:
    """Yield the chunks of a file, one even of an empty file; pages that this brought into memory leave it again."""
    buffer = memoryview(bytearray(min(CHUNK_BYTES, max(1, size_bytes))))
    for start in range(0, max(1, size_bytes), CHUNK_BYTES):
        length = min(CHUNK_BYTES, size_bytes - start)
        pace.wait(length)
        if _resident(descriptor, buffer[:length], start):
            yield buffer[:length]
            continue
        yield os.pread(descriptor, length, start)
        if hasattr(os, "posix_fadvise"):  # not on macOS
            os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)


def _resident(descriptor: int, view: memoryview, start: int) -> bool:
    """Fill `view` from the page cache alone, and return whether all of it was there."""
    with suppress(OSError):  # a file system that cannot tell
        return hasattr(os, "RWF_NOWAIT") and os.preadv(descriptor, [view], start, os.RWF_NOWAIT) == len(view)
    return False


@contextmanager
def _explained(root: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot scrub the cache {root}: {error.filename or root}: {error.strerror or error}; make it a folder "
            "that you may write to, or choose another (PENSTOCK_CACHE)"
        ) from error
