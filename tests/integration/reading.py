"""Processes that read through one cache; each prints what it found as a line of JSON.

`python -m tests.integration.reading once URL CACHE BUDGET FILE` reads one file.
`python -m tests.integration.reading mapped URL CACHE BUDGET FILE` maps it, gives its lease back, and reads the map
again after a line on standard input.
`python -m tests.integration.reading many URL CACHE BUDGET SEED FILE...` reads files in random order.
A FILE is digest, MD5 and size, joined by colons.
"""

import json
import mmap
import random
import sys
from dataclasses import asdict
from pathlib import Path

from resources.storage.content import StoredFile, describe_bytes
from resources.storage.files import borrowed
from resources.storage.object_store import ObjectStore


def parsed(text: str) -> StoredFile:
    """Return the file that the text names."""
    digest, md5, size_bytes = text.split(":")
    return StoredFile(digest=digest, md5=md5, size_bytes=int(size_bytes))


def once(store: ObjectStore, file: str) -> None:
    """Read one file."""
    print("begin", flush=True)
    with borrowed(store, [parsed(file)]) as (path,):
        _tell(store, digest_of(path.read_bytes()))


def mapped(store: ObjectStore, name: str) -> None:
    """Map one file and read it after it was evicted."""
    with borrowed(store, [parsed(name)]) as (path,), path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    _tell(store, digest_of(mapping[:]))
    sys.stdin.readline()
    _tell(store, f"{digest_of(mapping[:])} {path.exists()}")


def many(store: ObjectStore, seed: str, *files: str) -> None:
    """Read files in random order, and fail if one is wrong."""
    chance = random.Random(int(seed))
    for _ in range(25):
        file = parsed(chance.choice(files))
        with borrowed(store, [file]) as (path,):
            if digest_of(path.read_bytes()) != file.digest:
                raise SystemExit(f"wrong bytes of {file}")
    _tell(store, "right")


def digest_of(data: bytes) -> str:
    """Return the digest of a file's bytes."""
    return describe_bytes(data)[0].digest


def _tell(store: ObjectStore, found: str) -> None:
    print(json.dumps({"found": found, **asdict(store.cache.stats())}), flush=True)


if __name__ == "__main__":
    what, url, folder, budget, *rest = sys.argv[1:]
    opened = ObjectStore(url, cache=Path(folder), cache_bytes=int(budget))
    {"once": once, "mapped": mapped, "many": many}[what](opened, *rest)
