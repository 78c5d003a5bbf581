"""Owns how fast and how long a scrub reads. It needs nothing, so that whoever declares a scrub loads no cache."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

RATE_BYTES_PER_S = 100 * 10**6
"""How fast copies are read unless told otherwise: a tenth or less of what an NVMe disk gives."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """How fast and how long a scrub reads.

    Attributes:
        rate_bytes_per_s: Most bytes a second, over any time longer than a chunk (4 MiB) takes.
        for_s: Seconds after which no more is read, except that one copy is always read to its end: otherwise one that
            is too large for the time would keep all others from their turn. None means no end.
        clock: Seconds of a clock that never goes back.
        sleep: Waits for some seconds.
    """

    rate_bytes_per_s: float = RATE_BYTES_PER_S
    for_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _began: float = field(init=False)
    _due: float = field(init=False)

    def __post_init__(self) -> None:
        if self.rate_bytes_per_s <= 0:
            raise ValueError(f"rate_bytes_per_s must be positive, got {self.rate_bytes_per_s}")
        if self.for_s is not None and self.for_s <= 0:
            raise ValueError(f"for_s must be positive, got {self.for_s}")
        self._began = self._due = self.clock()

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.for_s is not None and self.clock() - self._began >= self.for_s

    def wait(self, size_bytes: int) -> None:
        """Wait until `size_bytes` more may be read; what was not read in time is not made up for."""
        now = self.clock()
        if self._due > now:
            self.sleep(self._due - now)
        self._due = max(self._due, now) + size_bytes / self.rate_bytes_per_s
