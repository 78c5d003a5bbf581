"""Owns the benchmark of suites: Penstock, Great Expectations on pandas, pandera on Polars, and a bare decode.

Run as a script it is one subject: `python benchmarks/_quality_suites.py SUBJECT FILE RESULTS`.
"""

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _peer_environments import environment
from _report import Row, compared, measured
from _suite_data import suite, write
from _usage import peak_rss_bytes, timed

OURS, GX, DECODE, PANDERA = "penstock", "Great Expectations, pandas", "Polars, bare decode", "pandera, Polars"
REPEATS = 3
GROWTH = 10
MOST_RSS_MB = 500
_COMPARED = ("element_count", "unexpected_count", "unexpected_percent", "missing_count", "missing_percent",
             "unexpected_percent_total", "unexpected_percent_nonmissing", "observed_value", "details",
             "partial_unexpected_list", "partial_unexpected_counts", "partial_unexpected_index_list")  # fmt: skip


def rows(scratch: Path, size: int, *, peers: Path | None, quick: bool) -> list[Row]:
    """Measure all subjects on `size` rows, and Penstock on ten times as many where it is a full run.

    Args:
        scratch: Folder for the files.
        size: Rows.
        peers: Folder of the environments of peers; None leaves the peers out.
        quick: Whether each subject runs once, and on no more rows.
    """
    file = scratch / "orders.parquet"
    write(file, size)
    work = f"{len(suite())} expectations, {size:,} rows, {file.stat().st_size / 1e6:,.0f} MB"
    pandera = environment("pandera", peers) if peers else None
    pythons = {OURS: Path(sys.executable), DECODE: Path(sys.executable)}
    pythons |= {GX: Path(sys.executable)} if peers else {}
    pythons |= {PANDERA: pandera} if pandera else {}
    best: dict[str, dict[str, Any]] = {}
    for _ in range(1 if quick else REPEATS):
        for subject, python in pythons.items():
            if subject == GX and GX in best:  # minutes each
                continue
            run = _answer(subject, file, scratch, python)
            if subject not in best or run["wall_s"] < best[subject]["wall_s"]:
                best[subject] = run
    found = [
        measured(f"{work}, peak memory", OURS, best[OURS]["rss_mb"], "MB", most=MOST_RSS_MB),
        *_beside(work, best, DECODE, most_wall=2.4),
    ]
    if peers:
        found += _beside(work, best, GX, most_wall=1 / 20, most_cpu=1 / 10)
        found += _beside(work, best, PANDERA, most_wall=1 / 1.4) if PANDERA in best else []
        ours, theirs = (json.loads((scratch / f"{name}.json").read_text()) for name in (OURS, GX))
        differ = sum(not _same(*pair) for pair in zip(ours, theirs, strict=True))
        found.append(measured(f"{work}, results that differ from Great Expectations'", OURS, differ, "results", most=0))
    file.unlink()
    return found if quick else found + _ten_times(scratch, size, best[OURS])


def _ten_times(scratch: Path, size: int, once: dict[str, Any]) -> list[Row]:
    file = scratch / "more.parquet"
    write(file, size * GROWTH)
    os.sync()  # or the disk is still busy with it
    run = _answer(OURS, file, scratch, Path(sys.executable))
    work = f"{size * GROWTH:,} rows, {file.stat().st_size / 1e6:,.0f} MB"
    file.unlink()
    return [
        compared(work, OURS, run["wall_s"], "s", peer=f"{size:,} rows", peer_value=once["wall_s"], most_ratio=11),
        compared(
            f"{work}, CPU", OURS, run["cpu_s"], "s", peer=f"{size:,} rows", peer_value=once["cpu_s"], most_ratio=11
        ),
        compared(
            f"{work}, peak memory", OURS, run["rss_mb"], "MB",
            peer=f"{size:,} rows", peer_value=once["rss_mb"], most_ratio=1.3,
        ),
    ]  # fmt: skip


def _beside(
    work: str, best: dict[str, dict[str, Any]], peer: str, *, most_wall: float, most_cpu: float | None = None
) -> list[Row]:
    ours, theirs = best[OURS], best[peer]
    return [
        compared(work, OURS, ours["wall_s"], "s", peer=peer, peer_value=theirs["wall_s"], most_ratio=most_wall),
        compared(f"{work}, CPU", OURS, ours["cpu_s"], "s", peer=peer, peer_value=theirs["cpu_s"], most_ratio=most_cpu),
        measured(f"{work}, peak memory", peer, theirs["rss_mb"], "MB"),
    ]


def _answer(subject: str, file: Path, scratch: Path, python: Path) -> dict[str, Any]:
    """Run a subject in a process of its own, after the file was read once."""
    with file.open("rb") as opened:
        while opened.read(2**24):
            pass
    results = scratch / f"{subject}.json"
    done = subprocess.run(
        [python, __file__, subject, str(file), str(results)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _same(ours: Any, theirs: Any) -> bool:
    """Return whether two results agree in every field that tells something of the data."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if "success" in ours:
            return ours["success"] == theirs["success"] and all(
                _same(ours["result"].get(field), theirs["result"].get(field)) for field in _COMPARED
            )
        return ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(ours, float) or isinstance(theirs, float):
        return isinstance(theirs, (int, float)) and math.isclose(ours, theirs, rel_tol=1e-9)
    return ours == theirs


def _penstock(file: str) -> Callable[[], Any]:
    import polars as pl
    from pyarrow.parquet import read_metadata

    from quality.suites.run import run_suite
    from quality.suites.source import Source

    def work() -> list[Any]:
        source = Source.of(pl.scan_parquet(file), footers=[read_metadata(file)])
        return list(run_suite(suite(), source).genuine["results"])

    return work


def _great_expectations(file: str) -> Callable[[], Any]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    warnings.simplefilter("ignore")
    import great_expectations as gx
    import pandas as pd

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
    whole = asset.add_batch_definition_whole_dataframe("w")
    named = [{**entry, "id": str(place)} for place, entry in enumerate(suite())]

    def work() -> list[Any]:
        batch = whole.get_batch({"dataframe": pd.read_parquet(file)})
        found = batch.validate(gx.ExpectationSuite("s", expectations=named), result_format="SUMMARY")
        return sorted(found.to_json_dict()["results"], key=lambda item: int(item["expectation_config"]["id"]))

    return work


def _decode(file: str) -> Callable[[], Any]:
    import polars as pl

    return lambda: [pl.read_parquet(file).height]


def _pandera(file: str) -> Callable[[], Any]:
    from _quality_pandera import failures

    return lambda: failures(file, suite())


def _as_json(value: Any) -> Any:
    """Return numpy's scalars, which Great Expectations leaves in its results, as Python's."""
    return value.item() if hasattr(value, "item") else str(value)


SUBJECTS = {OURS: _penstock, GX: _great_expectations, DECODE: _decode, PANDERA: _pandera}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    subject, file, told = sys.argv[1:]
    prepared, kept = SUBJECTS[subject](file), list[Any]()
    cost = timed(lambda: kept.extend(prepared()))
    Path(told).write_text(json.dumps(kept, default=_as_json))
    print(json.dumps({**cost, "rss_mb": peak_rss_bytes() / 1e6}))
