"""Processes that read through one cache; each prints what it found as a line of JSON.

`python -m tests.integration.reading once URL CACHE BUDGET DIGEST` reads one object.
`python -m tests.integration.reading mapped URL CACHE BUDGET DIGEST` maps it, gives its lease back, and reads the map
again after a line on standard input.
`python -m tests.integration.reading many URL CACHE BUDGET SEED DIGEST...` reads objects in random order.
"""

import json
import mmap
import random
import sys
from dataclasses import asdict
from pathlib import Path

from resources.canonical import digest_bytes
from resources.storage.object_store import ObjectStore
from resources.storage.objects import borrowed


def once(store: ObjectStore, digest: str) -> None:
    """Read one object."""
    print("begin", flush=True)
    with borrowed(store, [digest]) as (path,):
        _tell(store, digest_bytes(path.read_bytes()))


def mapped(store: ObjectStore, digest: str) -> None:
    """Map one object and read it after it was evicted."""
    with borrowed(store, [digest]) as (path,), path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    _tell(store, digest_bytes(mapping[:]))
    sys.stdin.readline()
    _tell(store, f"{digest_bytes(mapping[:])} {path.exists()}")


def many(store: ObjectStore, seed: str, *digests: str) -> None:
    """Read objects in random order, and fail if one is wrong."""
    chance = random.Random(int(seed))
    for _ in range(25):
        digest = chance.choice(digests)
        with borrowed(store, [digest]) as (path,):
            if digest_bytes(path.read_bytes()) != digest:
                raise SystemExit(f"wrong bytes of {digest}")
    _tell(store, "right")


def _tell(store: ObjectStore, found: str) -> None:
    print(json.dumps({"found": found, **asdict(store.cache.stats())}), flush=True)


if __name__ == "__main__":
    what, url, folder, budget, *rest = sys.argv[1:]
    opened = ObjectStore(url, cache=Path(folder), cache_bytes=int(budget))
    {"once": once, "mapped": mapped, "many": many}[what](opened, *rest)
