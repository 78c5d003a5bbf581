"""Owns the dataset in the bucket that the cold loaders read, and one run of one of them in a process of its own.

`_loading_s3.py SUBJECT DIGEST FOLDER` prints what it took as JSON. Imports come before the clock starts, for all alike.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from _loading_run import Stage, _private_bytes  # noqa: E402
from _remote import BUCKET, RANGE_BYTES, bucket  # noqa: E402

BATCH = 64
THREADS = 8
MANY_BYTES = 10**11
_PARQUET = "peers/parquet"

Told = dict[str, Any]  # Any: numbers


def store_dataset(scratch: Path, rows: int, shard_bytes: int) -> tuple[str, int]:
    """Store blobs as packed shards, and as Parquet beside them; return digest and bytes of the dataset."""
    import pyarrow.parquet as pq
    from _loading_data import binaries

    from resources.storage.manifest import read_manifest

    table, store = binaries(rows), _store(scratch / "maker", MANY_BYTES)
    digest = _packed(store, scratch, table, shard_bytes)
    manifest = read_manifest(store, digest)
    per_file = rows // len(manifest.shards)
    for number, start in enumerate(range(0, rows, per_file)):
        pq.write_table(table.slice(start, per_file), scratch / "part.parquet", compression="none")
        _put(f"{_PARQUET}/{number:05d}.parquet", scratch / "part.parquet")
    return digest, manifest.size_bytes


def store_halves(scratch: Path, rows: int, shard_bytes: int) -> str:
    """Store the same blobs as two datasets, half of them each, and return their digests, joined by a comma."""
    from _loading_data import binaries

    table, store = binaries(rows), _store(scratch / "maker", MANY_BYTES)
    return ",".join(_packed(store, scratch, table.slice(at, rows // 2), shard_bytes) for at in (0, rows // 2))


def _packed(store: Any, scratch: Path, table: Any, shard_bytes: int) -> str:  # Any: a store, a table of Arrow
    import pyarrow as pa

    from resources.loader.pack import pack

    file = scratch / "blobs.arrow"
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    try:
        return pack(file, store=store, scratch=scratch / "rows", shard_bytes=shard_bytes).digest
    finally:
        file.unlink()


def _put(key: str, file: Path) -> None:
    import obstore

    obstore.put(bucket(), key, file)


def _store(cache: Path, cache_bytes: int) -> Any:  # Any: imported by the processes that need it
    from resources.storage.object_store import ObjectStore

    return ObjectStore(f"s3://{BUCKET}/data", cache=cache / "cache", cache_bytes=cache_bytes)


def raw(digest: str, folder: Path) -> Told:
    """Fetch all shards in ranges by threads, and drop them."""
    return _ranged(digest, folder, len)


def proved(digest: str, folder: Path) -> Told:
    """Do the same, hash the bytes as their digest wants it, and copy them once, which one thread does, as consumers."""
    from resources.storage.content import block_digests

    return _ranged(digest, folder, block_digests, Stage())


def _ranged(digest: str, folder: Path, use: Callable[[memoryview], object], stage: Stage | None = None) -> Told:
    import obstore

    from resources.storage.manifest import read_manifest

    behind = bucket()
    files = [shard.file for shard in read_manifest(_store(folder, MANY_BYTES), digest).shards]
    parts = [
        (f"data/{file.key}", start, min(start + RANGE_BYTES, file.size_bytes))
        for file in files
        for start in range(0, file.size_bytes, RANGE_BYTES)
    ]

    def fetch(part: tuple[str, int, int]) -> memoryview | int:
        data = memoryview(obstore.get_range(behind, part[0], start=part[1], end=part[2]))
        use(data)
        return len(data) if stage is None else data

    def consumed(answer: memoryview | int) -> int:
        if stage is None or isinstance(answer, int):
            return int(answer)
        stage.copy(answer)
        return len(answer)

    fetch((*parts[0][:1], 0, 1))  # a connection, as the loader has one by its manifest
    used = _Usage()
    with ThreadPoolExecutor(THREADS) as pool:
        size_bytes = sum(map(consumed, pool.map(fetch, parts)))
    return used.told() | {"size_bytes": size_bytes}


def pyarrow(digest: str, folder: Path) -> Told:
    """Read the same rows by pyarrow.dataset, in their order."""
    import pyarrow.dataset as ds
    from pyarrow import fs

    remote = fs.S3FileSystem(
        endpoint_override=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"), scheme="http", region="us-east-1"
    )

    def batches() -> Iterator[Any]:  # Any: arrays
        for batch in ds.dataset(f"{BUCKET}/{_PARQUET}", filesystem=remote, format="parquet").to_batches(
            batch_size=BATCH
        ):
            yield _values(batch.column(0))

    return drained(batches)


def _values(column: Any) -> Any:  # Any: an array of binaries to one of their bytes
    _, offsets, values = column.buffers()
    bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(values, np.uint8)[bounds[0] : bounds[-1]]


def cold(digest: str, folder: Path) -> Told:
    """Load one shuffled epoch with an empty cache that holds everything."""
    return _loaded(digest, folder, MANY_BYTES)


def exact(digest: str, folder: Path) -> Told:
    """Do so in the order of all rows."""
    return _loaded(digest, folder, MANY_BYTES, order="exact")


def mixed(digests: str, folder: Path) -> Told:
    """Load one epoch of a mixture of two datasets, as many rows of each."""
    return _loaded(dict.fromkeys(digests.split(","), 1.0), folder, MANY_BYTES)


def found(digest: str, folder: Path) -> Told:
    """Find the rows that a predicate wants, half of them, of which no statistics tell."""
    from resources.loader import Loader
    from resources.storage.manifest import read_manifest

    store = _store(folder, MANY_BYTES)
    size_bytes, used = read_manifest(store, digest).size_bytes, _Usage()
    rows = Loader(digest, BATCH, store=store, where=[("b", ">=", b"\x80")]).rows
    fetched_bytes = store.cache.stats().fetched_bytes
    told = {"size_bytes": size_bytes, "stored_bytes": size_bytes, "rows": rows, "fetched_bytes": fetched_bytes}
    return used.told() | told


def rank(digest: str, folder: Path) -> Told:
    """Load the part of one rank of several."""
    return _loaded(digest, folder, MANY_BYTES, rank=int(sys.argv[4]), world_size=int(sys.argv[5]))


def _loaded(dataset: Any, folder: Path, cache_bytes: int, **options: Any) -> Told:  # Any: what a loader takes
    from resources.loader import Loader
    from resources.storage.manifest import read_manifest

    store = _store(folder, cache_bytes)

    def batches() -> Iterator[Any]:  # Any: arrays
        for batch in Loader(dataset, BATCH, store=store, **options).numpy():
            yield batch["b"].values

    told = drained(batches)
    stored_bytes = sum(
        read_manifest(store, one).size_bytes for one in ([dataset] if isinstance(dataset, str) else dataset)
    )
    return told | {"fetched_bytes": store.cache.stats().fetched_bytes, "stored_bytes": stored_bytes}


def second(digest: str, folder: Path) -> Told:
    """Load two epochs with a cache of half the data; tell of the second, and how long the first took."""
    from resources.loader import Loader
    from resources.storage.manifest import read_manifest

    size_bytes = read_manifest(_store(folder, MANY_BYTES), digest).size_bytes
    store = _store(folder, size_bytes // 2)
    loader = Loader(digest, BATCH, store=store)

    def batches() -> Iterator[Any]:  # Any: arrays
        for batch in loader.numpy():
            yield batch["b"].values

    first = drained(batches)
    before = store.cache.stats().fetched_bytes
    told = drained(batches)
    return told | {"first_epoch_s": first["wall_s"], "fetched_bytes": store.cache.stats().fetched_bytes - before}


class _Usage:
    """What this process spends from now on; the clock of its memory stops with it."""

    def __init__(self) -> None:
        self._base, self._peak, self._ended = _private_bytes(), 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        self._began, self._times = time.perf_counter(), os.times()

    def told(self) -> Told:
        wall_s, times = time.perf_counter() - self._began, os.times()
        self._ended.set()
        return {
            "wall_s": wall_s,
            "cpu_s": sum(times[:4]) - sum(self._times[:4]),
            "private_mb": (self._peak - self._base) / 1e6,
        }

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self._peak = max(self._peak, _private_bytes())


def drained(batches: Callable[[], Iterator[Any]]) -> Told:  # Any: what the stage copies
    """Copy all batches to the staging buffer, and return what that took."""
    stage, used, size_bytes, first_s = Stage(), _Usage(), 0, 0.0
    began = time.perf_counter()
    for batch in batches():
        stage.copy(batch)
        size_bytes += _size_of(batch)
        first_s = first_s or time.perf_counter() - began
    return used.told() | {"size_bytes": size_bytes, "first_s": first_s}


def _size_of(batch: Any) -> int:  # Any: arrays, bytes; lists and dicts of these
    if isinstance(batch, dict):
        batch = list(batch.values())
    return sum(map(_size_of, batch)) if isinstance(batch, list) else memoryview(batch).nbytes


SUBJECTS = {run.__name__: run for run in (raw, proved, pyarrow, cold, rank, second, exact, mixed, found)}


def _import() -> None:
    import obstore.store
    import pyarrow.dataset
    import pyarrow.fs

    import resources.loader.stored
    import resources.storage.object_store

    del obstore, pyarrow, resources


if __name__ == "__main__":
    _import()
    print(json.dumps(SUBJECTS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))), flush=True)
