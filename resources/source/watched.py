"""Owns what is remembered of a watched source from one look to the next, and the name of each change.

A change is named by its run key: partition, content, and a generation that counts how often the content of the
partition changed. The same change has the same key however often it is found, and a return to former content has a new
one. It looks at nothing; `resources.source.watch` does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from resources.canonical import canonical_json, parse_json

WHOLE = "all"
"""Stands for the partition in the run key of a pipeline without partitions."""
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one partition.

    Attributes:
        digest: Digest of its content.
        generation: How often its content was found changed, from 1 on.
        stamp: Stamp of its own file, where it has one.
    """

    digest: str
    generation: int
    stamp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """New content of one partition; `partition` is None for a pipeline without partitions."""

    partition: str | None
    digest: str
    generation: int

    @property
    def run_key(self) -> str:
        """Name of this change, the same whenever it is found again."""
        return f"{self.partition or WHOLE}:{self.digest}:{self.generation}"

    @staticmethod
    def named(run_key: str) -> "Change | None":
        """Return the change that `run_key` names, or None for a key of another origin.

        >>> Change.named("2012-01:8f3a:2")
        Change(partition='2012-01', digest='8f3a', generation=2)
        """
        partition, *rest = run_key.rsplit(":", 2)
        if len(rest) != 2 or not rest[1].isdecimal():
            return None
        return Change(partition=None if partition == WHOLE else partition, digest=rest[0], generation=int(rest[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Everything that is remembered of a source.

    Attributes:
        file: Stamp of the one file that holds all partitions, or empty.
        partitions: What was seen of each partition, by key; the key is empty where there are no partitions.
        looked_at_s: Begin of the look, seconds since the epoch.
    """

    file: str = ""
    partitions: Mapping[str, Seen] = field(default_factory=dict[str, Seen])
    looked_at_s: int = 0

    @staticmethod
    def from_cursor(text: str | None) -> "Watched":
        """Return what `to_cursor` wrote; a cursor that is absent, foreign or damaged remembers nothing."""
        try:
            value = parse_json((text or "").encode())
            if value["v"] != _VERSION:
                return Watched()
            partitions = {str(key): _seen(*entry) for key, entry in value["partitions"].items()}
            return Watched(file=str(value["file"]), partitions=partitions, looked_at_s=int(value["at"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return Watched()

    def to_cursor(self) -> str:
        """Return everything as compact JSON: `{"partitions": {key: [digest, generation, stamp]}, ...}`."""
        partitions = {key: _entry(seen) for key, seen in self.partitions.items()}
        value = {"v": _VERSION, "at": self.looked_at_s, "file": self.file, "partitions": partitions}
        return canonical_json(value).decode()

    def with_requested(self, run_keys: Iterable[str]) -> "Watched":
        """Return this with the changes that were requested but not remembered, since a look was cut short or reset."""
        partitions = dict(self.partitions)
        for change in filter(None, map(Change.named, run_keys)):
            known = partitions.get(change.partition or "")
            if known is None or change.generation > known.generation:
                partitions[change.partition or ""] = Seen(digest=change.digest, generation=change.generation)
        # Without the stamps, the next look compares the content.
        return self if partitions == self.partitions else replace(self, file="", partitions=partitions)

    def compared(self, key: str, digest: str, *, stamp: str = "") -> tuple[Seen, Change | None]:
        """Return what to remember of partition `key`, found with content `digest`, and the change, if it is one."""
        known = self.partitions.get(key)
        if known is not None and known.digest == digest:
            return replace(known, stamp=stamp), None
        generation = known.generation + 1 if known else 1
        seen = Seen(digest=digest, generation=generation, stamp=stamp)
        return seen, Change(partition=key or None, digest=digest, generation=generation)


def _seen(digest: object, generation: int, stamp: object = "") -> Seen:
    return Seen(digest=str(digest), generation=int(generation), stamp=str(stamp))


def _entry(seen: Seen) -> list[str | int]:
    entry: list[str | int] = [seen.digest, seen.generation]
    return [*entry, seen.stamp] if seen.stamp else entry
