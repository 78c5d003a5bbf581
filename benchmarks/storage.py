"""The cache of a host against other ways from an S3 object to a local file, on a real server (SeaweedFS) on loopback.

Every subject runs in a process of its own, in turns; of several runs the quickest counts, of crowds the median. Server
and client share the processors. Penstock verifies the bytes, the peers do not; one alone flushes them to the disk.
boto3 is left out where it is not installed (`pip install boto3`).

    python benchmarks/storage.py [--quick] [--json FILE] [--gigabytes N] [--processes N] [--scratch FOLDER]
"""

import argparse
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _parts import at_random, manifests, random_reads
from _remote import BUCKET, RANGE_BYTES, bucket, named, put, store_at
from _report import Row, compared, measured, parser, report
from _usage import READY_BYTES, peak_rss_bytes, ready_memory, status_bytes, timed

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

OURS = "penstock cache"
SHARD_BYTES = 128 * 10**6
QUICK_BYTES = 64 * 10**6
THREADS = 4
MOST_RSS_MB = 128


def penstock(name: str, folder: Path) -> None:
    """Fetch, verify and publish through the cache."""
    from resources.storage.files import file_path

    file_path(store_at(folder), named(name))


def obstore_ranges(name: str, folder: Path) -> None:
    """Fetch ranges of the same size with as many threads, verify and flush nothing."""
    import obstore

    store = bucket()
    size = obstore.head(store, named(name).key)["size"]
    descriptor = os.open(folder / "file", os.O_CREAT | os.O_WRONLY)

    def fetch(start: int) -> None:
        end = min(start + RANGE_BYTES, size)
        os.pwrite(descriptor, obstore.get_range(store, named(name).key, start=start, end=end), start)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fetch, range(0, size, RANGE_BYTES)))
    os.close(descriptor)


def obstore_flushed(name: str, folder: Path) -> None:
    """Fetch the same way, and flush the file to the disk at the end."""
    obstore_ranges(name, folder)
    descriptor = os.open(folder / "file", os.O_WRONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def s3fs_get_file(name: str, folder: Path) -> None:
    """Fetch as fsspec users do."""
    import s3fs

    s3fs.S3FileSystem().get_file(f"{BUCKET}/{named(name).key}", str(folder / "file"))


def boto3_download(name: str, folder: Path) -> None:
    """Fetch with boto3's own transfer threads."""
    import boto3

    boto3.client("s3").download_file(BUCKET, named(name).key, str(folder / "file"))


PEERS: dict[str, Callable[[str, Path], None]] = {
    "s3fs.get_file": s3fs_get_file,
    "boto3 download_file": boto3_download,
    "obstore ranges, unverified": obstore_ranges,
    "obstore ranges, unverified, then fsync": obstore_flushed,
}
if find_spec("boto3") is None:
    del PEERS["boto3 download_file"]
SUBJECTS = {OURS: penstock, **PEERS}
# At most this many times the peer's wall time and CPU time.
TARGETS = {
    "s3fs.get_file": (0.5, 0.6),
    "boto3 download_file": (0.769, None),
    "obstore ranges, unverified": (1.11, None),
    "obstore ranges, unverified, then fsync": (None, None),
}


def measure(subject: str, name: str, folder: Path) -> dict[str, float]:
    """Run one subject here; libraries are imported before the clock starts, for all alike."""
    _import(subject)
    base = status_bytes("VmRSS")
    cost = timed(lambda: SUBJECTS[subject](name, folder))
    return {**cost, "rss_mb": (peak_rss_bytes() - base) / 1e6}


def _import(subject: str) -> None:
    import obstore.store

    import resources.storage.files
    import resources.storage.object_store

    del obstore, resources
    if subject.startswith("s3fs"):
        import s3fs  # noqa: F401
    if subject.startswith("boto3"):
        import boto3  # noqa: F401


def wait_and_read(name: str, folder: Path) -> None:
    """Say that the interpreter is ready, wait for a line, read the object, say how it went, and stay until told."""
    from resources.storage.files import file_path

    _import(OURS)
    store = store_at(folder)
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    file_path(store, named(name))
    print(json.dumps({"at": time.time(), "misses": store.cache.stats().misses}), flush=True)
    sys.stdin.readline()  # the ends of the quick ones would take time from the others


def warm(name: str, folder: Path) -> dict[str, float]:
    """Open and read a cached object many times, and the same file without the cache in turn."""
    import numpy as np

    from resources.storage.files import borrowed, file_path

    def total(path: Path) -> int:
        with path.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)) as mapped:
            return int(np.frombuffer(memoryview(mapped)[: len(mapped) // 8 * 8], np.uint64).sum())

    def ours() -> int:
        with borrowed(store, [shard]) as (found,):
            return total(found)

    def opened() -> None:
        with borrowed(store, [shard]) as (found,):
            os.close(os.open(found, os.O_RDONLY))

    store, shard = store_at(folder), named(name)
    path = file_path(store, shard)
    times: dict[str, list[float]] = {"ours": [], "mmap": [], "open": []}
    for _ in range(25):
        times["ours"].append(_timed(ours))
        times["mmap"].append(_timed(lambda: total(path)))
    times["open"] = [_timed(opened) for _ in range(5_000)]
    return {name: statistics.median(found) for name, found in times.items()}


def first(name: str, folder: Path) -> float:
    """Return how long the first read of a cached object takes in a new process, which hashes it."""
    from resources.storage.files import file_path

    _import(OURS)
    store = store_at(folder)
    return _timed(lambda: file_path(store, named(name)))


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _command(option: str, *arguments: object) -> list[str]:
    return [sys.executable, __file__, option, *map(str, arguments)]


def _answer(ready_bytes: int, option: str, *arguments: object) -> Any:  # Any: JSON
    ready_memory(ready_bytes)
    return json.loads(subprocess.run(_command(option, *arguments), check=True, stdout=subprocess.PIPE).stdout)


def cold(name: str, scratch: Path, repeats: int, answer: Callable[..., Any]) -> list[Row]:
    """Compare ways from a cold object to a file."""
    best: dict[str, dict[str, float]] = {}
    order = list(SUBJECTS)
    for turn in range(repeats):
        # Another goes first each time: who comes after one that has just freed much memory is spared the finding of it.
        for subject in order[turn % len(order) :] + order[: turn % len(order)]:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                run = answer("--measure", subject, name, folder)
            if subject not in best or run["wall_s"] < best[subject]["wall_s"]:
                best[subject] = run
    work, ours = f"cold {named(name).size_bytes / 1e9:.2f} GB object to file", best[OURS]
    rows = [measured(f"{work}, extra memory", OURS, ours["rss_mb"], "MB", most=MOST_RSS_MB)]
    for peer in PEERS:
        run, (most_wall, most_cpu) = best[peer], TARGETS[peer]
        rows += [
            compared(work, OURS, ours["wall_s"], "s", peer=peer, peer_value=run["wall_s"], most_ratio=most_wall),
            compared(f"{work}, CPU", OURS, ours["cpu_s"], "s", peer=peer, peer_value=run["cpu_s"], most_ratio=most_cpu),
            measured(f"{work}, extra memory", peer, run["rss_mb"], "MB"),
        ]
    return rows


def crowd(processes: int, readers: int, name: str, scratch: Path, ready_bytes: int) -> tuple[float, int]:
    """Of `processes` that are ready let some read one cold object; return the wall time to the last, and the downloads.

    The others are there for the sake of a fair comparison: what so many interpreters take of the memory changes how
    long the kernel needs to find pages for a download.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        ready = [
            subprocess.Popen(_command("--wait", name, folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        for process in ready:
            process.stdout.readline()
        ready_memory(ready_bytes)
        started = time.time()
        for process in ready[:readers]:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for process in ready[:readers]]
        for process in ready:
            process.communicate()
    return max(answer["at"] for answer in answers) - started, sum(answer["misses"] for answer in answers)


def shared(name: str, processes: int, scratch: Path, repeats: int, ready_bytes: int) -> list[Row]:
    """Compare many processes that want one cold shard with a single one."""
    alone, together = [], []
    for _ in range(2 * repeats - 1):
        alone.append(crowd(processes, 1, name, scratch, ready_bytes))
        together.append(crowd(processes, processes, name, scratch, ready_bytes))
    work = f"{processes} processes, one cold shard of {named(name).size_bytes / 1e6:.0f} MB"
    # Not the quickest of each: whether the kernel has pages at hand makes one run twice as quick as the next.
    many_s, one_s = (statistics.median(wall for wall, _ in runs) for runs in (together, alone))
    return [
        measured(f"{work}, downloads", OURS, max(count for _, count in together), "", most=1),
        compared(work, OURS, many_s, "s", peer="one process", peer_value=one_s, most_ratio=1.2),
    ]


def cached(name: str, scratch: Path, answer: Callable[..., Any]) -> list[Row]:
    """Measure opening and reading what is cached already."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        found = answer("--warm", name, folder)
        first_s = answer("--first", name, folder)
    size = f"{named(name).size_bytes / 1e6:.0f} MB"
    read = f"warm sequential read of {size}"
    return [
        measured("warm open of a cached object, verified before", OURS, found["open"] * 1e6, "us", most=100),
        measured(f"warm open, first of a process, hashes {size}", OURS, first_s * 1e3, "ms"),
        compared(
            read,
            OURS,
            found["ours"] * 1e3,
            "ms",
            peer="mmap + sum",
            peer_value=found["mmap"] * 1e3,
            most_ratio=1.05,
        ),
    ]


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--scratch", type=Path, help="folder for server and files, three times the object free")
    arguments.add_argument("--gigabytes", type=float, default=2.0, help="size of the large object (default: 2)")
    arguments.add_argument("--processes", type=int, default=64, help="readers of one shard (default: 64)")
    arguments.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments.add_argument("--random", nargs=4, help=argparse.SUPPRESS)
    for step in ("--wait", "--warm", "--first"):
        arguments.add_argument(step, nargs=2, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], options.measure[1], Path(options.measure[2]))))
    elif options.random:
        subject, name, operations, folder = options.random
        print(json.dumps(random_reads(subject, name, int(operations), Path(folder))))
    elif options.wait:
        wait_and_read(options.wait[0], Path(options.wait[1]))
    elif options.warm:
        print(json.dumps(warm(options.warm[0], Path(options.warm[1]))))
    elif options.first:
        print(json.dumps(first(options.first[0], Path(options.first[1]))))
    else:
        report(_rows(options), options.json)


def _rows(options: argparse.Namespace) -> list[Row]:
    from tests.integration.seaweed import run_seaweed

    large, shard, processes, repeats = int(options.gigabytes * 1e9), SHARD_BYTES, options.processes, 3
    if options.quick:
        large, shard, processes, repeats = QUICK_BYTES, QUICK_BYTES // 2, 8, 1
    ready_bytes = 0 if options.quick else READY_BYTES
    answer = partial(_answer, ready_bytes)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        server = run_seaweed(scratch / "server")
        os.environ.update(next(server).env())
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        try:
            names = put(large, scratch), put(shard, scratch)
            rows = cold(names[0], scratch, 1 if options.quick else len(SUBJECTS), answer)
            rows += shared(names[1], processes, scratch, repeats, ready_bytes)
            rows += cached(names[1], scratch, answer)
            rows += at_random(names[1], names[0], scratch, repeats, answer)
            return rows + manifests(scratch)
        finally:
            server.close()


if __name__ == "__main__":
    main()
