"""Several actors on one store, each in a thread of its own, that take their steps in an order which a test decides.

A step is one operation on the store. An actor that is killed makes no further one, not even to clean up; one that fails
is told by the store that its next operation cannot be done.
"""

import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

from resources.errors import StoreError
from resources.storage.store import Store

OPERATIONS = (
    "get", "get_range", "get_tagged", "swap", "create", "put", "upload", "exists", "size_bytes", "list", "sizes",
    "stamps", "folders", "delete",
)  # fmt: skip
_PATIENCE_S = 60.0
_END = "end"


class Killed(BaseException):
    """Ends the thread of an actor that was killed."""


class Actor:
    """One process, as the store sees it: `work` gets a store whose operations wait for `step`."""

    def __init__(self, name: str, store: Store, work: Callable[[Store], None], *, may_fail: bool = False) -> None:
        self.name = name
        self.may_fail = may_fail
        self.ended = False
        self.killed = False
        self.fails = False
        self.error: BaseException | None = None
        self._go = threading.Semaphore(0)
        self._happened: SimpleQueue[str] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(_Stepped(store, self), work), name=name, daemon=True)
        self.next = ""  # the operation that it wants to do

    def step(self) -> str:
        """Let one operation happen and return its name; the actor then goes on until it wants the next, or ends."""
        if not self.next:
            self._thread.start()
            self._wait()
        done = self.next
        if not self.ended:
            self._go.release()
            self._wait()
        return done

    def kill(self) -> None:
        """End the actor before its next operation."""
        self.killed = True
        while self.next and not self.ended:
            self.step()
        self.ended = True

    def before_operation(self, name: str) -> None:
        """Wait for the turn of this actor."""
        self._happened.put(name)
        self._go.acquire()
        if self.killed:
            raise Killed
        if self.fails:
            self.fails = False
            raise StoreError(f"cannot {name}: the server went away")

    def _wait(self) -> None:
        self.next = self._happened.get(timeout=_PATIENCE_S)
        if self.next == _END:
            self._thread.join()
            self.ended = True

    def _run(self, store: "_Stepped", work: Callable[[Store], None]) -> None:
        try:
            work(store)  # pyright: ignore[reportArgumentType]
        except BaseException as error:  # told by the test
            self.error = error
        self._happened.put(_END)


class _Stepped:
    def __init__(self, store: Store, actor: Actor) -> None:
        self._store, self._actor = store, actor

    @property
    def url(self) -> str:
        return self._store.url

    def __getattr__(self, name: str) -> Any:
        if name not in OPERATIONS:
            return getattr(self._store, name)

        def operation(*args: Any, **options: Any) -> Any:
            self._actor.before_operation(name)
            return getattr(self._store, name)(*args, **options)

        return operation


def interleave(actors: list[Actor], schedule: Iterable[tuple[int, str]], check: Callable[[], None]) -> None:
    """Let actors act as `schedule` says, then let each take turns until all have ended.

    Args:
        actors: Who acts.
        schedule: Number of an actor, and until when it acts: `one` step; the name of the operation that it does last;
            the `end`; `kill`, which ends it without another step; or `fail`, which lets its next step fail if it may.
        check: Called after every step that can take something away, and when an actor has ended.
    """

    def step(actor: Actor) -> str:
        done = actor.step()
        if done == "delete" or actor.ended:
            check()
        return done

    for number, until in schedule:
        actor = actors[number % len(actors)]
        if until == "kill":
            actor.kill()
        actor.fails = until == "fail" and actor.may_fail and actor.next != ""
        while not actor.ended and step(actor) != until and until not in ("one", "fail"):
            pass
    while not all(actor.ended for actor in actors):
        for actor in actors:
            if not actor.ended:
                step(actor)
