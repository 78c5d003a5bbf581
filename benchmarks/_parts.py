"""Owns the storage benchmarks of parts: 64 KB reads at random places, and what manifests alone tell."""

import random
import secrets
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _remote import BUCKET, bucket, named, put, store_at
from _report import Row, compared, measured
from _usage import timed

OURS = "penstock"
CALLERS = 16
RANDOM_BYTES = 64 * 2**10
RANDOM_READS = 1_000
# At least this many times the peer's operations a second, and at most this share of its CPU time for each.
RANDOM_PEERS: dict[str, tuple[float | None, float | None]] = {
    "s3fs.cat_file": (4, 0.25),
    "obstore ranges, unverified": (None, None),
}
MANY_SHARDS = 100_000


def random_reads(subject: str, name: str, folder: Path) -> dict[str, float]:
    """Read 64 KB at random places with 16 callers at a time, and return operations and CPU seconds for each second."""
    size_bytes, operations = named(name).size_bytes, RANDOM_READS
    read = _reader(subject, name, folder)
    chance = random.Random(7)
    starts = [chance.randrange(size_bytes - RANDOM_BYTES) for _ in range(operations + CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(read, starts[operations:]))  # imports, connections, the digests of the blocks
        cost = timed(lambda: list(pool.map(read, starts[:operations])))
    return {"ops_per_s": operations / cost["wall_s"], "cpu_ms": 1e3 * cost["cpu_s"] / operations}


def _reader(subject: str, name: str, folder: Path) -> Callable[[int], object]:
    from resources.storage.ranges import read_range

    file = named(name)
    if subject == OURS:
        store = store_at(folder)
        return lambda start: read_range(store, file, start, start + RANDOM_BYTES)
    if subject.startswith("s3fs"):
        import s3fs

        remote, path = s3fs.S3FileSystem(), f"{BUCKET}/{file.key}"
        return lambda start: remote.cat_file(path, start=start, end=start + RANDOM_BYTES)
    import obstore

    behind = bucket()
    return lambda start: obstore.get_range(behind, file.key, start=start, end=start + RANDOM_BYTES)


def at_random(size_bytes: int, scratch: Path, repeats: int, answer: Callable[..., Any]) -> list[Row]:
    """Compare verified reads of 64 KB at random places of a cold object; `answer` runs a subject in a process."""
    name = put(size_bytes, scratch)
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for subject in (OURS, *RANDOM_PEERS):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                run = answer("--random", subject, name, folder)
            if subject not in best or run["ops_per_s"] > best[subject]["ops_per_s"]:
                best[subject] = run
    work, rows = f"{CALLERS} callers, 64 KB random reads of a cold object", list[Row]()
    for peer, (least_ops, most_cpu) in RANDOM_PEERS.items():
        run = best[peer]
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
