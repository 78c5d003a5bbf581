"""Shards compressed where they lie, by codec: bytes, packing, the first epoch from the bucket, and those that follow.

A real S3 server on loopback, reached at once and over a link of 1 Gbit/s (a process that passes bytes on no faster).
Every run is a process of its own with a cache of its own, in turns; of several runs the quickest counts. Server, link
and client share the processors. A batch is copied once to a staging buffer.

    python benchmarks/codec.py [--quick] [--json FILE] [--scratch FOLDER] [--repeats N]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from _link import link_to  # noqa: E402
from _report import Row, compared, measured, parser, report  # noqa: E402
from _usage import READY_BYTES, ready_memory, timed  # noqa: E402

NONE = "none"
CODECS = (NONE, "lz4", "zstd")
FULL_ROWS, QUICK_ROWS = {"clicks": 3_000_000, "random floats": 1_500_000}, {"clicks": 200_000, "random floats": 100_000}
FLOATS = 32
REPEATS = 3
EPOCHS = 3
GIGABIT = 125e6

Told = dict[str, Any]  # Any: numbers, or what each epoch took


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--scratch", type=Path, help="folder for server and files, eight times the data free")
    arguments.add_argument("--repeats", type=int, help="runs of each codec")
    options = arguments.parse_args()
    report(_rows(options), options.json)


def _rows(options: argparse.Namespace) -> list[Row]:
    from tests.integration.seaweed import run_seaweed

    sizes, repeats = (QUICK_ROWS, 1) if options.quick else (FULL_ROWS, REPEATS)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        server = run_seaweed(Path(folder) / "server")
        os.environ.update(next(server).env())
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        try:
            return [
                row
                for data, rows in sizes.items()
                for row in _of(
                    data, rows, Path(folder), options.repeats or repeats, 0 if options.quick else READY_BYTES
                )
            ]
        finally:
            server.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A dataset as one codec stores it, and what that took."""

    digest: str
    size_bytes: int
    plain_bytes: int
    told: Told


def _of(data: str, rows: int, scratch: Path, repeats: int, ready_bytes: int) -> Iterator[Row]:
    file = _file(data, rows, scratch)
    stored = {codec: _stored(file, codec, scratch, repeats) for codec in CODECS}
    file.unlink()
    work = f"{data}, {stored[NONE].plain_bytes / 1e6:,.0f} MB"
    plain = stored[NONE]
    for codec, made in stored.items():
        yield _beside(f"{work}, in the bucket", codec, made.size_bytes / 1e6, plain.size_bytes / 1e6, "MB")
    for name, unit in (("wall_s", "s"), ("cpu_s", "s CPU")):
        for codec, made in stored.items():
            yield _beside(f"{work}, packing", codec, made.told[name], plain.told[name], unit)
    yield from _loaded(f"{work}, on loopback", stored, scratch, ready_bytes, repeats=repeats, epochs=EPOCHS)
    with link_to(urlsplit(os.environ["AWS_ENDPOINT_URL"]).port or 80, GIGABIT) as port:
        direct, os.environ["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"], f"http://127.0.0.1:{port}"
        try:
            yield from _loaded(f"{work}, over 1 Gbit/s", stored, scratch, ready_bytes, repeats=repeats, epochs=1)
        finally:
            os.environ["AWS_ENDPOINT_URL"] = direct


def _file(data: str, rows: int, scratch: Path) -> Path:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipelines.samples.synthetic_clicks import write

    if data == "clicks":
        return write(scratch, "2025-01", rows)
    values, file = np.random.default_rng(1).standard_normal((FLOATS, rows), np.float32), scratch / "floats.parquet"
    pq.write_table(pa.table({f"x{number}": pa.array(column) for number, column in enumerate(values)}), file)
    return file


def _stored(file: Path, codec: str, scratch: Path, repeats: int) -> Stored:
    """Pack the file by a codec, each time into a prefix of its own; the last one stays for the loaders."""
    from _loading_s3 import MANY_BYTES, _store
    from _remote import BUCKET

    from resources.loader.pack import pack
    from resources.storage.manifest import read_manifest
    from resources.storage.object_store import ObjectStore

    def packed(store: Any) -> Any:  # Any: a store, a reference
        return pack(file, store=store, scratch=scratch / "rows", codec=None if codec == NONE else codec)  # pyright: ignore

    runs: list[Told] = []
    for number in range(repeats):
        place = f"s3://{BUCKET}/{file.stem}-{codec}-{number}"
        runs.append(timed(lambda place=place: packed(ObjectStore(place, cache=scratch / "maker"))))
    store = _store(scratch / "maker", MANY_BYTES)
    made = read_manifest(store, digest := packed(store).digest)
    return Stored(
        digest=digest,
        size_bytes=made.size_bytes,
        plain_bytes=made.plain_bytes,
        told=min(runs, key=lambda told: told["wall_s"]),
    )


def _loaded(
    work: str, stored: dict[str, Stored], scratch: Path, ready_bytes: int, *, repeats: int, epochs: int
) -> Iterator[Row]:
    runs: dict[str, list[list[Told]]] = {codec: [] for codec in stored}
    for turn in range(repeats):
        for codec in (*CODECS[turn % len(CODECS) :], *CODECS[: turn % len(CODECS)]):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                ready_memory(ready_bytes)
                command = [sys.executable, str(HERE / "_codec_run.py"), stored[codec].digest, folder, str(epochs)]
                told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                runs[codec].append(told)
                print(f"  {work}, {codec}: {told}", file=sys.stderr)
    names = ("first epoch", "second epoch", "third epoch")
    for number, name in enumerate(names[:epochs]):
        best = {
            codec: min((run[number] for run in found), key=lambda told: told["wall_s"]) for codec, found in runs.items()
        }
        for codec, told in best.items():
            speeds = (stored[codec].plain_bytes / one["wall_s"] / 1e6 for one in (told, best[NONE]))
            yield _beside(f"{work}, {name}", codec, *speeds, "MB/s of plain bytes")
        if number:
            continue
        for codec, told in best.items():
            yield _beside(f"{work}, {name}", codec, told["cpu_s"], best[NONE]["cpu_s"], "s CPU")
        for codec, told in best.items():
            yield measured(f"{work}, first batch", codec, told["first_s"], "s")
        for codec, found in runs.items():
            yield measured(f"{work}, private memory", codec, max(run[0]["private_mb"] for run in found), "MB")
        for codec, told in best.items():
            share = told["fetched_bytes"] / stored[codec].plain_bytes
            yield measured(f"{work}, fetched", codec, share, "share of the plain bytes")


def _beside(work: str, codec: str, value: float, plain: float, unit: str) -> Row:
    if codec == NONE:
        return measured(work, codec, value, unit)
    return compared(work, codec, value, unit, peer=NONE, peer_value=plain)


if __name__ == "__main__":
    main()
