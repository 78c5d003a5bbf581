"""Owns the one record by which collectors and writers of a store agree on what is being deleted: `gc/plan.json`.

It moves by compare-and-swap: idle, marked (what was found dead, nothing deleted yet), deleting (what goes now), idle.
The keys themselves lie beside it in a file that never changes. Both carry a digest of their own, so that by a bit that
flips neither a plan nor a list becomes another. It decides nothing: `guard`, `collect` and `sweep` do.
"""

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from resources.errors import IntegrityError, ObjectMissing
from resources.storage.layered import own_layer
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal

FOLDER = "gc"
KEY = f"{FOLDER}/plan.json"
State = Literal["idle", "marked", "deleting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where the collection of garbage in one store stands.

    Attributes:
        state: `idle`; `marked`: what is listed was found dead, whoever needs it rescues it; `deleting`: it goes.
        collections: How many times deleting has begun in this store.
        listed: Key of the list of keys, empty when idle.
        rescued: Keys of the list that a writer needs again.
        at_s: When it was marked, or when the deleting process last said that it is alive, seconds since 1970.
        owner: The deleting process; empty if it gave up before it was done.
        claim: Random name of its claim.
        tag: Tag of the record that this was read from, None where there was none.
    """

    state: State = "idle"
    collections: int = 0
    listed: str = ""
    rescued: tuple[str, ...] = ()
    at_s: float = 0.0
    owner: str = ""
    claim: str = ""
    tag: str | None = field(default=None, compare=False)


def read_plan(store: Store) -> Plan:
    """Return the plan of `store`, an idle one where none was ever made.

    Raises:
        IntegrityError: If the record is damaged.
    """
    store = own_layer(store)
    try:
        try:
            return _plan(*store.get_tagged(KEY))
        except (ValueError, KeyError, TypeError):  # a bit may have flipped on the way
            return _plan(*store.get_tagged(KEY))
    except ObjectMissing:
        return Plan()
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{KEY} in store {store.url} is damaged: {error}; run `penstock data gc`, which makes it anew within "
            "some minutes"
        ) from error


def swap_plan(store: Store, before: Plan, after: Plan) -> bool:
    """Replace the plan `before` by `after`; return False, changing nothing, if another process was first."""
    return _swap(store, before.tag, after)


def mend_plan(store: Store) -> bool:
    """Put an idle plan in the place of a damaged one; return False if it was changed meanwhile.

    Nobody may be deleting any more. How often that had begun is lost: the new number is one that no writer knows, so
    that all of them look whether what they need is still there.
    """
    _, tag = own_layer(store).get_tagged(KEY)
    return _swap(store, tag, Plan(collections=secrets.randbits(48) + 2**48))


def rescue(store: Store, plan: Plan, keys: Iterable[str]) -> bool:
    """Take `keys` out of a marked plan; return False if another process changed it first."""
    return swap_plan(store, plan, replace(plan, rescued=tuple(sorted({*plan.rescued, *keys}))))


def unmark(store: Store, plan: Plan) -> bool:
    """Let go of everything that was marked; return False if another process changed the plan first."""
    return swap_plan(store, plan, replace(plan, state="idle", listed="", rescued=()))


def write_list(store: Store, keys: Iterable[str]) -> str:
    """Store a list of keys and return its own key."""
    name = f"{FOLDER}/keys-{secrets.token_hex(16)}.json"
    own_layer(store).create(name, seal(list(keys)))
    return name


def listed_keys(store: Store, plan: Plan) -> tuple[str, ...]:
    """Return the keys of the plan's list that nobody rescued, in its order; a list is read once a process.

    Raises:
        ObjectMissing: If the list is gone, since the plan was carried out meanwhile.
        IntegrityError: If the list is damaged.
    """
    if not plan.listed:
        return ()
    rescued = set(plan.rescued)
    return tuple(key for key in _list(own_layer(store), plan.listed) if key not in rescued)


@lru_cache(maxsize=2)
def _list(store: Store, name: str) -> tuple[str, ...]:
    try:
        return tuple(read_verified(store, name, unseal))
    except ValueError as error:
        raise IntegrityError(
            f"{name} in store {store.url} is damaged: {error}; run `penstock data gc`, which makes it anew"
        ) from error


def _plan(data: bytes, tag: str) -> Plan:
    value: dict[str, Any] = unseal(data)  # Any: JSON values
    value["rescued"] = tuple(value["rescued"])
    return Plan(**value, tag=tag)


def _swap(store: Store, tag: str | None, after: Plan) -> bool:
    store, value = own_layer(store), asdict(after)
    del value["tag"]
    data = seal(value)
    if store.swap(KEY, data, tag=tag):
        return True
    try:
        return store.get(KEY) == data  # a request that was sent again after a lost answer finds its own record
    except ObjectMissing:
        return False
