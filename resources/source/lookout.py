"""Owns one look at a time in a thread, so that a slow source outlasts a tick without holding it up."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Lookout(Generic[T]):
    """Holds the look that is under way, and its result until it is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._question: object = None
        self._answer: Future[T] | None = None

    def look(self, question: object, work: Callable[[], T], *, patience_s: float) -> T | None:
        """Return what `work` returns, or None if it is not done after `patience_s` seconds.

        It goes on then, and a later call with an equal `question` receives its result; a result that nobody asks for
        any more is dropped. What `work` raises is raised.
        """
        deadline = time.monotonic() + patience_s
        while True:
            with self._lock:
                answer, is_ours = self._begun(question, work)
            if not wait([answer], timeout=max(0.0, deadline - time.monotonic())).done:
                return None
            with self._lock:
                self._answer = None if self._answer is answer else self._answer
            if is_ours:
                return answer.result()

    def _begun(self, question: object, work: Callable[[], T]) -> tuple[Future[T], bool]:
        if self._answer is None:
            self._question, self._answer = question, Future()
            # A daemon thread: a source that never answers must not keep the process from ending.
            threading.Thread(target=_fulfil, args=(self._answer, work), daemon=True, name="penstock-look").start()
        return self._answer, self._question == question


def _fulfil(answer: Future[T], work: Callable[[], T]) -> None:
    try:
        answer.set_result(work())
    except BaseException as error:  # polars' PanicException is no Exception; whoever asked is told
        answer.set_exception(error)
