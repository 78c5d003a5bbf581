"""Owns what a cache counts, and what of it is shown of one run."""

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What was done with the cache, by one process or by all of a host so far, and what the folder holds.

    Attributes:
        hits: Reads answered by what was there.
        hit_bytes: Bytes of the files that they found.
        misses: Downloads begun.
        fetched_bytes: Bytes that downloads brought from stores.
        waits: Reads that waited for a download by somebody else.
        waited_s: Seconds that they waited, in all.
        verify_s: Seconds spent on hashing whole copies again, by readers and scrubs; what is hashed on its way here is
            not counted.
        evictions: Entries that were evicted.
        damaged: Copies whose bytes were found wrong.
        retries: Requests that were sent again because there was no answer or a refusal, and downloads that began anew
            because the bytes were wrong. What the client repeats by itself, in lists and uploads of parts, is not told.
        scrubbed: Copies that scrubs hashed.
        scrubbed_bytes: Bytes of these.
        hedges: Reads that were asked for a second time because the answer took unusually long.
        hedges_won: Those of them whose second request was answered first.
        range_reads: Reads of parts of files, and of whole ones to verify them, that went past the cache.
        range_bytes: Bytes of these.
        unkept: Files that were fetched whole into memory and should have been kept, but found no room, or a disk that
            could not be written.
        held_bytes: Bytes that all processes hold and have reserved; 0 if nobody has asked the folder.
    """

    hits: int = 0
    hit_bytes: int = 0
    misses: int = 0
    fetched_bytes: int = 0
    waits: int = 0
    waited_s: float = 0.0
    verify_s: float = 0.0
    evictions: int = 0
    damaged: int = 0
    retries: int = 0
    scrubbed: int = 0
    scrubbed_bytes: int = 0
    hedges: int = 0
    hedges_won: int = 0
    range_reads: int = 0
    range_bytes: int = 0
    unkept: int = 0
    held_bytes: int = 0


COUNTED = tuple(field.name for field in fields(CacheStats) if field.name != "held_bytes")
"""What is counted, in the order in which it is kept: new ones go last."""
_SECONDS = ("waited_s", "verify_s")


def stats_of(counts: dict[str, float], *, held_bytes: int = 0) -> CacheStats:
    """Return `counts` by name as statistics; what is not there is 0, what nobody knows any more is left out."""
    known = {name: counts.get(name, 0.0) for name in COUNTED}
    return CacheStats(
        **{name: number if name in _SECONDS else round(number) for name, number in known.items()},  # pyright: ignore[reportArgumentType]
        held_bytes=held_bytes,
    )


def cache_metadata(before: CacheStats, after: CacheStats) -> dict[str, float]:
    """Return what was done between two moments of one process, under stable keys `cache_<what>`; nothing if nothing.

    >>> cache_metadata(CacheStats(hits=3), CacheStats(hits=5))["cache_hits"]
    2
    """
    first, last = asdict(before), asdict(after)
    done = {f"cache_{name}": last[name] - first[name] for name in COUNTED}
    return done if any(done.values()) else {}
