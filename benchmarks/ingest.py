"""Ingest of one large file against the bare read and write of the same bytes by pyarrow and by Polars.

Every subject runs in a process of its own, reads a warm file and writes zstd Parquet of level 1. Penstock types, checks
every rule, hashes source and output, and flushes the output to the disk besides. Run `python benchmarks/ingest.py`
(1 GB, some minutes) or `--quick` (64 MB); `--json FILE` writes the rows, `--markdown FILE` the table.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LEVEL = 1
FULL_BYTES = 10**9
QUICK_BYTES = 64 * 10**6
TIMES_TARGET = 1.5
RSS_TARGET_BYTES = 1.5e9
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
    "penstock ingest": penstock,
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
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    rows = SUBJECTS[subject](form, source, folder)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, "rss_bytes": peak_rss_bytes(), "rows": rows}


def peak_rss_bytes() -> float:
    """Return the largest resident size of this process; `ru_maxrss` would begin with that of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_own_process(subject: str, form: str, source: Path, scratch: Path) -> dict[str, float]:
    """Run one subject in a fresh process, with the input in the page cache."""
    with source.open("rb") as file:
        while file.read(2**22):
            pass
    os.sync()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        command = [sys.executable, __file__, "--measure", subject, form, str(source), folder]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(form: str, size_bytes: int, scratch: Path, repeats: int) -> list[dict[str, Any]]:  # Any: JSON values
    """Return the result rows for one format."""
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
    return _rows(work, best.pop("penstock ingest"), best)


def _rows(work: str, ours: dict[str, float], peers: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Return what was measured, and how it compares with the targets."""

    def row(subject: str, value: float, unit: str, **more: Any) -> dict[str, Any]:  # Any: JSON values
        filled = {"peer": "", "ratio": None, "target": None, "met": None, **more}
        return {"work": work, "subject": subject, "value": round(value, 3), "unit": unit, **filled}

    rows = []
    for peer, run in peers.items():
        ratio = round(ours["wall_s"] / run["wall_s"], 3)
        compared = {"peer": peer, "ratio": ratio, "target": TIMES_TARGET, "met": ratio <= TIMES_TARGET}
        rows.append(row("penstock ingest", ours["wall_s"], "s", **compared))
    rss = {"target": RSS_TARGET_BYTES / 1e6, "met": ours["rss_bytes"] <= RSS_TARGET_BYTES}
    rows += [row("penstock ingest", ours["rss_bytes"] / 1e6, "MB peak", **rss)]
    rows += [row("penstock ingest", ours["cpu_s"], "CPU s")]
    for peer, run in peers.items():
        rows += [row(peer, run["wall_s"], "s"), row(peer, run["cpu_s"], "CPU s")]
        rows += [row(peer, run["rss_bytes"] / 1e6, "MB peak")]
    return rows


def table(rows: list[dict[str, Any]]) -> str:  # Any: JSON values
    """Return the rows as a Markdown table."""
    names = ("work", "subject", "peer", "value", "unit", "ratio", "target", "met")
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        cells = [_cell(row[name]) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, float) else str(value)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MB instead of 1 GB, once instead of best of two")
    parser.add_argument("--json", type=Path, help="write the result rows to this file")
    parser.add_argument("--markdown", type=Path, help="write the result table to this file")
    parser.add_argument("--scratch", type=Path, help="folder for inputs and outputs, 4 GB free")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        subject, form, source, folder = arguments.measure
        print(json.dumps(measure(subject, form, Path(source), Path(folder))))
        return
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        size, repeats = (QUICK_BYTES, 1) if arguments.quick else (FULL_BYTES, 2)
        rows = [row for form in ("csv", "parquet") for row in compare(form, size, Path(folder), repeats)]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(page(rows))


def page(rows: list[dict[str, Any]]) -> str:  # Any: JSON values
    """Return the page docs/benchmarks/ingest.md."""
    from resources.source.parallel import usable_cores

    summary = (__doc__ or "").strip().replace("\n", " ").split(". Run ")[0]
    return (
        f"# Ingest\n\n{summary}.\n\nMeasured on a machine of {usable_cores()} cores by `python benchmarks/ingest.py "
        f"--markdown docs/benchmarks/ingest.md`; best of two runs each.\n\n{table(rows)}\n"
    )


if __name__ == "__main__":
    main()
