"""Owns the asset `penstock/lifecycle`: each materialization is one round, and a report of what moved.

The round ends with a scrub of the cache of the host that it runs on, so that one needs no daemon of its own.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.stage import plain_failures
from resources.storage.cache.pace import RATE_BYTES_PER_S, Pace
from resources.storage.lifecycle.policy import TIERS, Policy
from resources.wiring import WorkspaceResource

if TYPE_CHECKING:
    from resources.settings import Settings
    from resources.storage.cache.scrub import Scrub
    from resources.storage.lifecycle.archive import Archived
    from resources.storage.lifecycle.cycle import Cycle

KEY = dg.AssetKey(["penstock", "lifecycle"])
GROUP = "penstock"
_SHOWN = 100


class LifecycleConfig(dg.Config):
    """What a round may be told."""

    grace_s: float = Field(default=86_400.0, ge=0, description="Seconds that garbage stays at least.")
    scrub_for_s: float = Field(
        default=600.0, ge=0, description="Seconds in which copies in this host's cache are hashed again; 0 for never."
    )
    scrub_bytes_per_s: float = Field(default=RATE_BYTES_PER_S, gt=0, description="Most bytes to read for it a second.")


def lifecycle_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that moves cold versions into the archive and deletes what has expired, as `policy` says."""

    @dg.asset(
        key=KEY,
        group_name=GROUP,
        kinds={"storage"},
        description="One round of the life cycle of all versions: archive what is cold, delete what has expired.",
        metadata={"hot_days": policy.hot_days, "archive_after_days": policy.archive_after_days,
                  "delete_after_days": policy.delete_after_days, "keep_last": policy.keep_last},
    )  # fmt: skip
    def lifecycle(
        context: dg.AssetExecutionContext, config: LifecycleConfig, workspace: WorkspaceResource
    ) -> dg.MaterializeResult[Any]:  # Any: it hands over nothing
        from resources.storage.layered import own_layer
        from resources.storage.lifecycle.cycle import lifecycle as turn
        from resources.workspace import archive_of

        with plain_failures():
            opened = workspace.open()
            archive = archive_of(opened.settings)
            done = turn(own_layer(opened.store), archive, policy, now=datetime.now(UTC), grace_s=config.grace_s)
            context.log.info("%d versions archived, %d forgotten", len(done.moved), len(done.forgotten))
            scrubbed = _scrubbed(opened.settings, config)
            if scrubbed.damaged:
                context.log.warning("%d copies in the cache were damaged", len(scrubbed.damaged))
            return dg.MaterializeResult(metadata=lifecycle_metadata(done) | scrub_metadata(scrubbed))

    return lifecycle


def lifecycle_metadata(done: "Cycle") -> dict[str, dg.MetadataValue]:
    """Return the report of one round: counts and bytes as numbers, what moved as a table."""
    counts = Counter(done.tiers.values())
    sizes = Counter[str]()
    for item in done.versions:
        sizes[done.tiers[item.digest]] += item.size_bytes
    moved = [*(("archived", item) for item in done.moved), *(("deleted for good", item) for item in done.forgotten)]
    numbers = {
        **{f"{tier}_versions": counts[tier] for tier in TIERS},
        **{f"{tier}_bytes": sizes[tier] for tier in TIERS},
        "archived_versions": len(done.moved),
        "archived_bytes": sum(item.size_bytes for item in done.moved),
        "forgotten_versions": len(done.forgotten),
        "deleted_files": len(done.collected.deleted),
        "deleted_bytes": sum(done.collected.deleted.values()),
        "marked_files": len(done.collected.marked),
        "marked_bytes": sum(done.collected.marked.values()),
    }
    return {
        **{name: dg.MetadataValue.int(number) for name, number in numbers.items()},
        "moved": dg.MetadataValue.md(_table(moved)),
    }


def scrub_metadata(done: "Scrub") -> dict[str, dg.MetadataValue]:
    """Return what the scrub came to, under stable keys `scrub_<what>`."""
    numbers = {
        "copies": done.copies,
        "read_bytes": done.read_bytes,
        "damaged": len(done.damaged),
        "dropped": len(done.dropped),
        "left": done.left,
    }
    return {
        **{f"scrub_{name}": dg.MetadataValue.int(number) for name, number in numbers.items()},
        "scrub_busy": dg.MetadataValue.bool(done.busy),
    }


def _scrubbed(settings: "Settings", config: LifecycleConfig) -> "Scrub":
    from resources.storage.cache.cache import HostCache
    from resources.storage.cache.scrub import Scrub, scrub

    if not config.scrub_for_s:
        return Scrub()
    cache = HostCache(settings.cache, budget_bytes=settings.cache_bytes)
    return scrub(cache, Pace(rate_bytes_per_s=config.scrub_bytes_per_s, for_s=config.scrub_for_s))


def _table(moved: "list[tuple[str, Archived]]") -> str:
    if not moved:
        return "Nothing moved."
    rows = [
        f"| {what} | {item.name} | `{item.digest[:12]}` | {item.size_bytes:,} | {item.last_used} |"
        for what, item in moved[:_SHOWN]
    ]
    more = [f"\n{len(moved) - _SHOWN:,} more."] if len(moved) > _SHOWN else []
    return "\n".join(["| what | version | digest | bytes | last used |", "|---|---|---|---:|---|", *rows, *more])
