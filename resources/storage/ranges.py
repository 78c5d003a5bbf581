"""Owns the reading of parts of files: from the host's copy, or what has landed of one, else just the blocks touched.

Nothing is returned that was not verified. A file of up to one chunk has no block digests: it comes whole, through the
cache. A larger one is not fetched for the sake of a part, but for that of many (`resources.storage.renting`).
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from resources.errors import IntegrityError, StoreError
from resources.storage.background import in_background
from resources.storage.content import BLOCK_BYTES, CHUNK_BYTES, StoredFile
from resources.storage.files import borrowed
from resources.storage.renting import RENTS
from resources.storage.store import Store
from resources.storage.trees import TREES, is_right
from resources.storage.verified import knows

REQUEST_BYTES = 8 * 2**20
"""Longest single request."""
GAP_BYTES = 4 * BLOCK_BYTES
"""Ranges no further apart are fetched together: a request costs more than these bytes."""
CONCURRENT_REQUESTS = 16
_ATTEMPTS = 2

Request = tuple[StoredFile, int, int]


def read_range(store: Store, file: StoredFile, start: int, end: int) -> bytes:
    """Return the bytes of `file` from `start` to before `end`.

    Raises:
        ValueError: If they are not within the file.
        ObjectMissing: If the store has no such file.
        IntegrityError: If the stored bytes of that part were altered.
        StoreError: If the store or the disk fails.
    """
    _check(file, start, end)
    if start == end:
        return b""
    if (found := _read_copy(store, file, [(start, end)])) is not None:
        return found[0]
    span = _Span(start // BLOCK_BYTES * BLOCK_BYTES, min(_up(end), file.size_bytes))
    if span.end - span.start > REQUEST_BYTES:
        return read_ranges(store, [(file, start, end)])[0]
    return bytes(_fetched(store, file, span.start, span.end)[start - span.start : end - span.start])


def read_ranges(store: Store, requests: Sequence[Request]) -> list[bytes]:
    """Return what `read_range` returns for each request, in order; neighbours are fetched together, the rest at once.

    Args:
        store: Where the files lie.
        requests: File, start and end of each.

    Raises:
        ValueError: If one is not within its file; nothing is fetched then.
        ObjectMissing: If the store lacks a file.
        IntegrityError: If the stored bytes of a part were altered.
        StoreError: If the store or the disk fails.
    """
    by_file: dict[StoredFile, list[int]] = {}
    for number, (file, start, end) in enumerate(requests):
        _check(file, start, end)
        by_file.setdefault(file, []).append(number)
    answers: list[bytes] = [b""] * len(requests)
    spans: list[tuple[StoredFile, _Span]] = []
    for file, numbers in by_file.items():
        wanted = [requests[number][1:] for number in numbers]
        copied = _read_copy(store, file, wanted)
        if copied is None:
            spans += [(file, span) for span in _spans(file, dict(zip(numbers, wanted, strict=True)))]
            continue
        for number, data in zip(numbers, copied, strict=True):
            answers[number] = data
    for span, data in _fetch_all(store, spans):
        for number in span.numbers:
            _, start, end = requests[number]
            answers[number] = bytes(data[start - span.start : end - span.start])
    return answers


@dataclass(slots=True)
class _Span:
    """Whole blocks that are fetched together, and the requests that they answer."""

    start: int
    end: int
    numbers: list[int] = field(default_factory=list[int])

    def pieces(self) -> Iterator[tuple[int, int]]:
        for start in range(self.start, self.end, REQUEST_BYTES):
            yield start, min(start + REQUEST_BYTES, self.end)


def _check(file: StoredFile, start: int, end: int) -> None:
    if not 0 <= start <= end <= file.size_bytes:
        raise ValueError(f"bytes {start:,} to {end:,} are not within file {file.digest} of {file.size_bytes:,} bytes")


def _up(position: int) -> int:
    return -(-position // BLOCK_BYTES) * BLOCK_BYTES


def _spans(file: StoredFile, wanted: dict[int, tuple[int, int]]) -> list[_Span]:
    """Return the blocks that `wanted` touches, those near each other together."""
    spans: list[_Span] = []
    for number, (start, end) in sorted(wanted.items(), key=lambda item: item[1]):
        if start == end:
            continue
        first, last = start // BLOCK_BYTES * BLOCK_BYTES, min(_up(end), file.size_bytes)
        span = spans[-1] if spans else None
        if span is None or first > span.end + GAP_BYTES or max(last, span.end) - span.start > REQUEST_BYTES:
            spans.append(span := _Span(first, last))
        span.end = max(span.end, last)
        span.numbers.append(number)
    return spans


def _fetch_all(store: Store, spans: list[tuple[StoredFile, _Span]]) -> Iterator[tuple[_Span, memoryview]]:
    pieces = [(file, *piece) for file, span in spans for piece in span.pieces()]
    if len(pieces) <= 1:
        found = [_fetched(store, *piece) for piece in pieces]
    else:
        with ThreadPoolExecutor(min(len(pieces), CONCURRENT_REQUESTS)) as pool:
            found = list(pool.map(lambda piece: _fetched(store, *piece), pieces))
    answers = iter(found)
    for _, span in spans:
        parts = [next(answers) for _ in span.pieces()]
        yield span, parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _fetched(store: Store, file: StoredFile, start: int, end: int) -> memoryview:
    """Return verified bytes of whole blocks; wrong ones are fetched once more: the way here may have hurt them."""
    digests = TREES.of(store, file)
    if (landed := store.landed(file, start, end)) is not None and is_right(digests, start, landed):
        return memoryview(landed)
    for _ in range(_ATTEMPTS):
        data = store.get_range(file.key, start, end)
        if len(data) == end - start and is_right(digests, start, data):
            if store.has_copies and RENTS.paid(file.digest, file.size_bytes, end - start):
                in_background(lambda: _copy(store, file))  # if it fails nothing is lost: parts go on being read
            return data
    raise IntegrityError(
        f"file {file.digest} in store {store.url} was altered between bytes {start:,} and {end:,}; "
        f"delete {file.key} and make it again, or restore it from a backup"
    )


def _copy(store: Store, file: StoredFile) -> None:
    """Have the host keep a copy, from which all further parts are read."""
    try:
        with borrowed(store, [file]):
            pass
    finally:
        RENTS.came(file.digest)


def _read_copy(store: Store, file: StoredFile, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
    """Return the ranges out of a local copy; None where there is none and the file is large."""
    copy = store.open_local(file)
    if copy is not None:
        try:
            if knows(os.fstat(copy), file.digest):
                return [_pread(copy, start, end) for start, end in ranges]
        finally:
            os.close(copy)
    elif file.size_bytes > CHUNK_BYTES:
        return None
    with borrowed(store, [file]) as (path,), path.open("rb", buffering=0) as opened:
        return [_pread(opened.fileno(), start, end) for start, end in ranges]


def _pread(descriptor: int, start: int, end: int) -> bytes:
    data = os.pread(descriptor, end - start, start)
    while len(data) < end - start:  # Linux reads 2 GiB at most at a time
        more = os.pread(descriptor, end - start - len(data), start + len(data))
        if not more:
            raise StoreError(f"a local file ends before byte {end:,}: somebody cut it meanwhile; run again")
        data += more
    return data
