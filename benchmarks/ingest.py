"""Ingest of one large file against the bare read and write of the same bytes by pyarrow and by Polars.

Every subject runs in a process of its own, reads a warm file and writes zstd Parquet of level 1. Penstock types, checks
every rule, hashes source and output, and flushes the output to the disk besides.

    python benchmarks/ingest.py [--quick] [--json FILE] [--gigabytes N]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _report import Row, compared, measured, parser, report
from _usage import peak_rss_bytes, timed

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

OURS = "penstock ingest"
LEVEL = 1
QUICK_BYTES = 64 * 10**6
MOST_TIMES = 1.5
GROWTH = 3
MOST_RSS_MB = 1500
ROWS_PER_PART = 500_000
BYTES_PER_ROW = {"csv": 86, "parquet": 27}  # of the data below, as measured


def rows_of(part: int, rows: int) -> Any:  # Any: polars is imported by the processes that need it
    """Return part number `part` of a table like a log of taxi rides, the same at every call."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(part)
    start = part * ROWS_PER_PART
    seconds = np.arange(start, start + rows) * 2 + random.integers(0, 2, rows)
    kinds = np.array(["credit card", "cash", "voucher", "dispute"])
    return pl.DataFrame(
        {
            "ride": np.arange(start, start + rows),
            "started_at": seconds * 1_000_000 + 1_300_000_000_000_000,
            "zone_from": random.integers(1, 266, rows),
            "zone_to": random.integers(1, 266, rows),
            "passengers": random.integers(1, 7, rows),
            "distance_miles": np.round(random.gamma(2.0, 1.5, rows), 2),
            "fare_usd": np.round(random.gamma(3.0, 4.0, rows), 2),
            "tip_usd": np.round(random.gamma(1.0, 2.0, rows), 2),
            "latitude": random.normal(40.75, 0.05, rows),
            "payment": kinds[random.integers(0, 4, rows)],
        }
    ).with_columns(pl.col("started_at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def contract() -> Any:  # Any: as above
    """Return the contract of that table; every column has rules, as in a real pipeline."""
    from quality.contract import Column, Contract

    zone = Column(type="int64", minimum=1, maximum=265)
    amount = Column(type="float64", minimum=0, maximum=10_000)
    return Contract(
        columns={
            "ride": Column(type="int64", minimum=0),
            "started_at": Column(type="timestamp[us, tz=UTC]", minimum="2009-01-01"),
            "zone_from": zone,
            "zone_to": zone,
            "passengers": Column(type="int64", minimum=1, maximum=9),
            "distance_miles": amount,
            "fare_usd": amount,
            "tip_usd": amount,
            "latitude": Column(type="float64", minimum=-90, maximum=90),
            "payment": Column(type="string", allowed=("credit card", "cash", "voucher", "dispute")),
        }
    )


def make(form: str, size_bytes: int, path: Path) -> None:
    """Write the input file of about `size_bytes`."""
    import pyarrow.parquet as pq

    rows, part, writer = size_bytes // BYTES_PER_ROW[form], 0, None
    with path.open("wb") as file:
        while rows > 0:
            frame = rows_of(part, min(rows, ROWS_PER_PART))
            table = frame.to_arrow()
            if form == "csv":
                frame.write_csv(file, include_header=part == 0, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
            else:
                writer = writer or pq.ParquetWriter(file, table.schema, compression="snappy")
                writer.write_table(table)
            rows, part = rows - len(frame), part + 1
        if writer is not None:
            writer.close()


def penstock(form: str, source: Path, folder: Path) -> int:
    """Ingest with everything that Penstock does."""
    from resources.source import Source
    from resources.source.ingest import ingest
    from resources.storage.store import open_store

    store = open_store(str(folder / "store"), cache=folder / "cache")
    done = ingest(Source(url=str(source), format=form), contract(), store=store, scratch=folder / "scratch")
    return done.ref.rows


def pyarrow_streaming(form: str, source: Path, folder: Path) -> int:
    """Read batch by batch and write each, with pyarrow: bounded memory."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    schema = contract().schema()
    options = csv.ConvertOptions(column_types=schema)
    batches = csv.open_csv(source, convert_options=options) if form == "csv" else pq.ParquetFile(source).iter_batches()
    rows = 0
    with pq.ParquetWriter(folder / "out.parquet", schema, compression="zstd", compression_level=LEVEL) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
            rows += batch.num_rows
    return rows


def pyarrow_whole(form: str, source: Path, folder: Path) -> int:
    """Read the whole file with all threads, then write it, with pyarrow: memory grows with the file."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    options = csv.ConvertOptions(column_types=contract().schema())
    table = csv.read_csv(source, convert_options=options) if form == "csv" else pq.ParquetFile(source).read()
    pq.write_table(table, folder / "out.parquet", compression="zstd", compression_level=LEVEL)
    return table.num_rows


def polars_streaming(form: str, source: Path, folder: Path) -> int:
    """Scan and sink with Polars' streaming engine: bounded memory, all threads."""
    import polars as pl

    schema = contract().polars_schema()
    frame = pl.scan_csv(source, schema=schema) if form == "csv" else pl.scan_parquet(source)
    frame.sink_parquet(folder / "out.parquet", compression="zstd", compression_level=LEVEL)
    return pl.scan_parquet(folder / "out.parquet").select(pl.len()).collect().item()


SUBJECTS: dict[str, Callable[[str, Path, Path], int]] = {
    OURS: penstock,
    "pyarrow, batches": pyarrow_streaming,
    "pyarrow, whole table": pyarrow_whole,
    "polars, streaming": polars_streaming,
}


def measure(subject: str, form: str, source: Path, folder: Path) -> dict[str, float]:
    """Run one subject here; libraries are imported before the clock starts, for all alike."""
    import polars
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet

    import resources.source.ingest  # noqa: F401

    del polars, pyarrow
    contract()
    rows = 0

    def work() -> None:
        nonlocal rows
        rows = SUBJECTS[subject](form, source, folder)

    return {**timed(work), "rss_bytes": peak_rss_bytes(), "rows": rows}


def in_own_process(subject: str, form: str, source: Path, scratch: Path) -> dict[str, float]:
    """Run one subject in a fresh process, with the input in the page cache."""
    with source.open("rb") as file:
        while file.read(2**22):
            pass
    os.sync()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        command = [sys.executable, __file__, "--measure", subject, form, str(source), folder]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(form: str, size_bytes: int, scratch: Path, repeats: int) -> list[Row]:
    """Return the result rows for one format; of several runs of a subject the quickest counts."""
    source = scratch / f"input.{form}"
    make(form, size_bytes, source)
    work = f"ingest of {source.stat().st_size / 1e9:.2f} GB {form}"
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for subject in SUBJECTS:
            run = in_own_process(subject, form, source, scratch)
            if subject not in best or run["wall_s"] < best[subject]["wall_s"]:
                best[subject] = run
    source.unlink()
    return _rows(work, best.pop(OURS), best)


def grown(form: str, size_bytes: int, scratch: Path) -> Row:
    """Return the peak memory of Penstock at several times the bytes: it must not grow with the file."""
    source = scratch / f"input.{form}"
    make(form, GROWTH * size_bytes, source)
    run = in_own_process(OURS, form, source, scratch)
    work = f"ingest of {source.stat().st_size / 1e9:.2f} GB {form}, peak memory"
    source.unlink()
    return measured(work, OURS, run["rss_bytes"] / 1e6, "MB", most=MOST_RSS_MB)


def _rows(work: str, ours: dict[str, float], peers: dict[str, dict[str, float]]) -> list[Row]:
    """Return what was measured, and how it compares with the targets."""
    rows = [measured(f"{work}, peak memory", OURS, ours["rss_bytes"] / 1e6, "MB", most=MOST_RSS_MB)]
    for peer, run in peers.items():
        rows += [
            compared(work, OURS, ours["wall_s"], "s", peer=peer, peer_value=run["wall_s"], most_ratio=MOST_TIMES),
            compared(f"{work}, CPU", OURS, ours["cpu_s"], "s", peer=peer, peer_value=run["cpu_s"]),
            measured(f"{work}, peak memory", peer, run["rss_bytes"] / 1e6, "MB"),
        ]
    return rows


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--scratch", type=Path, help="folder for inputs and outputs, 6 GB free")
    arguments.add_argument("--gigabytes", type=float, default=1.0, help="size of each input file (default: 1)")
    arguments.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.measure:
        subject, form, source, folder = options.measure
        print(json.dumps(measure(subject, form, Path(source), Path(folder))))
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        size, repeats = (QUICK_BYTES, 1) if options.quick else (int(options.gigabytes * 1e9), 2)
        rows: list[Row] = []
        for form in ("csv", "parquet"):
            rows += [*compare(form, size, Path(folder), repeats), grown(form, size, Path(folder))]
    report(rows, options.json)


if __name__ == "__main__":
    main()
