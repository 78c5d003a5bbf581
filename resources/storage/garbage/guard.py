"""Owns what keeps a writer and a collector of one store apart: whoever needs what is marked as garbage rescues it.

A version that is committed is named by a root: a ref, a log, a pin, a lease. `keeping` surrounds the writing of a root.
Before and after it reads the plan of the collector, one small file:

- marked: what the root needs is taken out of the plan, by compare-and-swap. The collector claims its plan by the same
  compare-and-swap, and finds out.
- deleting: if what the root needs is on the list, it waits until that is over. What a collector left that gave up or is
  dead it finishes itself.
- deletions began since what the root needs was written, or was last seen whole by this process: it looks whether that
  is still there.

The collector looks for roots after it has read the plan that it claims, so a root is either seen by the collector or
its writer has seen the plan. This holds in every order of their steps, whatever their clocks say.
"""

import random
import time
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import Literal
from weakref import WeakKeyDictionary

from resources.errors import ConflictError, ObjectMissing, StoreError
from resources.storage.garbage.plan import Plan, read_plan, rescue, unmark
from resources.storage.garbage.sweep import carry_out, is_abandoned, legible_keys
from resources.storage.garbage.walk import READERS, Reason, Start, own_keys, reach
from resources.storage.store import Store
from resources.storage.versions import version

WAIT_S = 60.0
"""Longest wait for a collector that deletes what is needed."""
PAUSE_S = 0.2
_DELETING = -1
Keys = Collection[str]
_FEW = 500  # up to here one look each, several at a time; above, a listing is faster
_KNOWN = 10_000
# Of each version what `deletions` was when it was seen whole. By store, not by its URL: two servers may have buckets of
# one name.
_whole: WeakKeyDictionary[Store, dict[str, int]] = WeakKeyDictionary()
_LOST = (
    "was deleted as garbage while it was being written, since nothing named it yet: run again; "
    "give `penstock data gc` a longer --grace if that happens twice"
)


def deletions(store: Store) -> int:
    """Return how often deleting has begun in `store`; ask before the first write and pass it to `settle`.

    What a collector left half deleted is finished first, lest it hit what is written now.
    """
    plan = read_plan(store)
    if plan.state == "deleting" and is_abandoned(plan):
        _finish(store, plan)
        plan = read_plan(store)
    return _DELETING if plan.state == "deleting" else plan.collections


def settle(
    store: Store,
    keys: Callable[[], Keys],
    *,
    since: int | None = None,
    whole: Callable[[int], Keys] | None = None,
    wait_s: float | None = None,
) -> int | None:
    """Return once what is needed is there and on no list of what will be deleted.

    Args:
        store: Where it lies.
        keys: Returns the keys that are needed; asked only while there are lists.
        since: What `deletions` was when they were known to be there; None means that they never were.
        whole: Returns those of them that must be there, but were not seen when `deletions` was what it is given; None
            means all.
        wait_s: Longest wait for a collector that deletes one of them, by default `WAIT_S`.

    Returns:
        What `deletions` is now; None while something else is being deleted.

    Raises:
        ConflictError: If one was deleted, or is being deleted for too long.
    """
    given_up_s = time.monotonic() + (WAIT_S if wait_s is None else wait_s)
    finished = wait_s == 0
    while True:
        plan = read_plan(store)
        verdict = _step(store, plan, keys)
        # A plan that somebody removed counts from 0 again.
        if verdict == "free" and plan.collections == (since or 0):
            return None if plan.state == "deleting" else plan.collections
        if verdict == "free":
            _look(store, whole(plan.collections) if whole else keys())
            since = plan.collections
        elif time.monotonic() > given_up_s:
            raise _too_long(store, plan)
        elif verdict == "wait" and not finished and is_abandoned(plan):
            finished = True
            _finish(store, plan)
        elif verdict == "wait":
            time.sleep(PAUSE_S * random.uniform(0.5, 1.5))


def note_whole(store: Store, digest: str, settled: int | None) -> None:
    """Remember that a version was whole when `settle` said so, and that nobody has to look until deleting begins anew.

    Args:
        store: Where it lies.
        digest: The version; its manifest may have been written right after `settle` returned.
        settled: What `settle` returned for all its files.
    """
    if settled is not None:
        seen = _whole.setdefault(store, {})
        seen[digest] = settled
        while len(seen) > _KNOWN:
            with suppress(KeyError, StopIteration, RuntimeError):  # another thread was faster
                del seen[next(iter(seen))]


@contextmanager
def keeping(store: Store, own: Iterable[str], sources: Iterable[str] = (), *, look: bool = True) -> Generator[None]:
    """Surround the writing of a root, so that what it names is not deleted under it.

    Args:
        store: Where root and versions lie.
        own: Digests of the versions that the root names.
        sources: Digests that it says these were made from; they are rescued where they still are.
        look: Whether those of `own` must be there.

    Raises:
        ConflictError: If one of `own` was deleted; raised by the end of the block, it means that the root that was
            written names what is gone.
    """
    settled = _settling(store, tuple(own), tuple(sources), look=look)
    settled()
    yield
    settled()


def is_whole(store: Store, digests: Iterable[str]) -> bool:
    """Return whether the versions are there, taken out of the plan; for hints, which nobody minds to be told no."""
    wanted = tuple(digests)
    for digest in wanted:
        _whole.get(store, {}).pop(digest, None)  # somebody may have removed a file by hand
    try:
        _settling(store, wanted, (), look=True, wait_s=0.0)()
    except ConflictError:
        return False
    return True


def _settling(
    store: Store, own: tuple[str, ...], sources: tuple[str, ...], *, look: bool, wait_s: float | None = None
) -> Callable[[], None]:
    keys = cache(lambda: _closure(store, own, sources))

    def whole(now: int) -> Keys:
        unseen = [digest for digest in own if look and _whole.get(store, {}).get(digest) != now]
        return [key for digest in unseen for key in _present(store, digest)]

    def settled() -> None:
        now = settle(store, keys, whole=whole, wait_s=wait_s)
        for digest in own if look else ():
            note_whole(store, digest, now)

    return settled


def _step(store: Store, plan: Plan, needed: Callable[[], Keys]) -> Literal["free", "wait", "again"]:
    """Take what is needed out of a marked plan, and say how things stand."""
    if not plan.listed:
        return "free"
    keys = legible_keys(store, plan)
    if keys is None:  # carried out meanwhile; or nobody can tell what is on the list
        if plan.state == "marked":
            unmark(store, plan)
        return "wait" if plan.state == "deleting" else "again"
    listed = set(keys).intersection(needed())
    if not listed:
        return "free"
    if plan.state == "deleting":
        return "wait"
    rescue(store, plan, listed)
    return "again"


def _finish(store: Store, plan: Plan) -> None:
    with suppress(StoreError):  # who writes may lack the right to delete
        carry_out(store, plan, plan, now_s=time.time())


def _closure(store: Store, own: Iterable[str], sources: Iterable[str]) -> Keys:
    reason = Reason(kind="ref", name="")
    starts = [Start(digest=digest, reason=reason) for digest in own]
    starts += [Start(digest=digest, reason=reason, ancestry=True) for digest in sources]
    return frozenset(reach(store, starts).keys)


def _present(store: Store, digest: str) -> list[str]:
    try:
        return own_keys(version(store, digest))
    except ObjectMissing:
        raise ConflictError(f"version {digest[:12]} in store {store.url} {_LOST}") from None


def _look(store: Store, keys: Keys) -> None:
    wanted = list(keys)
    if len(wanted) <= _FEW:
        with ThreadPoolExecutor(READERS) as readers:
            there = readers.map(store.exists, wanted)
            lost = [key for key, is_there in zip(wanted, there, strict=True) if not is_there]
    else:
        folders = {key.split("/", 1)[0] for key in wanted}
        present = {key for folder in folders for key in store.list(folder)}
        lost = [key for key in wanted if key not in present]
    if lost:
        raise ConflictError(f"{lost[0]} in store {store.url} {_LOST}")


def _too_long(store: Store, plan: Plan) -> ConflictError:
    return ConflictError(
        f"what is to be kept in store {store.url} is being deleted by process {plan.owner or '?'}, and was not "
        f"gone after a wait: wait until that is done, or finish it by `penstock data gc`, then run again"
    )
