"""Owns where everything that is alive begins: refs, logged models and their reports, pins, and leases of running jobs.

Memos are no roots. But where a version is alive, what a memo names beside it (its profile, say) is kept, so that it can
be used again whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from resources.errors import ObjectMissing
from resources.refs import Ref, digests_of, sources_of
from resources.registry import logged_models
from resources.storage import refs
from resources.storage.dvc.outs import out_of
from resources.storage.garbage.leases import Lease, leases
from resources.storage.garbage.pins import Pin, pins
from resources.storage.garbage.walk import READERS, Reached, Reason, Start, reach
from resources.storage.memo import FOLDER as MEMOS
from resources.storage.memo import REQUIRES
from resources.storage.store import Store
from resources.storage.values import read_verified, unseal

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """What is needed in a store.

    Attributes:
        reached: Everything needed, with the reasons.
        memos: Key of a memo to the digests that it names; empty where it names none.
        ended: Keys of leases that no longer count.
    """

    reached: Reached
    memos: dict[str, tuple[str, ...]]
    ended: tuple[str, ...]


def alive(store: Store, *, now: datetime, retained: Callable[[], Iterable[Start]] | None = None) -> Alive:
    """Return what is needed in `store`.

    Args:
        store: One's own store.
        now: The present, for the terms of leases.
        retained: Returns what shall stay although nothing needs it.

    Raises:
        IntegrityError: If a ref, a log, a pin, a lease or a needed manifest cannot be read: what it needs is unknown.
    """
    held = leases(store)
    counting = {key: lease for key, lease in held.items() if lease.counts(now)}
    starts = [*_refs(store), *_logged(store), *_pinned(store), *_jobs(counting), *(retained() if retained else ())]
    memos = dict(read_all(store, store.list(MEMOS), _named_by_memo))
    beside = {digests[0]: digests[1:] for digests in memos.values() if digests}
    reached = reach(store, starts, beside)
    _keep_lists(store, reached)
    return Alive(
        reached=reached,
        memos=memos,
        ended=tuple(sorted(held.keys() - counting.keys())),
    )


def read_all(store: Store, keys: Sequence[K], read: Callable[[Store, K], T]) -> Iterator[tuple[K, T]]:
    """Yield every key with what `read` makes of it, several at a time; what is deleted meanwhile is left out."""

    def one(key: K) -> tuple[K, T] | None:
        try:
            return key, read(store, key)
        except ObjectMissing:
            return None

    with ThreadPoolExecutor(READERS) as readers:
        for found in readers.map(one, keys):
            if found is not None:
                yield found


def starts_of(ref: Ref, reason: Reason) -> Iterator[Start]:
    """Yield where to begin for one reference."""
    yield from (Start(digest=digest, reason=reason) for digest in digests_of(ref))
    yield from (Start(digest=digest, reason=reason, ancestry=True) for digest in sources_of(ref))


def _refs(store: Store) -> Iterator[Start]:
    # Listed twice: a bit that flips on the way in one list would hide a ref, and cost what it needs.
    for name, ref in read_all(store, list({*refs.listed(store), *refs.listed(store)}), _load):
        yield from starts_of(ref, Reason(kind="ref", name=f"{name.title} in registry {name.registry}"))


def _load(store: Store, name: refs.RefName) -> Ref:
    return refs.load(store, name.registry, name.asset, name.partition)


def _logged(store: Store) -> Iterator[Start]:
    for key, model, report in logged_models(store):
        reason = Reason(kind="model", name="/".join(key.split("/")[1:-1]))
        yield from starts_of(model, reason)
        if report:
            yield Start(digest=report, reason=reason)


def _pinned(store: Store) -> Iterator[Start]:
    for item in pins(store):
        reason = Reason(kind="pin", name=_pin_name(item))
        yield from (Start(digest=digest, reason=reason) for digest in (item.digest, *item.beside))


def _keep_lists(store: Store, reached: Reached) -> None:
    """Keep what stock DVC needs of pinned versions: an export pins them, and puts their lists of files beside them."""
    for item in pins(store):
        if (made := reached.versions.get(item.digest)) is not None:
            reached.keys.setdefault(out_of(store, made).key, Reason(kind="pin", name=_pin_name(item)))


def _pin_name(item: Pin) -> str:
    why = f": {item.reason}" if item.reason else ""
    return f"{item.name}, by {item.by}{why}"


def _jobs(held: dict[str, Lease]) -> Iterator[Start]:
    for lease in held.values():
        reason = Reason(kind="job", name=f"{lease.job} since {lease.since}")
        yield from (Start(digest=digest, reason=reason) for digest in lease.digests)


def _named_by_memo(store: Store, key: str) -> tuple[str, ...]:
    try:
        value: Any = read_verified(store, key, unseal)  # Any: JSON values
        return tuple(str(digest) for digest in value.get(REQUIRES, ()))
    except (ValueError, AttributeError, TypeError):
        return ()
