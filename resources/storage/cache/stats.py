"""Owns what a cache counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What one process did with the cache, and what the folder holds.

    Attributes:
        hits: Reads answered by what was there.
        misses: Downloads begun by this process.
        fetched_bytes: Bytes that came from stores.
        waits: Reads that waited for a download by somebody else.
        waited_s: Seconds that they waited, in all.
        evictions: Entries that this process evicted.
        held_bytes: Bytes that all processes hold and have reserved; 0 if nobody has asked the folder.
    """

    hits: int = 0
    misses: int = 0
    fetched_bytes: int = 0
    waits: int = 0
    waited_s: float = 0.0
    evictions: int = 0
    held_bytes: int = 0
