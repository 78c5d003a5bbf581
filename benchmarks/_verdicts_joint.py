"""Owns the verdicts of `multivariate_drift`: clean samples, columns that part together, histories of alike days."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import polars as pl
from _report import Row, measured, told_rate
from _verdicts_streams import PAST, WORLDS, World, days

from quality.drift import multivariate_drift, usual_area
from quality.healthy import unless_again

TOLERANCE, ALPHA = 0.05, 0.01
"""Defaults of the check."""
WINDOW = 3
HISTORIES = (12, 60)
"""Of a world, and of those where days have levels of their own: there the rate was too high once."""


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
    """Yield false flags and misses of `multivariate_drift` as a pipeline has it, of days with eight pairs or more."""
    for rows in sizes or (1_000,):
        for world in WORLDS:
            histories, count = (1, 13) if quick else (HISTORIES[world.wander > 0], 45)
            told = [day for seed in range(histories) for day in judged(world, seed, rows, count)]
            flags, found = [flagged for flagged, _ in told], [moved for _, moved in told if moved is not None]
            work = f"multivariate_drift of a pipeline, {rows:,} rows a day, {world.name}"
            what = f"{work}: flagged, {len(flags)} days of {histories} histories"
            yield told_rate(what, "false flags", sum(flags), len(flags), "share of days", most=0.01)
            yield told_rate(
                f"{work}: correlation 0 to 0.9 not flagged, {len(found)} days", "misses", len(found) - sum(found),
                len(found), "share of days",
            )  # fmt: skip


def judged(world: World, seed: int, rows: int, count: int) -> Iterator[tuple[bool, bool | None]]:
    """Yield whether each day is flagged against the days before it, and every third one with x3 made of x1.

    With fewer than eight pairs nothing is flagged, and no such day is told.
    """
    window: deque[pl.DataFrame] = deque(maxlen=WINDOW)
    past: deque[tuple[float, bool]] = deque(maxlen=PAST)
    for day, frame in enumerate(islice(days(world, seed, rows), count)):
        if window:
            reference = pl.concat(window)
            out = unless_again([flagged for _, flagged in past])
            most = usual_area([area for (area, _), left in zip(past, out, strict=True) if not left], alpha=ALPHA)
            area, flagged = _judged(reference, frame, most)
            past.append((area, flagged))
            if most is not None:
                twin = frame.with_columns(x3=0.9 * pl.col("x1") + 0.19**0.5 * pl.col("x3"))
                yield flagged, _judged(reference, twin, most)[1] if day % 3 == 0 else None
        window.append(frame)


def _judged(reference: pl.DataFrame, frame: pl.DataFrame, most: float | None) -> tuple[float, bool]:
    test = multivariate_drift(reference, frame, tolerance=TOLERANCE, alpha=ALPHA)
    return test.auc, test.flagged and most is not None and test.auc > most
