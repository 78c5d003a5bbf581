"""Owns the carrying out of a plan: one process at a time claims it, deletes what is listed, and puts the plan away.

A claim lets its holder delete for `VALID_S` after it was last renewed, which is a compare-and-swap. Who was stopped for
longer, by a signal or since its machine slept, has to renew first, and finds out that another took over.

Who fails gives its claim up, so that anybody may finish at once. A claim whose holder may live elsewhere is taken over
only after it was seen unchanged for so long that it has run out, by one's own clock: clocks of hosts may differ.
"""

import secrets
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace

from resources.errors import ConflictError, IntegrityError, ObjectMissing, StoreError
from resources.process import is_dead, this_process
from resources.storage.garbage.plan import FOLDER, KEY, Plan, listed_keys, mend_plan, read_plan, swap_plan, unmark
from resources.storage.garbage.walk import READERS
from resources.storage.layered import own_layer
from resources.storage.store import Store

SILENCE_S = 3_600.0
"""After this silence of a deleting process, in seconds, another looks whether it may finish its work."""
VALID_S = 120.0
"""How long after its last renewal a claim lets its holder delete, in seconds."""
WATCHED_S = 300.0
"""How long a silent claim is watched before it is taken over: `VALID_S` and the longest call to a store, in seconds."""
_LOOK_S = 5.0
_RENEWAL_S = 60.0
_BATCH = 100
_failed: set[str] = set()  # claims of this process that it could not even give up


def carry_out(store: Store, before: Plan, after: Plan, *, now_s: float) -> bool:
    """Claim the plan `after` in place of `before`, and delete what it lists; return False if `before` has changed.

    Raises:
        ConflictError: If another process took the claim over, since this one was silent for long.
        StoreError: If the store fails; the claim is given up then.
    """
    mine = replace(after, state="deleting", owner=this_process(), claim=secrets.token_hex(8), at_s=now_s)
    held = _Held(store)
    with _given_up_on_failure(store, mine.claim):
        if not swap_plan(store, before, mine):
            return False
        held.take(mine.claim)
        _sweep(store, held)
    return True


def finish(store: Store, *, now_s: float) -> None:
    """Finish what another collector left half deleted; where plan or list is damaged, nothing is marked any more.

    Raises:
        ConflictError: If the collector may still be alive.
    """
    try:
        plan = read_plan(store)
    except IntegrityError:
        # Whoever deletes by it has to renew its claim meanwhile, and cannot.
        if not _stays_as_it_is(store) or not mend_plan(store):
            raise
        return
    if plan.state == "marked" and legible_keys(store, plan) is None:
        unmark(store, plan)
    if plan.state != "deleting":
        return
    silent = abs(now_s - plan.at_s) >= SILENCE_S
    if not is_abandoned(plan) and not (silent and _stays_as_it_is(store)):
        raise busy(store, plan)
    if not carry_out(store, plan, plan, now_s=now_s):
        raise busy(store, plan)


def is_abandoned(plan: Plan) -> bool:
    """Return whether nobody deletes by a claimed plan any more: its holder gave up, or is known to be dead."""
    return not plan.owner or plan.claim in _failed or is_dead(plan.owner, unique_host=False)


def legible_keys(store: Store, plan: Plan) -> tuple[str, ...] | None:
    """Return the keys of a plan that are still listed; None if nobody can tell, since the list is gone or damaged."""
    try:
        return listed_keys(store, plan)
    except (ObjectMissing, IntegrityError):
        return None


def busy(store: Store, plan: Plan) -> ConflictError:
    """Return the error of who meets another collector at work."""
    return ConflictError(
        f"another process is deleting garbage of store {store.url} ({plan.owner or 'its name is gone'}): wait until it "
        f"is done; if it was killed on another machine, run again {SILENCE_S / 3600:.0f} h after its end"
    )


class _Held:
    """A claim of this process; it begins before it is known to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since = _clocks()
        self.plan = Plan()

    def take(self, claim: str) -> None:
        """Read the claimed plan.

        Raises:
            ConflictError: If it is another's by now.
        """
        self.plan = read_plan(self._store)
        if self.plan.claim != claim:
            raise busy(self._store, self.plan)

    def counts(self) -> bool:
        """Return whether this process may still delete by it."""
        return self._age_s() <= VALID_S

    def renew(self) -> None:
        """Prolong the claim if it is time to.

        Raises:
            ConflictError: If another took it over.
        """
        if self._age_s() <= _RENEWAL_S:
            return
        since = _clocks()
        if not swap_plan(self._store, self.plan, replace(self.plan, at_s=time.time())):
            raise busy(self._store, self.plan)
        self.take(self.plan.claim)
        self._since = since

    def _age_s(self) -> float:
        # One clock may be set back while the process is stopped, the other stands still while the machine sleeps.
        return max(abs(now - then) for now, then in zip(_clocks(), self._since, strict=True))


def _sweep(store: Store, held: _Held) -> None:
    """Delete what is on the list of the claim, then put the plan away."""
    keys = legible_keys(store, held.plan) or ()  # by a list that cannot be told nothing is deleted
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(keys), _BATCH):
            left: Sequence[str] = keys[start : start + _BATCH]
            while left:
                held.renew()
                gone = pool.map(lambda key: _delete(store, held, key), left)
                left = [key for key, done in zip(left, gone, strict=True) if not done]
    # Of lists that no plan names the writers were killed, or find their plan changed.
    lists = [key for key in store.list(FOLDER) if key != KEY]
    if not swap_plan(store, held.plan, replace(held.plan, state="idle", listed="", owner="", claim="")):
        raise busy(store, held.plan)
    for key in lists:
        store.delete(key)


def _delete(store: Store, held: _Held, key: str) -> bool:
    # Who was stopped for long must not delete what a writer has stored anew since another took over.
    if not held.counts():
        return False
    store.delete(key)
    return True


@contextmanager
def _given_up_on_failure(store: Store, claim: str) -> Generator[None]:
    """Give the claim up if the block fails: nobody else would finish it as long as this process lives."""
    try:
        yield
    except BaseException:
        _failed.add(claim)  # the claim itself may have failed, and become known all the same
        with suppress(StoreError):
            plan = read_plan(store)
            if plan.claim == claim:
                swap_plan(store, plan, replace(plan, owner=""))
        raise


def _stays_as_it_is(store: Store) -> bool:
    """Watch the plan for `WATCHED_S`, and return whether nobody changes it."""
    before, until_s = _tag(store), time.monotonic() + WATCHED_S
    while (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(_LOOK_S, left_s))
        if _tag(store) != before:
            return False
    return True


def _tag(store: Store) -> str:
    return own_layer(store).get_tagged(KEY)[1]


def _clocks() -> tuple[float, float]:
    return time.time(), time.monotonic()
