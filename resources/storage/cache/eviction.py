"""Owns the choice of what is evicted: S3-FIFO, which a single pass over any amount of data does not flush.

New entries wait in a small queue of a tenth of the budget. Those read more than once there move to the main queue, the
others leave and are remembered as ghosts; an entry that comes back while it is a ghost enters the main queue at once.
The main queue spares what was read since. (Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023.)
"""

from collections.abc import Callable
from typing import Literal, Protocol

Queue = Literal["small", "main"]
SMALL_SHARE = 0.1
_READ_AGAIN = 2


class Queues(Protocol):
    """Two queues of named entries with their bytes, oldest first, and the ghosts of those evicted unread."""

    def bytes_in(self, queue: Queue) -> int:
        """Return the bytes of a queue."""
        ...

    def oldest(self, queue: Queue) -> tuple[str, int] | None:
        """Return name and bytes of the first entry."""
        ...

    def append(self, queue: Queue, name: str, size_bytes: int) -> None:
        """Put an entry last in a queue, taking it out of where it was."""
        ...

    def remove(self, name: str) -> None:
        """Forget an entry."""
        ...

    def take_ghost(self, name: str) -> bool:
        """Return whether `name` is a ghost, which it is no more."""
        ...

    def add_ghost(self, name: str, size_bytes: int, *, most_bytes: int) -> None:
        """Remember an evicted entry, and forget the oldest ghosts beyond `most_bytes`."""
        ...


class Counts(Protocol):
    """How often entries were read."""

    def get(self, name: str) -> int:
        """Return the hits of an entry."""
        ...

    def set(self, name: str, count: int) -> None:
        """Replace them."""
        ...


def admit(queues: Queues, counts: Counts, name: str, size_bytes: int, *, comes_back: bool = False) -> None:
    """Append a new entry to the queue where it belongs: the main one if it is known to be read again and again."""
    is_ghost = queues.take_ghost(name)
    queues.append("main" if is_ghost or comes_back else "small", name, size_bytes)
    counts.set(name, 1 if comes_back else 0)


def make_room(
    queues: Queues, counts: Counts, *, need_bytes: int, budget_bytes: int, drop: Callable[[str, int], bool]
) -> tuple[bool, int]:
    """Evict until `need_bytes` more fit; return whether they do, and how many entries went.

    Args:
        queues: What is held.
        counts: Hits of what is held.
        need_bytes: Bytes that shall fit.
        budget_bytes: Bytes that may be held in all.
        drop: Removes the files of an entry unless it is in use, and returns whether it did.
    """
    evicted = 0
    in_use: set[str] = set()
    while queues.bytes_in("small") + queues.bytes_in("main") + need_bytes > budget_bytes:
        found = _next(queues, in_use, budget_bytes)
        if found is None:
            return False, evicted
        queue, name, size_bytes = found
        if _is_spared(queues, counts, queue, name, size_bytes):
            continue
        if not drop(name, size_bytes):
            in_use.add(name)
            queues.append(queue, name, size_bytes)
            continue
        queues.remove(name)
        evicted += 1
        if queue == "small":
            queues.add_ghost(name, size_bytes, most_bytes=budget_bytes)
    return True, evicted


def _next(queues: Queues, in_use: set[str], budget_bytes: int) -> tuple[Queue, str, int] | None:
    small_first = queues.bytes_in("small") > SMALL_SHARE * budget_bytes
    order: tuple[Queue, Queue] = ("small", "main") if small_first else ("main", "small")
    for queue in order:
        entry = queues.oldest(queue)
        # One in use goes last, so a queue that begins with one has been tried from end to end.
        if entry is not None and entry[0] not in in_use:
            return queue, *entry
    return None


def _is_spared(queues: Queues, counts: Counts, queue: Queue, name: str, size_bytes: int) -> bool:
    hits = counts.get(name)
    if hits < (_READ_AGAIN if queue == "small" else 1):
        return False
    counts.set(name, 0 if queue == "small" else hits - 1)
    queues.append("main", name, size_bytes)
    return True
