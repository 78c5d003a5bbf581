"""Owns the verdicts of `multivariate_drift`: clean samples, columns that part together, histories of alike days."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import polars as pl
from _report import Row, measured
from _verdicts_streams import PAST, WORLDS, World, days

from quality.drift import MIN_PAIRS, Past, multivariate_drift

TOLERANCE, ALPHA = 0.05, 0.01
"""Defaults of the check."""
WINDOW = 3
_ALL = ("all columns", "auc")


def sample(rng: np.random.Generator, rows: int, together: float = 0.0) -> pl.DataFrame:
    """Return 10 normal columns and one of categories, of which x0 and x1 correlate by `together`."""
    values = rng.standard_normal((rows, 10))
    values[:, 1] = together * values[:, 0] + (1 - together**2) ** 0.5 * values[:, 1]
    kinds = pl.Series("kind", rng.choice(list("abcde"), rows))
    return pl.DataFrame(values, schema=[f"x{i}" for i in range(10)]).with_columns(kinds)


def joint_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags of clean pairs, and misses of a correlation that no column shows by itself."""
    for rows in sizes or ((1_000,) if quick else (1_000, 10_000)):
        rng = np.random.default_rng([8, rows])
        pairs = 5 if quick else 200 if rows < 10_000 else 60
        clean = [multivariate_drift(sample(rng, rows), sample(rng, rows)) for _ in range(pairs)]
        work = f"multivariate_drift, 11 columns, {rows:,} independent rows a side"
        for name, flags in (
            ("the default tolerance", [one.flagged for one in clean]),
            ("no tolerance", [one.p <= ALPHA and one.low > 0.5 for one in clean]),
        ):
            what = f"{work}: flagged with {name}, {pairs} clean pairs"
            yield measured(what, "false flags", sum(flags) / pairs, "share of pairs", most=0.01)
        for together in (0.3, 0.5):
            found = [
                multivariate_drift(sample(rng, rows), sample(rng, rows, together)) for _ in range(max(1, pairs // 3))
            ]
            most = 0.05 if together == 0.5 and rows >= 10_000 else None
            missed = [not one.flagged for one in found]
            unnamed = [{name for name, _ in one.columns[:2]} != {"x0", "x1"} for one in found]
            what = f"{work}, {len(found)} pairs, correlation 0 to {together:g}"
            yield measured(f"{what}: not flagged", "misses", sum(missed) / len(found), "share of pairs", most=most)
            share = sum(unnamed) / len(found)
            yield measured(f"{what}: other columns named first", "misses", share, "share of pairs", most=most)


def joint_history_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags and misses of `multivariate_drift` as a pipeline has it."""
    histories, count = (1, 13) if quick else (3, 45)
    for rows in sizes or (1_000,):
        for world in WORLDS:
            flags = [flag for seed in range(histories) for flag in judged(world, seed, rows, count)]
            found = [flagged for _, flagged in flags if flagged is not None]
            work = f"multivariate_drift of a pipeline, {rows:,} rows a day, {world.name}"
            share = sum(flagged for flagged, _ in flags) / len(flags)
            yield measured(f"{work}: flagged, {len(flags)} days", "false flags", share, "share of days", most=0.01)
            what = f"{work}: correlation 0 to 0.9 not flagged, {len(found)} days with 8 pairs"
            yield measured(what, "misses", 1 - sum(found) / len(found), "share of days")


def judged(world: World, seed: int, rows: int, count: int) -> Iterator[tuple[bool, bool | None]]:
    """Yield whether each day is flagged against the days before it, and every third one with x3 made of x1.

    With fewer than eight pairs nothing is flagged, and a flagged day tells nothing of what is usual.
    """
    window: deque[pl.DataFrame] = deque(maxlen=WINDOW)
    areas: deque[float | None] = deque(maxlen=PAST)
    for day, frame in enumerate(islice(days(world, seed, rows), count)):
        if window:
            reference = pl.concat(window)
            known = [area for area in areas if area is not None]
            flagged, area = _flag(reference, frame, known)
            areas.append(None if flagged else area)
            planted = len(known) >= MIN_PAIRS and day % 3 == 0
            twin = frame.with_columns(x3=0.9 * pl.col("x1") + 0.19**0.5 * pl.col("x3"))
            yield flagged, _flag(reference, twin, known)[0] if planted else None
        window.append(frame)


def _flag(reference: pl.DataFrame, frame: pl.DataFrame, areas: Sequence[float]) -> tuple[bool, float]:
    test = multivariate_drift(reference, frame, tolerance=TOLERANCE, alpha=ALPHA)
    most = Past(effects={_ALL: areas}, alpha=ALPHA).threshold(*_ALL, tests=1)
    return test.flagged and most is not None and test.auc > most, test.auc
