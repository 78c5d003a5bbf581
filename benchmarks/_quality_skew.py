"""Owns the measurements of skew and of point-in-time joins: each in a process of its own, beside the bare Polars join.

What is measured ends with the report or the joined rows; the tables are in memory before, or on disk where it is said.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from _report import Row, compared, measured
from _usage import peak_rss_bytes, status_bytes, timed

from quality.point_in_time import AsOf, point_in_time
from quality.skew import SkewRule, skew

RULE = SkewRule(keys=("user",), time="at")
AS_OF = AsOf(keys=("user",), at="at", happened="at", arrived="arrived")
FULL_SIZE, MOST_RATIO = 1_000_000, 2.0
"""The limit holds from so many rows on; with few, what Polars takes per query counts for more than rows."""
FEATURES = [*(f"x{i}" for i in range(10)), *(f"n{i}" for i in range(4)), *(f"c{i}" for i in range(4)), "flag", "seen"]
"""Ten floats, four whole numbers, four texts, a boolean and a time."""
WIDE, WIDE_COLUMNS, WIDE_TEXTS = 10, 500, 100
"""Of wide tables: one row in so many; the features of a point-in-time join; texts among the 200 of skew."""
_WORDS = pl.Series(["alpha", "beta", "gamma", "delta of some length", "epsilon"])


def table(rows: int, seed: int = 0) -> pl.DataFrame:
    """Return rows of 20 features: a text key of `rows / 20` users, a time, unique together."""
    rng = np.random.default_rng(seed)
    users = max(1, rows // 20)
    user = rng.integers(0, users, rows)
    start = 1_600_000_000_000_000
    columns = {f"x{i}": rng.normal(size=rows) for i in range(10)}
    columns |= {f"n{i}": rng.integers(0, 100, rows) for i in range(4)}
    texts = {f"c{i}": _WORDS.gather(rng.integers(0, len(_WORDS), rows)) for i in range(4)}
    return pl.DataFrame(
        {
            "user": pl.Series([f"user-{number:07d}" for number in range(users)]).gather(user),
            "at": pl.Series(start + np.arange(rows) * 1_000_000).cast(pl.Datetime("us", "UTC")),
            **columns,
            **texts,
            "flag": rng.random(rows) < 0.5,
            "seen": pl.Series(start - rng.integers(0, 10**15, rows)).cast(pl.Datetime("us", "UTC")),
        }
    )


def write(folder: Path, rows: int) -> None:
    """Write both sides, clean and with three columns that have skew, in another order."""
    training = table(rows)
    serving = training.sample(fraction=1, shuffle=True, seed=1)
    skewed = serving.with_columns(
        pl.col("x0").cast(pl.Float32).cast(pl.Float64), pl.col("n0") * 10, x1=pl.when(pl.col("x1") < 1).then("x1")
    )
    training.write_parquet(folder / "training.parquet")
    serving.write_parquet(folder / "serving.parquet")
    skewed.write_parquet(folder / "skewed.parquet")


def _sides(folder: Path, serving: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.read_parquet(folder / "training.parquet"), pl.read_parquet(folder / f"{serving}.parquet")


def _join(folder: Path) -> Callable[[], object]:
    one, two = _sides(folder, "serving")
    return lambda: one.join(two, on=["user", "at"], how="inner")


def _skew(folder: Path) -> Callable[[], object]:
    one, two = _sides(folder, "serving")
    return lambda: skew(one, two, RULE, pieces=1)


def _skewed(folder: Path) -> Callable[[], object]:
    one, two = _sides(folder, "skewed")
    return lambda: skew(one, two, RULE, pieces=1)


def _scanned_join(folder: Path) -> Callable[[], object]:
    one, two = (pl.scan_parquet(folder / f"{side}.parquet") for side in ("training", "serving"))
    return lambda: one.join(two, on=["user", "at"], how="inner").collect()


def _scanned(pieces: int) -> Callable[[Path], Callable[[], object]]:
    def work(folder: Path) -> Callable[[], object]:
        one, two = (pl.scan_parquet(folder / f"{side}.parquet") for side in ("training", "serving"))
        return lambda: skew(one, two, RULE, pieces=pieces)

    return work


def _entities(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows that ask and feature rows, both sorted by time; one feature row in ten arrives late."""
    features = pl.read_parquet(folder / "training.parquet", columns=["user", "at", *FEATURES[:10]])
    rng = np.random.default_rng(5)
    late = rng.integers(0, 10**9, features.height) * (rng.random(features.height) < 0.1)
    asking = features.select("user", "at").with_columns(pl.col("at") + pl.duration(seconds=3600))
    return asking, features.with_columns(arrived=pl.col("at") + pl.Series(late).cast(pl.Duration("us")))


def _asof(folder: Path) -> Callable[[], object]:
    asking, features = _entities(folder)
    known = features.drop("arrived")
    return lambda: asking.join_asof(known, on="at", by="user", check_sortedness=False)


def _point_in_time(rule: AsOf) -> Callable[[Path], Callable[[], object]]:
    def work(folder: Path) -> Callable[[], object]:
        asking, features = _entities(folder)
        return lambda: point_in_time(asking, features, rule, columns=FEATURES[:10])

    return work


def _wide_entities(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    asking, features = (side[::WIDE] for side in _entities(folder))
    rng = np.random.default_rng(6)
    more = [pl.Series(f"w{i}", rng.normal(size=features.height)) for i in range(WIDE_COLUMNS - 10)]
    return asking, features.with_columns(more)


def _wide_asof(folder: Path) -> Callable[[], object]:
    asking, features = _wide_entities(folder)
    known = features.drop("arrived")
    return lambda: asking.join_asof(known, on="at", by="user", check_sortedness=False)


def _wide_point_in_time(folder: Path) -> Callable[[], object]:
    asking, features = _wide_entities(folder)
    return lambda: point_in_time(asking, features, AS_OF)


def _wide_sides(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    one = pl.read_parquet(folder / "training.parquet", columns=["user", "at"])[::WIDE]
    rng = np.random.default_rng(7)
    texts = [_WORDS.gather(rng.integers(0, len(_WORDS), one.height)).alias(f"t{i}") for i in range(WIDE_TEXTS)]
    floats = [pl.Series(f"w{i}", rng.normal(size=one.height)) for i in range(200 - WIDE_TEXTS)]
    one = one.with_columns(*texts, *floats)
    return one, one.sample(fraction=1, shuffle=True, seed=1)


def _wide_join(folder: Path) -> Callable[[], object]:
    one, two = _wide_sides(folder)
    return lambda: one.join(two, on=["user", "at"], how="inner")


def _wide_skew(folder: Path) -> Callable[[], object]:
    one, two = _wide_sides(folder)
    return lambda: skew(one, two, RULE, pieces=1)


WORKS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "join": _join,
    "skew": _skew,
    "skewed": _skewed,
    "scanned join": _scanned_join,
    "scanned 1": _scanned(1),
    "scanned 8": _scanned(8),
    "asof": _asof,
    "one time": _point_in_time(AsOf(keys=("user",), at="at", happened="at")),
    "two times": _point_in_time(AS_OF),
    "wide asof": _wide_asof,
    "wide two times": _wide_point_in_time,
    "wide join": _wide_join,
    "wide skew": _wide_skew,
}


def answer(name: str, folder: Path, repeats: int) -> dict[str, float]:
    """Return the least wall and CPU seconds of some repeats, and the memory above what the tables took."""
    work = WORKS[name](folder)
    before = status_bytes("VmRSS")
    runs = [timed(work) for _ in range(repeats)]
    least = {key: min(run[key] for run in runs) for key in ("wall_s", "cpu_s")}
    return {**least, "rss_bytes": peak_rss_bytes(), "more_bytes": peak_rss_bytes() - before}


def ask(name: str, folder: Path, repeats: int) -> dict[str, float]:
    """Return what a process of its own answers."""
    command = [sys.executable, __file__, name, str(folder), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rows(folder: Path, size: int, repeats: int) -> Iterator[Row]:
    """Yield the measurements of skew and point-in-time joins over `size` rows."""
    write(folder, size)
    found = {name: ask(name, folder, repeats) for name in WORKS}
    place, wide = f"{size:,} rows x 20 features", f"{size // WIDE:,} rows"
    limit = MOST_RATIO if size >= FULL_SIZE else None
    cases = (
        ("skew", "join", f"skew of {place}, none found", "bare join", limit),
        ("skewed", "join", f"skew of {place}, 3 columns explained", "bare join", limit),
        ("scanned 1", "scanned join", f"skew of {place}, from Parquet", "bare join from Parquet", limit),
        ("scanned 8", "scanned join", "the same in 8 pieces", "bare join from Parquet", None),
        ("wide skew", "wide join", f"skew of {wide} x 200 features, half of them texts", "bare join", limit),
        ("one time", "asof", f"point-in-time join of {size:,} rows, event time", "bare join_asof", limit),
        ("two times", "asof", "the same with arrival, 10 % late", "bare join_asof of one time", None),
        ("wide two times", "wide asof", f"the same of {wide} x {WIDE_COLUMNS}", "bare join_asof of one time", None),
    )
    for ours, theirs, work, peer, most in cases:
        for key, unit in (("wall_s", "s"), ("cpu_s", "CPU s")):
            yield compared(
                work, "Penstock", found[ours][key], unit, peer=peer, peer_value=found[theirs][key],
                most_ratio=most if key == "wall_s" else None,
            )  # fmt: skip
        yield compared(
            f"{work}, peak memory", "Penstock", found[ours]["rss_bytes"] / 1e6, "MB",
            peer=peer, peer_value=found[theirs]["rss_bytes"] / 1e6,
        )  # fmt: skip
    rate = size * 20 * 60 / found["skew"]["wall_s"] / 1e6
    yield measured("joined cells compared a minute", "Penstock", rate, "million")


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
