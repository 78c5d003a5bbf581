"""Owns how far a server is, by the quickest of its answers so far: how many requests are worth having on their way.

Over a long way one connection carries little, so many of them are needed; on a short one each costs work and gains
nothing.
"""

import time
from collections.abc import Callable
from math import inf
from typing import TypeVar

T = TypeVar("T")

FAR_S = 0.01
"""Seconds to the head of the quickest answer from which on a server is far: on one host it takes a few milliseconds,
in a data centre an object store takes tens."""


class Distance:
    """What is known of the way to one server; threads may share it.

    Attributes:
        quickest_s: Seconds to the head of the quickest answer; infinite before the first.
    """

    def __init__(self) -> None:
        self.quickest_s = inf

    @property
    def is_far(self) -> bool:
        """Whether it is known to be far."""
        return FAR_S <= self.quickest_s < inf

    def timed(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns, the head of an answer, and learn how long it took; a failure tells nothing."""
        began = time.perf_counter()
        answer = ask()
        self.quickest_s = min(self.quickest_s, time.perf_counter() - began)
        return answer
