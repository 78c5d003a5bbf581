"""Owns doing work on a stream of items side by side, in order, with bounded memory."""

import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def usable_cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(work: Callable[[T], R], items: Iterator[T], *, threads: int, ahead: int | None = None) -> Generator[R]:
    """Yield `work(item)` for each item, in the order of the items, whatever the number of threads.

    Args:
        work: Called in one of `threads` threads.
        items: Taken in a thread of its own, so that reading and work overlap.
        threads: How many items are worked on at a time.
        ahead: How many items may be taken before their results are; None means two more than `threads`.
    """
    feed = _Feed(work, items, threads=threads, ahead=ahead or threads + 2)
    try:
        while (future := feed.results.get()) is not None:
            result = future.result()
            feed.room.release()
            yield result
            del result, future
        if feed.failure:
            raise feed.failure[0]
    finally:
        feed.stop()


class _Feed(Generic[T, R]):
    """The thread that takes items and the pool that works on them."""

    def __init__(self, work: Callable[[T], R], items: Iterator[T], *, threads: int, ahead: int) -> None:
        self.results: SimpleQueue[Future[R] | None] = SimpleQueue()
        self.room = threading.Semaphore(ahead)
        self.failure: list[BaseException] = []
        self._work = work
        self._items = items
        self._stopped = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="judge")
        self._thread = threading.Thread(target=self._run, name="read", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End both, whatever is still to be done, and wait for them."""
        self._stopped = True
        self.room.release()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        try:
            while True:
                self.room.acquire()
                if self._stopped:
                    return
                item = next(self._items, None)
                if item is None:
                    return
                self.results.put(self._pool.submit(self._work, item))
                del item
        except BaseException as error:
            self.failure.append(error)
        finally:
            self.results.put(None)
