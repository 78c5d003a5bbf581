"""Owns which tier a version belongs to, by its age since it was last used; it moves nothing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Tier = Literal["hot", "warm", "cold", "expired"]
TIERS: tuple[Tier, ...] = ("hot", "warm", "cold", "expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long versions stay where, in days since their last use.

    Attributes:
        hot_days: Up to here a version counts as hot.
        archive_after_days: From here on one that nothing needs belongs into the archive; before, it is warm.
        delete_after_days: From here on it goes for good.
        keep_last: So many newest versions of each asset and partition never leave the store.
    """

    hot_days: int = 7
    archive_after_days: int = 30
    delete_after_days: int = 365
    keep_last: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.hot_days <= self.archive_after_days <= self.delete_after_days:
            raise ValueError(
                "days must grow from hot_days over archive_after_days to delete_after_days, got "
                f"{self.hot_days}, {self.archive_after_days}, {self.delete_after_days}"
            )
        if self.keep_last < 0:
            raise ValueError(f"keep_last must not be negative, got {self.keep_last}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged:
    """A version, and what its tier depends on.

    Attributes:
        digest: Its digest.
        kind: Dataset or model.
        name: What it was made as: pipeline, stage, partition.
        made: When it was first made, ISO 8601.
        last_used: The day on which it was last used, or made.
        needed: Whether a ref, a model, a pin or a running job needs it.
        size_bytes: Bytes of its files.
    """

    digest: str
    kind: str
    name: str
    made: str
    last_used: date
    needed: bool
    size_bytes: int


def tiers(versions: Sequence[Aged], policy: Policy, today: date) -> dict[str, Tier]:
    """Return digest to tier; what is needed, or is one of the newest of its name, is never cold nor expired."""
    held = {item.digest for item in versions if item.needed} | _newest(versions, policy.keep_last)
    return {item.digest: _tier((today - item.last_used).days, policy, held=item.digest in held) for item in versions}


def _tier(age_days: int, policy: Policy, *, held: bool) -> Tier:
    if age_days <= policy.hot_days:
        return "hot"
    if held or age_days < policy.archive_after_days:
        return "warm"
    return "cold" if age_days < policy.delete_after_days else "expired"


def _newest(versions: Iterable[Aged], count: int) -> set[str]:
    named: dict[str, list[Aged]] = defaultdict(list)
    for item in versions:
        named[item.name].append(item)
    return {
        item.digest
        for items in named.values()
        for item in sorted(items, key=lambda one: (one.made, one.digest), reverse=True)[:count]
    }
