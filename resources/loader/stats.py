"""Owns what a loader tells of its own speed: rows, bytes, and where the time went."""

import time
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderStats:
    """What a loader did so far.

    Attributes:
        rows: Rows handed over.
        size_bytes: Their bytes.
        batches: Batches handed over.
        elapsed_s: From the first request for a batch to the last, in seconds.
        waited_s: Of these, how long the consumer waited for a batch.
        gathered_s: How long threads copied samples, all together.
        decoded_s: How long threads decoded, or waited for processes that do, all together.
        broken_rows: Values that could not be decoded and became null or zeros, also of batches made ahead.
        first_batch_s: From the start of an epoch's iteration to its first batch, for the latest.
        slabs_replaced: Slabs whose batches were still held when their turn came again, so that others were allocated.
        threads: How many copy ahead at present.
        rows_skipped: Rows of shards that are left out by `on_error="skip"`.
    """

    rows: int
    size_bytes: int
    batches: int
    elapsed_s: float
    waited_s: float
    gathered_s: float
    decoded_s: float
    broken_rows: int
    first_batch_s: float
    slabs_replaced: int
    threads: int
    rows_skipped: int = 0

    @property
    def rows_per_s(self) -> float:
        """Rows a second, of the consumer's time too."""
        return self.rows / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def bytes_per_s(self) -> float:
        """Bytes a second, of the consumer's time too."""
        return self.size_bytes / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def stall_share(self) -> float:
        """Share of the time in which the consumer waited, from 0 to 1."""
        return self.waited_s / self.elapsed_s if self.elapsed_s else 0.0


class Clock:
    """Adds up what `LoaderStats` tells; one consumer, and threads that report what they `gathered`."""

    def __init__(self) -> None:
        self.rows = 0
        self.batches = 0
        self.skipped = 0
        self.waited_s = 0.0
        self.gathered_s = 0.0
        self.decoded_s = 0.0
        self.broken_rows = 0
        self.first_batch_s = 0.0
        self._lock = Lock()
        self._before_s = 0.0
        self._began: float | None = None
        self._lap = 0.0

    def begin(self) -> float:
        """Start counting an iteration; return the time."""
        self._began = self._lap = time.perf_counter()
        return self._began

    def lap_s(self) -> float:
        """Return the seconds since this was last asked, or the iteration began."""
        before, self._lap = self._lap, time.perf_counter()
        return self._lap - before

    def gathered(self, took_s: float) -> None:
        """Add what a thread spent on copying."""
        with self._lock:
            self.gathered_s += took_s

    def decoded(self, took_s: float, broken_rows: int) -> None:
        """Add what a thread spent on decoding; it is told before that thread's `gathered`, of which it is no part."""
        with self._lock:
            self.decoded_s += took_s
            self.gathered_s -= took_s
            self.broken_rows += broken_rows

    def end(self) -> None:
        """Stop counting: the consumer does something else."""
        if self._began is not None:
            self._before_s += time.perf_counter() - self._began
            self._began = None

    @property
    def elapsed_s(self) -> float:
        """Seconds counted."""
        running = 0.0 if self._began is None else time.perf_counter() - self._began
        return self._before_s + running
