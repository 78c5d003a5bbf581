"""Owns the benchmark of one reading: contract, split, suite and profile of the same rows beside the suite alone.

Run as a script it is one subject: `python benchmarks/_quality_scan.py SUBJECT FILE`.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _report import Row, compared, measured
from _suite_data import CITIES, COLUMNS, COUNTRIES, suite, write
from _usage import peak_rss_bytes, timed

ALL, UNPROFILED = "contract + suite + profile + split", "contract + suite + split"
SUITE, PROFILE = "suite alone", "profile alone"
REPEATS = 3
MOST_RATIO = 1.5


def rows(scratch: Path, size: int, *, quick: bool) -> list[Row]:
    """Measure one reading and its parts alone on `size` rows."""
    file = scratch / "orders.parquet"
    write(file, size)
    work = f"{size:,} rows, {file.stat().st_size / 1e6:,.0f} MB, one reading"
    best: dict[str, dict[str, Any]] = {}
    for _ in range(1 if quick else REPEATS):
        for subject in SUBJECTS:
            run = _answer(subject, file)
            if subject not in best or run["cpu_s"] < best[subject]["cpu_s"]:
                best[subject] = run
    file.unlink()
    return [row for subject in (ALL, UNPROFILED) for row in _beside(work, best, subject)] + [
        measured(f"{work}, CPU", PROFILE, best[PROFILE]["cpu_s"], "s"),
        measured(f"{work}, peak memory", PROFILE, best[PROFILE]["rss_mb"], "MB"),
    ]


def _beside(work: str, best: dict[str, dict[str, Any]], subject: str) -> list[Row]:
    ours, alone = best[subject], best[SUITE]
    return [
        compared(
            f"{work}{what}", subject, ours[key], unit,
            peer=SUITE, peer_value=alone[key], most_ratio=MOST_RATIO if subject == ALL and key != "rss_mb" else None,
        )
        for what, key, unit in (("", "wall_s", "s"), (", CPU", "cpu_s", "s"), (", peak memory", "rss_mb", "MB"))
    ]  # fmt: skip


def _answer(subject: str, file: Path) -> dict[str, Any]:
    """Run a subject in a process of its own, after the file was read once."""
    with file.open("rb") as opened:
        while opened.read(2**24):
            pass
    done = subprocess.run([sys.executable, __file__, subject, str(file)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _contract() -> Any:
    """Return a contract that the rows meet but for one in fifty thousand, with the rules that the suite repeats."""
    from quality.contract import Column, Contract

    numbers = {"order": "int64", "customer": "int64", "weight": "float64", "price": "float64", "pieces": "int32",
               "total": "float64", "years": "int16", "rating": "float32", "score": "float64", "delay": "float64",
               "returned": "int8"}  # fmt: skip
    ranges = {"customer": (0, 200_000), "weight": (0, 10**9), "years": (0, 120), "rating": (0, 1), "pieces": (0, 100),
              "price": (0, 1_000), "returned": (0, 1), "score": (-10, 10), "delay": (0, 100)}  # fmt: skip
    others = {"placed": "timestamp[us]", "shipped": "timestamp[us]", "day": "date32", "gift": "bool"}
    allowed = {"city": CITIES, "country": COUNTRIES}
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        least, most = ranges.get(name, (None, None))
        columns[name] = Column(
            type={**numbers, **others}.get(name, "string"),
            nullable=name in ("maker", "weight", "years"),
            minimum=least,
            maximum=most,
            allowed=allowed.get(name),
        )
    return Contract(columns=columns)


def _scan(file: str, *, profiled: bool) -> Callable[[], object]:
    import polars as pl

    from quality.scan import scan

    contract, kept, rejected = _contract(), [0], [0]

    def work() -> None:
        found = scan(
            pl.scan_parquet(file),
            contract,
            suite=suite(),
            profiled=profiled,
            keep=lambda frame: kept.append(frame.height),
            reject=lambda table: rejected.append(table.num_rows),
        )
        if (sum(kept), sum(rejected)) != (found.kept, found.rejected):
            raise ValueError(f"{found.rows:,} rows were split into {sum(kept):,} and {sum(rejected):,}")

    return work


def _suite(file: str) -> Callable[[], object]:
    import polars as pl
    from pyarrow.parquet import read_metadata

    from quality.suites.run import run_suite
    from quality.suites.source import Source

    return lambda: run_suite(suite(), Source.of(pl.scan_parquet(file), footers=[read_metadata(file)]))


def _profile(file: str) -> Callable[[], object]:
    import polars as pl

    from quality.profile import profile

    return lambda: profile(pl.scan_parquet(file))


SUBJECTS: dict[str, Callable[[str], Callable[[], object]]] = {
    ALL: lambda file: _scan(file, profiled=True),
    UNPROFILED: lambda file: _scan(file, profiled=False),
    SUITE: _suite,
    PROFILE: _profile,
}

if __name__ == "__main__":
    import pyarrow  # noqa: F401  all but the suite alone, which reads footers, would import it while they are timed

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    subject, file = sys.argv[1:]
    cost = timed(SUBJECTS[subject](file))
    print(json.dumps({**cost, "rss_mb": peak_rss_bytes() / 1e6}))
