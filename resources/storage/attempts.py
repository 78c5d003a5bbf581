"""Owns how often a request is sent: a bounded number of times, with pauses that grow and vary, within a bounded time.

The client could do that itself, but would not tell, so that nobody could count.
"""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
_STATUS = re.compile(r"status code: (\d{3})")
_PASSING = (408, 429)  # Request Timeout, Too Many Requests
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long.

    Attributes:
        retries: How often a failed request is sent again.
        total_s: Seconds since the first request after which it is not sent again.
    """

    retries: int
    total_s: float


def attempted(
    send: Callable[[], T],
    patience: Patience,
    *,
    passes: Callable[[Exception], bool],
    again: Callable[[], object],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return what `send` returns, called again as often as patience allows.

    Args:
        send: Sends the request.
        patience: How often and how long.
        passes: Whether an error may be gone the next time.
        again: Called before each attempt but the first.
        sleep: Waits for some seconds.
        clock: Seconds of a clock that never goes back.
    """
    deadline = clock() + patience.total_s
    for attempt in range(patience.retries + 1):
        try:
            return send()
        except Exception as error:
            if attempt == patience.retries or clock() > deadline or not passes(error):
                raise
        again()
        sleep(pause_s(attempt))
    raise AssertionError("unreachable")


def pause_s(attempt: int) -> float:
    """Return the seconds to wait after an attempt, counted from 0; at random, so that many clients spread out."""
    return min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S) * random.uniform(0.5, 1.5)


def status_of(error: Exception) -> int:
    """Return the HTTP status that an error of the client tells of, or 0 where there was no answer.

    >>> status_of(ValueError("Server returned non-2xx status code: 503 Service Unavailable"))
    503
    """
    found = _STATUS.search(str(error).split("Debug source", 1)[0])
    return int(found[1]) if found else 0


def is_final(error: Exception) -> bool:
    """Return whether the server said that the request itself is wrong, so that the same one would be again."""
    return 400 <= status_of(error) < 500 and status_of(error) not in _PASSING
