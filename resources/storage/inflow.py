"""Owns the way of a whole file from an object store into memory: in ranges, each a stream, hashed as its pieces land.

A piece is hashed while the caches of the processor hold it. A range that is slow is asked for again by whoever says so
(`resources.storage.hedging`), one that breaks goes on where it broke: of several streams for one range each byte counts
that came first, and none is written twice, so that a stream that comes late changes nothing.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Protocol

from resources.errors import StoreError
from resources.storage.background import is_background, is_ending
from resources.storage.content import BLOCK_BYTES, CHUNK_BYTES, Tree, block_digests
from resources.storage.hedging import HEDGED_BYTES, Answer, hedged
from resources.storage.latencies import Policy

RANGE_BYTES, FAR_RANGE_BYTES = 4 * CHUNK_BYTES, CHUNK_BYTES
"""Bytes of a range, of a server that is near and of one that is far."""
CONCURRENT_RANGES, FAR_CONCURRENT_RANGES = 4, 16
"""Ranges of one file that are fetched at a time."""


class Flow(Protocol):
    """A file in a store that sends its bytes as they come."""

    @property
    def name(self) -> str:
        """What it is and where, for people."""
        ...

    @property
    def size_bytes(self) -> int:
        """How large it is, as its manifest says."""
        ...

    @property
    def is_far(self) -> bool:
        """Whether it takes many requests at once to fill the way from there."""
        ...

    def stream(self, land: Callable[[int, Iterator[memoryview]], None], landed: Callable[[], int], end: int) -> None:
        """Give `land` the byte `landed()` and the pieces from it on, again after a failure, until that is `end`."""
        ...


def fetch_into(flow: Flow, target: memoryview, hedging: Policy) -> Answer[str]:
    """Fill `target` with the bytes of a file, and return their digest, and how often a range was asked for again.

    Args:
        flow: The file.
        target: Memory of its size.
        hedging: Says when a range is asked for again.

    Raises:
        StoreError: If the store fails, or answers with too few bytes.
    """
    size_bytes = flow.size_bytes
    step, concurrent = (FAR_RANGE_BYTES, FAR_CONCURRENT_RANGES) if flow.is_far else (RANGE_BYTES, CONCURRENT_RANGES)
    ranges = [_Range(flow, target, start, min(start + step, size_bytes)) for start in range(0, size_bytes, step)]
    if len(ranges) <= 1:
        answers = [one.finish(hedging) for one in ranges]
    else:
        with ThreadPoolExecutor(min(len(ranges), concurrent), thread_name_prefix="penstock-inflow") as pool:
            work = [pool.submit(one.finish, hedging) for one in ranges]
            try:
                answers = [item.result() for item in work]
            except BaseException:
                for one in ranges:
                    one.close()
                pool.shutdown(cancel_futures=True)
                raise
    blocks = b"".join(one.blocks for one in ranges) if ranges else block_digests(b"")
    return Answer(
        value=Tree(size_bytes=size_bytes, blocks=blocks).root,
        hedges=sum(answer.hedges for answer in answers),
        hedges_won=sum(answer.hedges_won for answer in answers),
    )


class _Range:
    """The bytes from `start` to before `end`, which several streams may bring."""

    def __init__(self, flow: Flow, target: memoryview, start: int, end: int) -> None:
        self._flow = flow
        self._target = target
        self._end = end
        self._landed = start
        self._hashed = start
        self._start = start
        self._blocks: list[bytes] = []
        self._lock = Lock()
        self._may_be_cut_off = is_background()

    @property
    def blocks(self) -> bytes:
        """Digests of its blocks."""
        return b"".join(self._blocks)

    def finish(self, hedging: Policy) -> Answer[None]:
        """Have all of it in memory."""
        if self._may_be_cut_off and is_ending():  # Python would wait for the pool until all ranges are fetched
            raise StoreError(f"{self._flow.name} is not fetched to the end: the process ends")
        if self._end - self._start < HEDGED_BYTES:
            return Answer(value=self._ask())
        return hedged(hedging, self._end - self._start, self._ask)

    def close(self) -> None:
        """Take no more bytes: the memory is somebody else's from now on."""
        with self._lock:
            self._landed = self._end

    def _ask(self) -> None:
        self._flow.stream(self._land, lambda: self._landed, self._end)

    def _land(self, at: int, pieces: Iterator[memoryview]) -> None:
        """Take the pieces of one stream, which begins with the byte `at`: when it began, the first that was missing."""
        for piece in pieces:
            at = self._take(at, piece)
            if self._landed >= self._end:
                return

    def _take(self, at: int, piece: memoryview) -> int:
        with self._lock:
            stop = at + len(piece)
            if at <= self._landed < stop:
                last = min(stop, self._end)
                self._target[self._landed : last] = piece[self._landed - at : last - at]
                self._landed = last
                self._hash(last if last == self._end else last // BLOCK_BYTES * BLOCK_BYTES)
            return stop

    def _hash(self, stop: int) -> None:
        if stop > self._hashed:
            self._blocks.append(block_digests(self._target[self._hashed : stop]))
            self._hashed = stop
