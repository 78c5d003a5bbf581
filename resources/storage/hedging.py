"""Owns hedged reads: a request that takes unusually long is sent a second time, and the first answer counts.

For large reads alone. Their requests run in threads of their own: one that lost goes on there until it is answered or
given up, and its answer is dropped. (An event loop could drop the request itself, but then the client collects an
answer in one thread and frees it in another, which more than doubled the page faults of a download, and half of the
system's time for it was theirs.)
"""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from resources.storage.background import in_background
from resources.storage.latencies import Policy

HEDGED_BYTES = 2**20
"""Smallest read that is hedged: for those of some KB the way through another thread would be felt."""
T = TypeVar("T")
_LOCK = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What came of one read.

    Attributes:
        value: What was answered.
        hedges: Second requests that were sent: 0 or 1.
        hedges_won: Those of them whose answer counted.
    """

    value: T
    hedges: int = 0
    hedges_won: int = 0


def hedged(policy: Policy, size_bytes: int, ask: Callable[[], T]) -> Answer[T]:
    """Return the first answer to `ask`, which is called again, beside the first call, when the policy says so.

    Args:
        policy: Knows the reads before.
        size_bytes: Bytes that are asked for.
        ask: Sends the request. It must be one that may be sent twice.

    Raises:
        Exception: Whatever the last of the requests raised, if all did.
    """
    with _LOCK:
        delay_s = policy.delay_s(size_bytes)
    first = _Request(ask)
    requests = [first]
    if not wait([first.answer], timeout=delay_s).done:
        with _LOCK:
            again = policy.may_ask_again()
        if again:
            requests.append(_Request(ask))
    winner = _first_good(requests)
    now, hedges = time.monotonic(), len(requests) - 1
    if winner.answer.exception() is None:
        with _LOCK:
            for request in requests:  # one that lost took at least as long
                policy.ended(size_bytes, now - request.began)
                if request is winner:
                    break
    won = hedges if winner is not first and winner.answer.exception() is None else 0
    return Answer(value=winner.answer.result(), hedges=hedges, hedges_won=won)


class _Request(Generic[T]):
    """One call of `ask` in a thread, and when it began."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self.began = time.monotonic()
        self.answer: Future[T] = in_background(ask)


def _first_good(requests: "list[_Request[T]]") -> "_Request[T]":
    """Wait for the first request that did not fail; if all fail return the last."""
    left = {request.answer: request for request in requests}
    while True:
        done, _ = wait(left, return_when=FIRST_COMPLETED)
        for answer in done:
            request = left.pop(answer)
            if answer.exception() is None or not left:
                return request
