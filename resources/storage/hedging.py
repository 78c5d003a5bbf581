"""Owns hedged reads: a request that takes unusually long is sent a second time, and the first answer counts.

For large reads alone. Their requests run in one event loop of the process, where an answer that nobody needs any more
is dropped with its connection. Handing over to it would be half of the processor time of reads of some KB. Large ones
take some more memory that way, since the client's threads allocate what they receive.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Generic, TypeVar

from resources.storage.latencies import Policy

HEDGED_BYTES = 2**20
"""Smallest read that is hedged."""
T = TypeVar("T")
_LOCK = Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What came of one read.

    Attributes:
        value: What was answered, or the error if all requests failed.
        hedges: Second requests that were sent: 0 or 1.
        hedges_won: Those of them whose answer counted.
    """

    value: T | Exception
    hedges: int = 0
    hedges_won: int = 0


def hedged(policy: Policy, size_bytes: int, ask: Callable[[], Awaitable[T]]) -> Answer[T]:
    """Return the first answer to `ask`, which is called again when the policy says so, from the process's event loop.

    Args:
        policy: Knows the reads before; used by that loop alone.
        size_bytes: Bytes that are asked for.
        ask: Sends the request. It must be one that may be sent twice.
    """
    answer = asyncio.run_coroutine_threadsafe(_raced(policy, size_bytes, ask), _loop())
    try:
        return answer.result()
    except BaseException:  # such as Ctrl-C
        answer.cancel()
        raise


async def _raced(policy: Policy, size_bytes: int, ask: Callable[[], Awaitable[T]]) -> Answer[T]:
    delay_s = policy.delay_s(size_bytes)
    running = {asyncio.ensure_future(ask()): time.monotonic()}
    try:
        await asyncio.wait(running, timeout=delay_s)
        (first,) = running
        hedges = int(not first.done() and policy.may_ask_again())
        if hedges:
            running[asyncio.ensure_future(ask())] = time.monotonic()
        winner = await _first_good(set(running))
        now = time.monotonic()
        if not winner.exception():
            for task, began in running.items():  # one that lost took at least as long
                policy.ended(size_bytes, now - began)
                if task is winner:
                    break
        won = hedges if winner is not first and not winner.exception() else 0
        return Answer(value=_value(winner), hedges=hedges, hedges_won=won)
    finally:
        for task in running:
            if not task.cancel():
                task.exception()  # has been seen: asyncio logs those that nobody looked at


async def _first_good(tasks: "set[asyncio.Future[T]]") -> "asyncio.Future[T]":
    """Wait for the first task that did not fail; if all fail return the last."""
    while True:
        done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.exception():
                return task
        if not tasks:
            return done.pop()


def _value(task: "asyncio.Future[T]") -> T | Exception:
    error = task.exception()
    if isinstance(error, Exception):
        return error
    return task.result()


def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process, which runs in a thread of its own until the process ends."""
    with _LOCK:
        if (found := _loops.get(os.getpid())) is None:
            found = _loops[os.getpid()] = asyncio.new_event_loop()
            Thread(target=found.run_forever, name="penstock reads", daemon=True).start()
        return found
