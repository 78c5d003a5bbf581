"""Owns the collection of garbage in one store, in two phases that any number of writers may run beside.

One run marks: it writes down what is dead. A later one, at least the grace period afterwards, looks again at what is
alive, claims the plan by compare-and-swap with what still is dead, deletes that (`sweep`), and marks anew. What a
writer needs meanwhile it rescues (`guard`). A run that was killed while it deleted is finished by the next.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from resources.errors import ConflictError
from resources.storage.garbage.plan import Plan, read_plan, swap_plan, unmark, write_list
from resources.storage.garbage.roots import Alive, alive
from resources.storage.garbage.sweep import busy, carry_out, finish, legible_keys
from resources.storage.garbage.walk import Start
from resources.storage.memo import FOLDER as MEMOS
from resources.storage.store import Store

GRACE_S = 86_400.0
"""How long what was found dead stays at least, in seconds."""
SKEW_S = 300.0
"""How far clocks of hosts may differ, in seconds."""
Retained = Callable[[], Iterable[Start]] | None
_ATTEMPTS = 20
FOLDERS = (MEMOS, "objects", "files", "trees")
"""What can be garbage, in the order in which it goes: what names others before what it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one run did.

    Attributes:
        deleted: Key to bytes of what was deleted.
        marked: Key to bytes of what waits for its end.
        due: When that may be deleted, None if nothing waits.
        alive: What is needed, as last seen.
    """

    deleted: dict[str, int]
    marked: dict[str, int]
    due: datetime | None
    alive: Alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What a run would do now.

    Attributes:
        there: Key to bytes of everything that can be garbage.
        dead: Key to bytes of what nothing needs.
        now: Keys that would be deleted now.
        waiting: Keys that were marked, and wait for their end.
        due: When what waits may be deleted, None if nothing waits.
        alive: What is needed.
    """

    there: dict[str, int]
    dead: dict[str, int]
    now: tuple[str, ...]
    waiting: tuple[str, ...]
    due: datetime | None
    alive: Alive


def collect(
    store: Store, *, grace_s: float = GRACE_S, now: datetime | None = None, retained: Retained = None
) -> Collected:
    """Delete what is due, and mark what is dead.

    Args:
        store: One's own store; nothing but this is looked at.
        grace_s: How long what was found dead stays at least. 0 marks and deletes at once.
        now: The present, by default the clock's.
        retained: Returns what shall stay although nothing needs it.

    Raises:
        IntegrityError: If it cannot be told what is alive.
        ConflictError: If another process is deleting, or is always faster.
    """
    time_s = (now or datetime.now(UTC)).timestamp()
    finish(store, now_s=time_s)
    deleted: dict[str, int] = {}
    marked = False
    for _ in range(_ATTEMPTS):
        plan, seen = read_plan(store), _seen(store, time_s, retained)
        match _next(plan, time_s, grace_s, marked=marked):
            case "busy":
                raise busy(store, plan)
            case "mark":
                marked = _mark(store, plan, seen, time_s)
                if marked and grace_s > 0:
                    return _collected(store, read_plan(store), seen, deleted, grace_s)
            case "delete":
                deleted |= _delete_due(store, plan, seen, time_s) or {}
            case "rest":
                return _collected(store, plan, seen, deleted, grace_s)
    raise ConflictError(f"writers of store {store.url} were faster {_ATTEMPTS} times: run `penstock data gc` again")


def foresee(
    store: Store, *, grace_s: float = GRACE_S, now: datetime | None = None, retained: Retained = None
) -> Foreseen:
    """Return what `collect` would do, and change nothing.

    Raises:
        IntegrityError: If it cannot be told what is alive.
    """
    now_s = (now or datetime.now(UTC)).timestamp()
    plan, seen = read_plan(store), _seen(store, now_s, retained)
    listed = tuple(key for key in (legible_keys(store, plan) or ()) if key in seen.dead)
    at_once = tuple(seen.dead) if grace_s <= 0 else listed if _is_due(plan, now_s, grace_s) else ()
    waiting = () if at_once else listed
    due = datetime.fromtimestamp(plan.at_s + grace_s, UTC) if waiting else None
    return Foreseen(there=seen.there, dead=seen.dead, now=at_once, waiting=waiting, due=due, alive=seen.alive)


def present(store: Store) -> dict[str, int]:
    """Return key to bytes of everything in `store` that can be garbage, in the order in which it would go."""
    return {key: size for folder in FOLDERS for key, size in store.sizes(folder).items()}


def dead(there: dict[str, int], living: Alive) -> dict[str, int]:
    """Return what of `there` nothing needs: a memo goes with the first version that it names."""
    kept = living.reached.keys
    versions = living.reached.versions

    def is_needed(key: str) -> bool:
        if key.startswith(f"{MEMOS}/"):
            return all(digest in versions for digest in living.memos.get(key, ()))
        return key in kept

    return {key: size for key, size in there.items() if not is_needed(key)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What lies in a store and what of it is needed, looked at after the plan was read."""

    there: dict[str, int]
    alive: Alive
    dead: dict[str, int]


def _seen(store: Store, now_s: float, retained: Retained) -> _Seen:
    there = present(store)
    living = alive(store, now=datetime.fromtimestamp(now_s, UTC), retained=retained)
    return _Seen(there=there, alive=living, dead=dead(there, living))


def _next(plan: Plan, now_s: float, grace_s: float, *, marked: bool) -> Literal["busy", "mark", "delete", "rest"]:
    match plan.state:
        case "deleting":
            return "busy"
        case "idle":
            return "rest" if marked else "mark"
        case "marked":
            if plan.at_s > now_s + SKEW_S:  # marked while a clock was ahead
                return "mark"
            return "delete" if _is_due(plan, now_s, grace_s) else "rest"


def _is_due(plan: Plan, now_s: float, grace_s: float) -> bool:
    return plan.state == "deleting" or (plan.state == "marked" and plan.at_s + grace_s <= now_s)


def _mark(store: Store, plan: Plan, seen: _Seen, now_s: float) -> bool:
    """Write down what is dead; return False if another process changed the plan meanwhile."""
    for key in seen.alive.ended:
        store.delete(key)
    if not seen.dead:
        return plan.state == "idle" or unmark(store, plan)
    listed = write_list(store, seen.dead)
    after = replace(plan, state="marked", listed=listed, rescued=(), at_s=now_s)
    return swap_plan(store, plan, after)


def _delete_due(store: Store, plan: Plan, seen: _Seen, now_s: float) -> dict[str, int] | None:
    """Claim and carry out a marked plan; return None if it was changed meanwhile, else what was deleted."""
    doomed = [key for key in (legible_keys(store, plan) or ()) if key in seen.dead]
    begun = replace(plan, listed=write_list(store, doomed), rescued=(), collections=plan.collections + 1)
    if not carry_out(store, plan, begun, now_s=now_s):
        return None
    return {key: seen.dead[key] for key in doomed}


def _collected(store: Store, plan: Plan, seen: _Seen, deleted: dict[str, int], grace_s: float) -> Collected:
    waiting = [key for key in (legible_keys(store, plan) or ()) if key in seen.dead]
    due = datetime.fromtimestamp(plan.at_s + grace_s, UTC) if waiting else None
    return Collected(deleted=deleted, marked={key: seen.dead[key] for key in waiting}, due=due, alive=seen.alive)
