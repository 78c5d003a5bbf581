"""Owns the verdicts of `drift_check` while its past is short: clean partitions, and some that no season explains."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl
from _report import Row, told_rate
from _verdicts_streams import CATEGORIES, FEW, WINDOW, WORLDS, days

from quality.drift import ColumnDrift, drift, gross_changes
from quality.profile import Profile, merge, profile

TOLERANCE = 0.1
"""Default of the check."""
HISTORIES, STRUCK = 24, 6
"""Histories of each world, and of how many of each data set every partition is also broken on purpose."""
Frames = Sequence[pl.DataFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Young:
    """Beginnings of histories, each of nine partitions, and the columns that are broken in them, if any."""

    name: str
    beginnings: Sequence[Frames]
    number: str = ""
    names: str = ""


def young_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags and misses of partitions 2 to 9; real data are those of PENSTOCK_TEST_DATA."""
    for rows in sizes or (1_000,):
        for one in (*worlds(rows, 1 if quick else HISTORIES), *(() if quick else real())):
            said: dict[str, list[bool]] = defaultdict(list)
            for place, frames in enumerate(one.beginnings):
                for kind, flagged in judged(frames, one if one.number and place < STRUCK else None):
                    said[kind].append(flagged)
            usual = sum(frame.height for frames in one.beginnings for frame in frames) // (FEW * len(one.beginnings))
            work = f"drift_check, partitions 2 to {FEW}, {one.name}, {usual:,} rows each"
            clean = said.pop("flagged")
            yield told_rate(f"{work}: flagged, {len(clean)} partitions", "false flags", sum(clean), len(clean),
                            "share of partitions", most=0.01)  # fmt: skip
            for kind, found in said.items():
                yield told_rate(f"{work}: {kind} not flagged, {len(found)} partitions", "misses",
                                len(found) - sum(found), len(found), "share of partitions")  # fmt: skip


def worlds(rows: int, histories: int) -> Iterator[Young]:
    """Yield the first days of clean histories."""
    for world in WORLDS:
        walks = [
            list(islice(days(world, seed, rows, categories=CATEGORIES), FEW)) for seed in range(100, 100 + histories)
        ]
        yield Young(name=world.name, beginnings=walks, number="x1", names="c10")


def real() -> Iterator[Young]:
    """Yield partitions of real data, in the order of time; months and weeks overlap, so that there are enough."""
    folder = Path(os.environ.get("PENSTOCK_TEST_DATA") or ".")
    if not (folder / "bike_sharing" / "hour.csv").is_file():
        print(f"no real data: {folder / 'bike_sharing' / 'hour.csv'} is not there (PENSTOCK_TEST_DATA)")
        return
    hours = pl.read_csv(folder / "bike_sharing" / "hour.csv").drop("instant")
    hours = hours.with_columns(pl.col("dteday").str.to_date("%m/%d/%Y"), pl.col("weathersit").cast(pl.String))
    single = (
        hours.with_columns(pl.int_ranges("cnt").alias("ride"))
        .explode("ride")
        .drop("ride", "cnt", "casual", "registered")
    )
    part = pl.col("dteday").cast(pl.Datetime) + pl.duration(hours="hr")
    for what, frame in (("hours of rides", hours), ("single rides", single)):
        for word, every, step in (("day", "1d", FEW), ("week", "1w", 3), ("month", "1mo", 1)):
            parts = _parts(frame.with_columns(part=part.dt.truncate(every)).drop("dteday"))
            yield Young(name=f"{what} by {word}", beginnings=_cut(parts, step), number="hum", names="weathersit")
    parts = _parts(single.with_columns(part=part).drop("dteday"))
    yield Young(name="single rides by hour", beginnings=_cut(parts, 8 * FEW))
    trips = pl.read_csv(folder / "taxis" / "clean.csv", try_parse_dates=True).sort("pickup")
    for word, every, step in (("day", "1d", 1), ("six hours", "6h", FEW)):
        parts = _parts(trips.with_columns(part=pl.col("pickup").dt.truncate(every)).drop("pickup", "dropoff"))
        yield Young(name=f"taxi trips by {word}", beginnings=_cut(parts, step), number="fare", names="payment")


def _parts(frame: pl.DataFrame) -> list[pl.DataFrame]:
    return [
        part.drop("part") for _, part in frame.sort("part", maintain_order=True).group_by("part", maintain_order=True)
    ]


def _cut(parts: Frames, step: int) -> list[Frames]:
    return [parts[start : start + FEW] for start in range(0, len(parts) - FEW + 1, step)]


def judged(frames: Frames, broken: Young | None) -> Iterator[tuple[str, bool]]:
    """Yield "flagged" and whether it is of each partition from the second on, and the same of it broken in each way."""
    before: list[Profile] = []
    effects: dict[tuple[str, str], list[float]] = defaultdict(list)
    for frame in frames:
        current = profile(frame)
        if before:
            tests, gross = _judge(before, current, effects)
            yield "flagged", bool(gross)
            for kind, changed in _struck(frame, broken) if broken else ():
                columns = {**current.columns, **profile(changed).columns}
                yield (
                    kind,
                    bool(_judge(before, Profile(rows=current.rows, columns=columns), effects, changed.columns)[1]),
                )
            for test in () if gross else tests:
                effects[test.column, test.test].append(test.effect)
        before.append(current)


def _judge(
    before: Sequence[Profile],
    current: Profile,
    effects: dict[tuple[str, str], list[float]],
    columns: Sequence[str] | None = None,
) -> tuple[tuple[ColumnDrift, ...], list[ColumnDrift]]:
    kept = [name for name, column in current.columns.items() if column.kind not in ("time", "other")]
    tests = drift(merge(before[-WINDOW:]), current, columns=columns or kept, tolerance=TOLERANCE)
    return tests, gross_changes(tests, before, current, effects)


def _struck(frame: pl.DataFrame, of: Young) -> Iterator[tuple[str, pl.DataFrame]]:
    number, names = pl.col(of.number), pl.col(of.names)
    yield "a number times 1,000", frame.select(number * 1_000)
    yield "a number times 0.001", frame.select(number / 1_000)
    yield "a number of one value", frame.select(number.sort().first() + 0 * number)
    yield "new names of all categories", frame.select(names + "_new")
