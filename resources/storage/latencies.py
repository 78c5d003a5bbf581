"""Owns when a slow read is asked for a second time: what is usual for its size, and how often that may be done.

(Dean and Barroso, The tail at scale, CACM 2013.) Pure state without clock or lock: `resources.storage.hedging` sends.
"""

from collections import deque

WINDOW = 200
"""Durations that are remembered of each size class: the last."""
LEAST = 20
"""Durations without which nothing is usual yet."""
FLOOR_S = 0.1
"""Shortest wait: what could be won below it is not worth a request."""
MOST_SHARE = 0.1
"""Largest share of reads that are asked for twice in the long run, so that a server that is slow because it has too
much to do does not get twice as much. With half of it, stalls of one request in twenty would stay the 99th percentile.
"""
_BURST = 3.0
_TAIL, _FAR = 0.99, 4.0


class Latencies:
    """How long the last requests took, by size class: the sizes from one power of two to the next.

    >>> latencies = Latencies()
    >>> for number in range(1, 101):
    ...     latencies.add(5_000_000, number / 100)
    >>> latencies.quantile(6_000_000, 0.99), latencies.quantile(6_000_000, 0.5), latencies.quantile(1_000, 0.5)
    (0.99, 0.5, None)
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._classes: dict[int, deque[float]] = {}

    def add(self, size_bytes: int, duration_s: float) -> None:
        """Remember one more request."""
        self._classes.setdefault(size_bytes.bit_length(), deque(maxlen=self._window)).append(duration_s)

    def quantile(self, size_bytes: int, share: float) -> float | None:
        """Return the seconds within which a share of the requests of about this size ended; None if there were few."""
        found = self._classes.get(size_bytes.bit_length(), ())
        if len(found) < LEAST:
            return None
        return sorted(found)[max(0, -(-round(share * 1e6) * len(found) // 1_000_000) - 1)]


class Policy:
    """Says of each read how long to wait before it is asked for again, and whether it may be.

    Args:
        floor_s: Shortest wait in seconds.
        most_share: Largest share of reads that are asked for again.
    """

    def __init__(self, *, floor_s: float = FLOOR_S, most_share: float = MOST_SHARE) -> None:
        self._latencies = Latencies()
        self._floor_s = floor_s
        self._most_share = most_share
        self._allowed = 0.0

    def delay_s(self, size_bytes: int) -> float | None:
        """Begin a read: return the seconds to wait before asking again, or None where it is too early to tell.

        That is the 99th percentile of reads of that size or, if stalls are so frequent that this is itself a stall,
        four times the median: whoever waits that long has, with a new request, more to win than to lose.
        """
        self._allowed = min(self._allowed + self._most_share, _BURST)
        median_s, tail_s = self._latencies.quantile(size_bytes, 0.5), self._latencies.quantile(size_bytes, _TAIL)
        return None if median_s is None or tail_s is None else max(self._floor_s, min(tail_s, _FAR * median_s))

    def may_ask_again(self) -> bool:
        """Return whether the share allows a second request, which then counts."""
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True

    def ended(self, size_bytes: int, duration_s: float) -> None:
        """Learn how long a request took, or at least how long it was waited for."""
        self._latencies.add(size_bytes, duration_s)
