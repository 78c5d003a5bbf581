"""Owns the measurements of profiles and drift reports beside evidently, whylogs, nannyml and TFDV.

Wall times of a loaded machine say nothing: whylogs and evidently take a minute of processor time for a million rows.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from _peer_environments import environment
from _quality_data import SHIFTED, write
from _report import Row, compared, measured

from quality.drift import drift
from quality.profile import Profile, profile
from resources.canonical import canonical_json, parse_json

FASTER = {
    "profile": {"whylogs": 10.0, "tfdv": 1.5},
    "drift": {"evidently": 30.0, "whylogs": 50.0, "nannyml": 10.0, "tfdv": 3.0},
}
"""Work to peer to how many times faster Penstock aims to be."""
SCANNED = (5_000_000, 20_000_000)
"""Rows of the two files that are profiled in bounded memory."""
TIMEOUT_S = 1_800
_WORK = Path(__file__).with_name("_drift_work.py")


def drift_rows(*, quick: bool, peers: Path | None) -> Iterator[Row]:
    """Yield profiles, drift reports and drift from stored profiles, each tool in a process of its own.

    Args:
        quick: Whether on fewer rows.
        peers: Folder of the environments of peers; None leaves the peers out.
    """
    count = 50_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        files = [
            write(Path(folder) / f"{name}.parquet", count, seed=seed, shifted=shifted)
            for seed, (name, shifted) in enumerate((("reference", False), ("current", True), ("clean", False)))
        ]
        yield _stored(files[:2])
        if not quick:
            yield from scan_rows()
        if peers is None:
            return
        yield from _beside("profile", files, count, peers)
        yield from _beside("drift", files, count, peers)
        if not quick:
            yield from _clean(files, count, peers)


def scan_rows() -> Iterator[Row]:
    """Yield the memory that the profiles of two files take, of which one has four times the rows of the other."""
    taken: list[float] = []
    for count in SCANNED:
        with tempfile.TemporaryDirectory() as folder:
            file = write(Path(folder) / "scanned.parquet", count, seed=9)
            found = _run("penstock", "scan", [file], Path(folder))
        if found is None:
            return
        taken.append(found["rss_mb"])
        what = f"profile from a Parquet file, {count:,} rows x 20 columns"
        yield measured(f"{what}: processor", "penstock", found["cpu_s"], "CPU s")
        if len(taken) == 1:
            yield measured(f"{what}: peak memory", "penstock", taken[0], "MB")
        else:
            peer = f"{SCANNED[0]:,} rows"
            yield compared(
                f"{what}: peak memory", "penstock", taken[1], "MB", peer=peer, peer_value=taken[0], most_ratio=1.3
            )


def _beside(work: str, files: list[Path], count: int, peers: Path) -> Iterator[Row]:
    title = {"profile": "profile", "drift": "drift report"}[work] + f", {count:,} rows x 20 columns"
    for peer, faster in FASTER[work].items():
        # Ours beside each peer, so that both see the same load.
        ours = _run("penstock", work, files, peers)
        theirs = _run(peer, work, files, peers)
        if ours is None or theirs is None:
            print(f"{work}: {peer} did not run here", file=sys.stderr)
            continue
        for key, name, unit in (("work_s", "wall, reading included", "s"), ("cpu_s", "processor", "CPU s")):
            yield compared(
                f"{title}: {name}", "penstock", ours[key], unit,
                peer=peer, peer_value=theirs[key], most_ratio=1 / faster if key == "work_s" else None,
            )  # fmt: skip
        yield compared(
            f"{title}: peak memory", "penstock", ours["rss_mb"], "MB", peer=peer, peer_value=theirs["rss_mb"]
        )
        if work == "drift" and isinstance(theirs["answer"], list):
            hits = [float(len(set(found["answer"]) & set(SHIFTED))) for found in (ours, theirs)]
            what = f"drift named among {len(SHIFTED)} columns that moved, {count:,} rows"
            yield compared(what, "penstock", hits[0], "columns", peer=peer, peer_value=hits[1])


def _clean(files: list[Path], count: int, peers: Path) -> Iterator[Row]:
    """Yield how many columns each tool names between two samples of one law; times and `id` are not asked about."""
    for tool in ("penstock", "evidently", "whylogs", "tfdv"):
        found = _run(tool, "drift", [files[0], files[2]], peers)
        if found is not None:
            named = set(found["answer"]) - {"id", "day", "created", "updated"}
            what = f"drift named between two samples of one law, {count:,} rows"
            yield measured(what, tool, float(len(named)), "columns", most=0 if tool == "penstock" else None)


def _stored(files: list[Path]) -> Row:
    texts = [canonical_json(profile(pl.read_parquet(file)).to_json()) for file in files]
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        drift(*(Profile.from_json(parse_json(text)) for text in texts))
        best = min(best, time.perf_counter() - started)
    size = sum(map(len, texts)) / 2 / 20 / 1000
    work = f"drift report from two stored profiles of 20 columns ({size:.1f} kB a column), best of 5"
    return measured(work, "penstock", best * 1000, "ms", most=100)


def _run(tool: str, work: str, files: list[Path], peers: Path) -> dict[str, Any] | None:  # Any: JSON values
    python = Path(sys.executable) if tool == "penstock" else environment(tool, peers)
    if python is None:
        return None
    surroundings = {**os.environ, "PYTHONPATH": str(_WORK.parents[1]) if tool == "penstock" else ""}
    command = [python, _WORK, tool, work, *files[:2]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=surroundings, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        print(f"{tool} took more than {TIMEOUT_S} s", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{tool}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])
