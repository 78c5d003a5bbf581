"""Owns the storage benchmarks of parts: 64 KB reads at random places, and what manifests alone tell."""

import random
import secrets
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _remote import BUCKET, bucket, named, store_at
from _report import Row, compared, measured
from _usage import timed

OURS = "penstock"
CALLERS = 16
RANDOM_BYTES = 64 * 2**10
SPARSE_BYTES = 2 * 2**20
RANDOM_PEERS = ("s3fs.cat_file", "obstore ranges, unverified")
# At least this many times the operations a second of s3fs, and at most this share of its CPU time for each.
TARGETS = {"s3fs.cat_file": (4, 0.25)}
MANY_SHARDS = 100_000


def random_reads(subject: str, name: str, operations: int, folder: Path) -> dict[str, float]:
    """Read 64 KB at random places with 16 callers at a time, and return operations a second and CPU time for each."""
    size_bytes = named(name).size_bytes
    read = _reader(subject, name, folder)
    chance = random.Random(7)
    starts = [chance.randrange(size_bytes - RANDOM_BYTES) for _ in range(operations + CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(read, starts[operations:]))  # imports, connections, the digests of the blocks
        cost = timed(lambda: list(pool.map(read, starts[:operations])))
    return {"ops_per_s": operations / cost["wall_s"], "cpu_ms": 1e3 * cost["cpu_s"] / operations}


def _reader(subject: str, name: str, folder: Path) -> Callable[[int], int]:
    from resources.storage.ranges import read_range

    file = named(name)
    if subject == OURS:
        store = store_at(folder)
        return lambda start: len(read_range(store, file, start, start + RANDOM_BYTES))
    if subject.startswith("s3fs"):
        import s3fs

        remote, path = s3fs.S3FileSystem(), f"{BUCKET}/{file.key}"
        return lambda start: len(remote.cat_file(path, start=start, end=start + RANDOM_BYTES))
    import obstore

    behind = bucket()
    return lambda start: len(obstore.get_range(behind, file.key, start=start, end=start + RANDOM_BYTES))


def at_random(shard: str, large: str, scratch: Path, repeats: int, answer: Callable[..., Any]) -> list[Row]:
    """Compare verified reads of 64 KB at random places of cold objects; `answer` runs a subject in a process.

    Of `shard` as much is read as it has bytes. Of `large` so little that fetching the whole is not worth while: there
    each read is a request.
    """
    works = [
        (shard, named(shard).size_bytes // RANDOM_BYTES, TARGETS),
        (large, named(large).size_bytes // SPARSE_BYTES, {}),
    ]
    rows: list[Row] = []
    for name, operations, targets in works:
        best: dict[str, dict[str, float]] = {}
        for _ in range(repeats):
            for subject in (OURS, *RANDOM_PEERS):
                with tempfile.TemporaryDirectory(dir=scratch) as folder:
                    run = answer("--random", subject, name, operations, folder)
                if subject not in best or run["ops_per_s"] > best[subject]["ops_per_s"]:
                    best[subject] = run
        size = f"{named(name).size_bytes / 1e6:,.0f} MB"
        rows += _beside_peers(f"{CALLERS} callers, {operations:,} random reads of 64 KB, cold {size}", best, targets)
    return rows


def _beside_peers(
    work: str, best: dict[str, dict[str, float]], targets: Mapping[str, tuple[float, float]]
) -> list[Row]:
    rows: list[Row] = []
    for peer in RANDOM_PEERS:
        run, (least_ops, most_cpu) = best[peer], targets.get(peer, (None, None))
        rows += [
            compared(
                f"{work}, ms for each", OURS, 1e3 / best[OURS]["ops_per_s"], "ms",
                peer=peer, peer_value=1e3 / run["ops_per_s"], most_ratio=least_ops and 1 / least_ops,
            ),
            compared(
                f"{work}, CPU for each", OURS, best[OURS]["cpu_ms"], "ms",
                peer=peer, peer_value=run["cpu_ms"], most_ratio=most_cpu,
            ),
        ]  # fmt: skip
    return rows


def manifests(scratch: Path) -> list[Row]:
    """Measure what is told of two datasets of 100,000 shards by their manifests."""
    import pyarrow as pa

    from resources.storage.comparison import diff
    from resources.storage.folder import FolderStore
    from resources.storage.manifest import Manifest, Shards, encode
    from resources.storage.objects import put_object
    from resources.storage.verify import verify

    store, rows = FolderStore(scratch / "manifests"), [10] * MANY_SHARDS
    digests, md5s = ([secrets.token_hex(size) for _ in rows] for size in (32, 16))
    made = []
    for number in range(2):
        shards = Shards([secrets.token_hex(32), *digests[1:]], md5s, [1000 + number] * MANY_SHARDS, rows)
        schema = pa.schema([("n", pa.int64())])
        made.append(put_object(store, encode(Manifest(schema=schema, shards=shards))))
    diff_s, verify_s = (
        min(timed(work)["wall_s"] for _ in range(3))
        for work in (lambda: diff(store, *made), lambda: verify(store, made[0], depth="manifest"))
    )
    return [
        measured(f"diff of two datasets of {MANY_SHARDS:,} shards", OURS, diff_s, "s", most=1),
        measured(f"verify of one of {MANY_SHARDS:,} shards, manifest only", OURS, verify_s, "s", most=1),
    ]
