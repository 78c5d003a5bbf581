"""Owns the one record by which collectors and writers of a store agree on what is being deleted: `gc/plan.json`.

It moves by compare-and-swap: idle, marked (what was found dead, nothing deleted yet), deleting (what goes now), idle.
The keys themselves lie beside it in a file that never changes. It decides nothing: `guard` and `collect` do.
"""

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from resources.canonical import canonical_json, parse_json
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.layered import own_layer
from resources.storage.store import Store

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
        owner: The deleting process.
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
        data, tag = store.get_tagged(KEY)
    except ObjectMissing:
        return Plan()
    try:
        value: dict[str, Any] = parse_json(data)  # Any: JSON values
        value["rescued"] = tuple(value["rescued"])
        return Plan(**value, tag=tag)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{KEY} in store {store.url} is damaged: {error}; delete it while nothing writes to the store"
        ) from error


def swap_plan(store: Store, before: Plan, after: Plan) -> bool:
    """Replace the plan `before` by `after`; return False, changing nothing, if another process was first."""
    store, value = own_layer(store), asdict(after)
    del value["tag"]
    data = canonical_json(value)
    if store.swap(KEY, data, tag=before.tag):
        return True
    try:
        return store.get(KEY) == data  # a request that was sent again after a lost answer finds its own record
    except ObjectMissing:
        return False


def rescue(store: Store, plan: Plan, keys: Iterable[str]) -> bool:
    """Take `keys` out of a marked plan; return False if another process changed it first."""
    return swap_plan(store, plan, replace(plan, rescued=tuple(sorted({*plan.rescued, *keys}))))


def write_list(store: Store, keys: Iterable[str]) -> str:
    """Store a list of keys and return its own key."""
    name = f"{FOLDER}/keys-{secrets.token_hex(16)}.json"
    own_layer(store).create(name, canonical_json(list(keys)))
    return name


def listed_keys(store: Store, plan: Plan) -> tuple[str, ...]:
    """Return the keys of the plan's list that nobody rescued, in its order; a list is read once a process.

    Raises:
        ObjectMissing: If the list is gone, since the plan was carried out meanwhile.
    """
    if not plan.listed:
        return ()
    rescued = set(plan.rescued)
    return tuple(key for key in _list(own_layer(store), plan.listed) if key not in rescued)


@lru_cache(maxsize=2)
def _list(store: Store, name: str) -> tuple[str, ...]:
    return tuple(parse_json(store.get(name)))
