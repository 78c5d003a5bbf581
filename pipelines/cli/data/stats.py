"""`penstock data stats`: what the cache of this host holds, and what it has done."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resources.storage.cache.stats import CacheStats


def stats(as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False) -> None:
    """Tell what the host's cache holds and did, over all processes since it was made."""
    from pipelines.cli.console import print_json, print_table
    from resources.settings import load_settings
    from resources.storage.cache.cache import HostCache
    from resources.storage.cache.scrub import least_recently_verified
    from resources.wording import size

    settings = load_settings()
    cache = HostCache(settings.cache, budget_bytes=settings.cache_bytes)
    found, oldest = cache.host_stats(), least_recently_verified(cache)
    verified_since = oldest.isoformat(timespec="seconds") if oldest else None
    if as_json:
        told = {"cache": str(settings.cache), "budget_bytes": settings.cache_bytes, "verified_since": verified_since}
        print_json(told | asdict(found))
        return
    budget = size(settings.cache_bytes) if settings.cache_bytes else "half of what is free"
    print(f"cache {settings.cache}: holds {size(found.held_bytes)} of {budget}")
    if verified_since:
        print(f"every copy was verified since {verified_since}, when it was fetched or scrubbed")
    print_table(("what", "number"), _rows(found), right=("number",))


def _rows(found: "CacheStats") -> list[tuple[str, str]]:
    from pipelines.cli.console import seconds
    from resources.wording import size

    reads = found.hits + found.misses + found.waits
    return [
        ("reads answered from the cache", f"{found.hits:,}{f' ({found.hits / reads:.1%})' if reads else ''}"),
        ("bytes of these", size(found.hit_bytes)),
        ("downloads", f"{found.misses:,}"),
        ("bytes fetched for these", size(found.fetched_bytes)),
        ("waits for a download by somebody else", f"{found.waits:,}"),
        ("time of these", seconds(found.waited_s)),
        ("time spent on hashing local files", seconds(found.verify_s)),
        ("evictions", f"{found.evictions:,}"),
        ("copies scrubbed", f"{found.scrubbed:,}"),
        ("bytes of these", size(found.scrubbed_bytes)),
        ("damaged copies found", f"{found.damaged:,}"),
        ("reads past the cache, of parts of files", f"{found.range_reads:,}"),
        ("bytes of these", size(found.range_bytes)),
        ("files read whole that could not be kept", f"{found.unkept:,}"),
        ("requests sent again after a failure", f"{found.retries:,}"),
        ("second requests for slow reads", f"{found.hedges:,}"),
        ("answered before the first", f"{found.hedges_won:,}"),
    ]
