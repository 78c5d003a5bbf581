"""Owns the threads for what may be given up while it runs: a request that lost a race, a copy for later, a wait.

They stay for the next piece of work, and do not keep a process from ending.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread, local, main_thread
from typing import Any, TypeVar

T = TypeVar("T")
_LOCK = Lock()
_HERE = local()
THREAD_NAME = "penstock background"


def in_background(work: Callable[[], T]) -> "Future[T]":
    """Begin `work` in a thread and return what will be its result; a process that ends first cuts it off anywhere."""
    with _LOCK:
        threads = _threads_of.setdefault(os.getpid(), _Threads())  # a fork has none of its parent's
    return threads.submit(work)


def is_background() -> bool:
    """Return whether the caller is such work; threads of its own it must not let outlive `is_ending`."""
    return getattr(_HERE, "is_background", False)


def is_ending() -> bool:
    """Return whether the process waits for nothing but its threads."""
    return not main_thread().is_alive()


class _Threads:
    """Threads that are made when all others are busy and stay; they end with the process, in the midst of anything."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()  # Any: of all callers
        self._lock = Lock()
        self._idle = 0

    def submit(self, ask: Callable[[], T]) -> "Future[T]":
        """Call `ask` in a thread."""
        answer: Future[T] = Future()
        with self._lock:
            is_new = self._idle == 0
            self._idle -= not is_new
        self._work.put((answer, ask))
        if is_new:
            Thread(target=self._run, name=THREAD_NAME, daemon=True).start()
        return answer

    def _run(self) -> None:
        _HERE.is_background = True
        while True:
            answer, ask = self._work.get()
            try:
                value = ask()
            except BaseException as error:
                self._now_idle()
                answer.set_exception(error)
            else:
                self._now_idle()
                answer.set_result(value)
                del value
            del answer, ask  # what they hold is not to stay until the next request

    def _now_idle(self) -> None:
        with self._lock:
            self._idle += 1


_threads_of: dict[int, _Threads] = {}
