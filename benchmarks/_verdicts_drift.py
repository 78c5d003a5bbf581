"""Owns the verdicts of the drift check on batches whose truth is known: false flags, power, coverage of intervals."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from _report import Row, measured
from numpy.typing import NDArray

from quality.distributions import NORMAL
from quality.drift import ColumnDrift, Past, drift, statistics
from quality.drift.compare import FALSE_DISCOVERY_RATE, POINTS
from quality.drift.pairs import counted_pair, ordered_pair
from quality.profile import Profile, merge, profile

Floats = NDArray[np.float64]

SHARES = np.array([0.30, 0.20, 0.12, 0.10, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02])
TOLERANCE = 0.01
"""Declared for every verdict here: the KS distance of a shift of 0.1 sd is .04, of a five-point move .05."""
SIZES = (1_000, 10_000, 100_000, 1_000_000)
PERIODS, WINDOW, SEASON = 36, 3, 12
"""Partitions of the past, partitions of the reference, and partitions a year."""


def batch(rng: np.random.Generator, rows: int, *, sd: float = 0.0, points: float = 0.0) -> pl.DataFrame:
    """Return 16 numeric columns, `sd` standard deviations of the normal they are made of aside, and 4 of categories.

    Args:
        rng: Source of randomness.
        rows: Rows.
        sd: Shift of the numeric columns; those that are exponential are scaled instead.
        points: Percentage points that move from the most frequent category to the rarest.
    """
    shares = SHARES + np.array([-points, *[0.0] * 8, points]) / 100
    columns: dict[str, pl.Series | Floats] = {}
    for index in range(20):
        if index >= 16:
            codes = np.searchsorted(np.cumsum(shares)[:-1], rng.random(rows), "right")
            columns[f"category {index}"] = pl.Series(codes).cast(pl.String)
        elif index >= 12:
            columns[f"exponential {index}"] = rng.exponential(1 + sd, rows)
        else:
            normal = rng.standard_normal(rows) + sd
            columns[f"number {index}"] = np.exp(normal) if index >= 8 else normal
    return pl.DataFrame(columns)


def independent_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags and power on independent rows, by size."""
    for rows in sizes or ((1_000, 10_000) if quick else SIZES):
        repeats = 20 if quick else 500 if rows <= 10_000 else 100
        rng = np.random.default_rng([1, rows])
        described = (profile(batch(rng, rows), points=POINTS) for _ in range(repeats + 1))
        alarms = sum(_any_flag(before, after) for before, after in _neighbours(described))
        yield measured(
            f"false flags: clean batches of 20 columns flagged, {rows:,} independent rows, {repeats} batches",
            "two keys", alarms / repeats, "share of batches", most=0.01,
        )  # fmt: skip
        if rows >= 10_000:
            yield from _power(rows, repeats=10 if quick else 100 if rows == 10_000 else 20)


def _power(rows: int, *, repeats: int) -> Iterator[Row]:
    rng = np.random.default_rng([2, rows])
    flags: dict[str, list[bool]] = {}
    for _ in range(repeats):
        for test in drift(batch(rng, rows), batch(rng, rows, sd=0.1, points=5), tolerance=TOLERANCE):
            kind = test.column.partition(" ")[0]
            flags.setdefault(kind, []).append(test.flagged)
    names = {
        "number": "a shift of 0.1 sd", "exponential": "a scale 10 % larger", "category": "a move of 5 points",
    }  # fmt: skip
    for kind, found in flags.items():
        missed = 1 - sum(found) / len(found)
        what = f"misses: columns with {names[kind]} not flagged, {rows:,} rows, {len(found)} columns"
        yield measured(what, "two keys", missed, "share of columns", most=None if kind == "exponential" else 0.05)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Columns whose rows are alike and whose level has seasons.

    Attributes:
        phases: Where in the year each column peaks.
        amplitudes: How far, in standard deviations.
    """

    phases: Floats
    amplitudes: Floats

    def partition(self, rng: np.random.Generator, number: int, rows: int, levels: Floats) -> pl.DataFrame:
        """Return partition `number`: 14 numeric columns and 6 of categories, each row much like the one before."""
        season = self.amplitudes * np.sin(2 * np.pi * number / SEASON + self.phases)
        columns = {}
        for index in range(20):
            noise = _alike(rng, rows, stretch=1 + 3 * (index % 5))
            values = noise + season[index] + levels[index]
            columns[f"x{index}"] = pl.Series(values) if index < 14 else _cut(values)
        return pl.DataFrame(columns)


def seasonal_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags in streams of partitions with seasons and autocorrelation, with the past and without it."""
    for rows in sizes or ((1_000,) if quick else SIZES):
        streams, judged = (1, 12) if quick else (5, 60) if rows <= 10_000 else (2, 50) if rows <= 100_000 else (1, 50)
        count = streams * judged
        flags = [flag for seed in range(streams) for flag in _stream(seed, rows, judged)]
        for place, subject, most in ((0, "two keys and the past", 0.01), (1, "two keys alone", None)):
            share = sum(flag[place] for flag in flags) / count
            what = f"false flags: clean seasonal, autocorrelated batches of 20 columns flagged, {rows:,} rows, {count}"
            yield measured(f"{what} batches", subject, share, "share of batches", most=most)
        missed = sum(not flag[2] for flag in flags) / count
        what = f"misses: a shift of 2 sd in one column of such a batch not flagged, {rows:,} rows, {count} batches"
        yield measured(what, "two keys and the past", missed, "share of batches", most=0.05)


def _stream(seed: int, rows: int, judged: int) -> Iterator[tuple[bool, bool, bool]]:
    """Yield whether each healthy partition is flagged with the past, without it, and whether a real shift is."""
    rng = np.random.default_rng([3, seed, rows])
    amplitudes = np.where(np.arange(20) % 2 == 0, rng.uniform(0.2, 0.8, 20), 0.0)
    stream = Stream(phases=rng.uniform(0, 2 * np.pi, 20), amplitudes=amplitudes)
    levels = np.zeros(20)
    window: deque[Profile] = deque(maxlen=WINDOW)
    seen: deque[dict[tuple[str, str], float]] = deque(maxlen=PERIODS - WINDOW)
    for number in range(PERIODS + judged):
        levels = 0.6 * levels + rng.normal(0, 0.08, 20)
        frame = stream.partition(rng, number, rows, levels)
        current = profile(frame)
        if len(window) == WINDOW:
            reference = merge(window)
            # What `past_effects` finds, carried along.
            known = Past(
                effects={key: [effects[key] for effects in seen if key in effects] for key in seen[0]} if seen else {}
            )
            found = drift(reference, current, tolerance=TOLERANCE, past=known)
            if number >= PERIODS:
                yield _verdict(reference, frame, current, found, known)
            seen.append({(test.column, test.test): test.effect for test in found})
        window.append(current)


def _verdict(
    reference: Profile, frame: pl.DataFrame, current: Profile, found: Sequence[ColumnDrift], known: Past
) -> tuple[bool, bool, bool]:
    moved = profile(frame.select(pl.col("x1") + 2.0)).columns
    shifted = Profile(rows=current.rows, columns={**current.columns, **moved})
    changed = drift(reference, shifted, tolerance=TOLERANCE, past=known)
    return (
        any(test.flagged for test in found),
        any(test.q <= FALSE_DISCOVERY_RATE and test.low > TOLERANCE for test in found),
        any(test.flagged for test in changed if test.column == "x1"),
    )


def coverage_rows(_: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield how often the interval of each statistic misses the true value, without drift and with it.

    Half of the pairs have 1,000 rows a side and half 10,000.
    """
    pairs = 50 if quick else 2_000
    for shift in (0.0, 0.1, 0.5):
        misses: dict[str, int] = {}
        rng = np.random.default_rng([4, round(10 * shift)])
        for rows in pairs // 2 * [1_000, 10_000]:
            for name, missed in _missed(rng, rows, shift):
                misses[name] = misses.get(name, 0) + missed
        what = f"coverage: 95 % interval without the true value, drift of {shift:g} sd, {pairs:,} pairs"
        for name, count in misses.items():
            yield measured(what, name, count / pairs, "share of pairs", most=0.065)


def _missed(rng: np.random.Generator, rows: int, shift: float) -> Iterator[tuple[str, bool]]:
    normal = NORMAL.cdf
    sides = [profile(pl.DataFrame({"x": rng.normal(by, 1, rows)}), points=POINTS).columns["x"] for by in (0, shift)]
    pair = ordered_pair(sides[0], sides[1])
    edges = [] if pair.steps is None else pair.steps.edges.tolist()
    true = np.array([np.diff([0, *(normal(edge - by) for edge in edges), 1]) for by in (0, shift)])
    exact = statistics(counted_pair(true))
    truths = {name: exact[name].value for name in ("js", "psi", "chi_square", "tv")}
    truths |= {"ks": 2 * normal(shift / 2) - 1, "wasserstein": shift}
    found = statistics(pair)
    for name, value in truths.items():
        yield f"{name}, numbers", not found[name].low <= value <= found[name].high
    moved = SHARES + np.array([-shift / 5, *[0.0] * 8, shift / 5])
    counts = np.array([rng.multinomial(rows, SHARES), rng.multinomial(rows, moved)], np.float64)
    found, exact = statistics(counted_pair(counts)), statistics(counted_pair(np.array([SHARES, moved])))
    for name in exact:
        yield f"{name}, categories", not found[name].low <= exact[name].value <= found[name].high


PARTS = {"independent": independent_rows, "seasonal": seasonal_rows, "coverage": coverage_rows}
"""The parts of the verdict: each takes the numbers of rows to judge, by default all."""


def _any_flag(before: Profile, after: Profile) -> bool:
    return any(test.flagged for test in drift(before, after, tolerance=TOLERANCE))


def _neighbours(profiles: Iterator[Profile]) -> Iterator[tuple[Profile, Profile]]:
    before = next(profiles)
    for after in profiles:
        yield before, after
        before = after


def _alike(rng: np.random.Generator, rows: int, *, stretch: int) -> Floats:
    """Return normal numbers of which `stretch` neighbours share half of their variance."""
    common = np.repeat(rng.standard_normal(-(-rows // stretch)), stretch)[:rows]
    return (common + rng.standard_normal(rows)) / np.sqrt(2)


def _cut(values: Floats) -> pl.Series:
    return pl.Series(np.digitize(values, [-1.5, -0.5, 0.5, 1.5])).cast(pl.String)
