"""A clock that jumps, for this process: by minutes to years, forward or back, at the call that a seed names.

Files keep the kernel's time. `datetime.now` and the clock of native code stay right: they date records, nothing waits
for them. What S3 says to a client whose clock is wrong, the proxy says.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count

JUMPS_S = (90.0, 3 * 3_600.0, 26 * 3_600.0, 400 * 86_400.0, -90.0, -3 * 3_600.0, -26 * 3_600.0, -400 * 86_400.0)


@contextmanager
def jumping(by_s: float, *, after_calls: int) -> Generator[None]:
    """Let `time.time` and `time.time_ns` jump by `by_s` seconds once they were called `after_calls` times in all."""
    real, real_ns, calls = time.time, time.time_ns, count()

    def now_ns() -> int:
        return real_ns() + (round(by_s * 1e9) if next(calls) >= after_calls else 0)

    time.time, time.time_ns = lambda: now_ns() / 1e9, now_ns
    try:
        yield
    finally:
        time.time, time.time_ns = real, real_ns
