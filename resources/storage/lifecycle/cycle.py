"""Owns one round of the life cycle: what is cold goes into the archive, what has expired goes for good.

Nothing is deleted here: what is archived or expired is no longer retained, and garbage collection takes it, in its two
phases. Whoever is killed has moved some versions; the next round moves the rest.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from resources.errors import IntegrityError, ObjectMissing
from resources.storage.garbage.collect import GRACE_S, Collected, collect
from resources.storage.garbage.roots import Alive, alive, read_all
from resources.storage.garbage.walk import Reason, Start
from resources.storage.lifecycle.archive import Archived, archive_version, archived, forget_version
from resources.storage.lifecycle.policy import Aged, Policy, Tier, tiers
from resources.storage.provenance import Provenance, records_of
from resources.storage.store import Store
from resources.storage.uses import fold, last_uses
from resources.storage.versions import version


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """What one round found and did.

    Attributes:
        versions: Every dataset and model that has a record of how it was made.
        tiers: Digest to tier.
        moved: What went into the archive.
        forgotten: What was let go from the archive for good.
        collected: What garbage collection of the store did.
    """

    versions: tuple[Aged, ...]
    tiers: Mapping[str, Tier]
    moved: tuple[Archived, ...]
    forgotten: tuple[Archived, ...]
    collected: Collected


def lifecycle(store: Store, archive: Store | None, policy: Policy, *, now: datetime, grace_s: float = GRACE_S) -> Cycle:
    """Move what is cold into the archive, forget what has expired, and collect the garbage of both stores.

    Args:
        store: One's own store.
        archive: Where cold versions go; None: they stay until they expire.
        policy: How long versions stay where.
        now: The present, in UTC.
        grace_s: Grace period of garbage collection.

    Raises:
        StoreError: If one of the stores cannot be read or written.
        IntegrityError: If it cannot be told what is alive, or a copy is damaged.
    """
    fold(store, now.date())
    versions = aged(store, alive(store, now=now))
    placed = tiers(versions, policy, now.date())
    forgotten = [mark for mark in archived(store).values() if _is_over(mark, policy, now.date())]
    moved: list[Archived] = []
    if archive is not None:
        known = archived(store)
        for item in versions:
            if placed[item.digest] == "cold" and item.digest not in known:
                day = item.last_used.isoformat()
                moved.append(archive_version(store, archive, item.digest, name=item.name, last_used=day))
        for mark in forgotten:
            forget_version(store, archive, mark.digest)
        collect(archive, now=now, grace_s=grace_s)
    done = collect(store, now=now, grace_s=grace_s, retained=retaining(store, policy, now))
    return Cycle(
        versions=tuple(versions),
        tiers=placed,
        moved=tuple(moved),
        forgotten=tuple(forgotten) if archive is not None else (),
        collected=done,
    )


def retaining(store: Store, policy: Policy, now: datetime) -> Callable[[], Iterator[Start]]:
    """Return what yields the versions that nothing needs but whose time has not come, and that are not archived."""

    def retained() -> Iterator[Start]:
        found = aged(store, alive(store, now=now))
        placed, away = tiers(found, policy, now.date()), archived(store)
        for item in found:
            if placed[item.digest] != "expired" and not (placed[item.digest] == "cold" and item.digest in away):
                yield Start(digest=item.digest, reason=Reason(kind="retention", name=item.name))

    return retained


def aged(store: Store, living: Alive) -> list[Aged]:
    """Return every dataset and model of the store that has a record of how it was made."""
    subjects = sorted({key.split("/")[2] for key in store.list("provenance")})
    uses = last_uses(store)
    there = read_all(store, subjects, lambda store, digest: _aged(store, digest, living, uses))
    return [item for _, item in there if item is not None]


def _aged(store: Store, digest: str, living: Alive, uses: Mapping[str, date]) -> Aged | None:
    try:
        made = version(store, digest)
    except (ObjectMissing, IntegrityError):  # archived, of a base store, or of another format
        return None
    records = records_of(store, digest)
    if made.kind == "object" or not records:
        return None
    last = max(_made(record) for record in records)
    return Aged(
        digest=digest,
        kind=made.kind,
        name=records[-1].title,
        made=last.isoformat(),
        last_used=max(last.date(), uses.get(digest, last.date())),
        needed=digest in living.reached.versions,
        size_bytes=made.size_bytes,
    )


def _made(record: Provenance) -> datetime:
    made = datetime.fromisoformat(record.created_at) if record.created_at else datetime.min.replace(tzinfo=UTC)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _is_over(mark: Archived, policy: Policy, today: date) -> bool:
    return (today - date.fromisoformat(mark.last_used)).days >= policy.delete_after_days
