"""Owns which earlier partitions checks flagged, as the sections of their reports tell: they lie in the store.

So it survives a new Dagster instance, and is the same for everyone who shares the store. A check that looked at another
version of the data than the one that is there says nothing of it. What follows from a flag, `quality.healthy` says.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from quality.verdicts import VERDICTS, Verdict
from resources.errors import ObjectMissing
from resources.refs import DatasetRef
from resources.reports import marked, section_of
from resources.storage import refs
from resources.storage.store import Store

READERS = 16
"""Sections that are read at the same time: a remote store answers each only after a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """What flags a partition.

    Attributes:
        stage: Stage of the check.
        check: Name of the check.
        least: Verdict from which it flags.
        entry: What its section must show for that, or empty: a test that knew no past is no judge of what is usual.
    """

    stage: str
    check: str
    least: Verdict
    entry: str = ""


BROKEN = (
    Objection(stage="raw", check="contract", least="block"),
    Objection(stage="raw", check="expectations", least="block"),
)
"""Checks that block: what they refuse is no measure of anything."""
ODD = (
    *BROKEN,
    Objection(stage="raw", check="volume", least="warn"),
    Objection(stage="features", check="drift", least="warn", entry="past_pairs"),
)
"""What makes features no measure of later features."""


def flagged(
    store: Store,
    registry: str,
    pipeline: str,
    digests: Mapping[str, Mapping[str, str]],
    objections: Collection[Objection],
) -> frozenset[str]:
    """Return the partitions to which any of `objections` applies.

    Args:
        store: Where reports lie.
        registry: Name of the registry.
        pipeline: Name of the pipeline.
        digests: Stage to partition to the data version that is there.
        objections: What flags a partition.
    """

    def objects(asked: tuple[str, Objection]) -> bool:
        partition, objection = asked
        section = section_of(store, registry, pipeline, partition, objection.stage, check=objection.check)
        if section is None or section.digest != digests[objection.stage][partition]:
            return False
        known = not objection.entry or any(entry.name == objection.entry for entry in section.entries)
        return known and VERDICTS.index(section.verdict or "pass") >= VERDICTS.index(objection.least)

    asked = [
        (partition, one)
        for one in objections
        for partition in digests.get(one.stage, {}).keys() & marked(store, registry, pipeline, one.stage, one.check)
    ]
    with ThreadPoolExecutor(max_workers=READERS) as readers:
        return frozenset(key for (key, _), hit in zip(asked, readers.map(objects, asked), strict=True) if hit)


def flagged_features(store: Store, registry: str, pipeline: str, features: Mapping[str, DatasetRef]) -> frozenset[str]:
    """Return the partitions whose `features`, or the raw rows that they are of, were flagged."""
    raw = _digests(store, registry, (pipeline, "raw"), list(features))
    return flagged(
        store, registry, pipeline, {"raw": raw, "features": {key: ref.digest for key, ref in features.items()}}, ODD
    )


def _digests(store: Store, registry: str, asset: tuple[str, str], partitions: Sequence[str]) -> dict[str, str]:
    def one(partition: str) -> str | None:
        try:
            found = refs.load(store, registry, asset, partition)
        except ObjectMissing:
            return None
        return found.digest if isinstance(found, DatasetRef) else None

    with ThreadPoolExecutor(max_workers=READERS) as readers:
        found = zip(partitions, readers.map(one, partitions), strict=True)
        return {key: digest for key, digest in found if digest is not None}
