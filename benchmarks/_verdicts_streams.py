"""Owns the verdicts of `drift_check` and `prediction_drift` on clean histories, a day at a time over a growing past.

What the checks compute is computed here by the functions that they call, without Dagster; a test holds both to the same
verdicts. Effects of past days are carried along instead of being computed anew for each day: the numbers are the same.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import polars as pl
from _report import Row, measured
from numpy.typing import NDArray

from quality.drift import MIN_PAIRS, ColumnDrift, Past, drift, gross_changes
from quality.profile import Profile, merge, profile

Floats = NDArray[np.float64]
Effects = Mapping[tuple[str, str], float]
NUMBERS, CATEGORIES = 10, 2
WINDOW, PAST = 7, 36
"""Defaults of `drift_check`."""
FEW = 1 + MIN_PAIRS
"""The first days, of which too few pairs are known to tell what is usual."""
TOLERANCES = (0.1, 0.01)
"""The default, and one that leaves all to the past."""
MOVES = (1.0, 2.0)
"""By how many standard deviations a column moves where there is something to find."""
Flags = tuple[bool, bool, bool]
"""Whether a day is flagged as it is, and moved by each of `MOVES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How the days of a clean history differ, in standard deviations of independent rows.

    Attributes:
        name: Told in the table.
        season: Standard deviation of what each weekday adds to every other column, the same every week.
        wander: Standard deviation of the level of a day.
        memory: How much of its level the next day keeps.
        alike: Neighbouring rows that share half of their variance.
    """

    name: str
    season: float = 0.0
    wander: float = 0.0
    memory: float = 0.0
    alike: int = 1


WORLDS = (
    World(name="independent rows"),
    World(name="weekly season", season=0.4),
    World(name="autocorrelated rows and days", wander=0.2, memory=0.7, alike=7),
    World(name="weekly season, autocorrelated rows and days", season=0.4, wander=0.2, memory=0.7, alike=7),
)


def days(world: World, seed: int, rows: int, *, numbers: int = NUMBERS, categories: int = 0) -> Iterator[pl.DataFrame]:
    """Yield the days of one history, without end; every third number is lognormal."""
    rng = np.random.default_rng([7, seed, rows])
    count = numbers + categories
    season = world.season * rng.standard_normal((7, count)) * (np.arange(count) % 2 == 0)
    level, day = world.wander * rng.standard_normal(count), 0
    while True:
        values = _rows(rng, rows, count, world.alike) + season[day % 7] + level
        found = {f"x{i}": pl.Series(np.exp(values[:, i]) if i % 3 == 2 else values[:, i]) for i in range(numbers)}
        for i in range(numbers, count):
            found[f"c{i}"] = pl.Series(np.digitize(values[:, i], [-1.0, 0.0, 1.0])).cast(pl.String)
        yield pl.DataFrame(found)
        level = world.memory * level + world.wander * (1 - world.memory**2) ** 0.5 * rng.standard_normal(count)
        day += 1


def _rows(rng: np.random.Generator, rows: int, count: int, alike: int) -> Floats:
    own = rng.standard_normal((rows, count))
    if alike == 1:
        return own
    common = rng.standard_normal((-(-rows // alike), count)).repeat(alike, axis=0)[:rows]
    return (own + common) / np.sqrt(2)


@dataclass(kw_only=True)
class Known:
    """What earlier days tell of what is usual.

    Attributes:
        abstains: Whether nothing is flagged before eight pairs are known, and shorter windows count until then.
        days: Effects of the last days, oldest first, and whether the window before the day was whole; None of those
            that tell nothing.
    """

    abstains: bool
    days: deque[tuple[Effects, bool] | None] = field(default_factory=lambda: deque(maxlen=PAST))

    def past(self) -> Past:
        """Return what `past_effects` finds."""
        told = [one for one in self.days if one is not None]
        whole = [one for one in told if one[1]]
        found: dict[tuple[str, str], list[float]] = {}
        for effects, _ in told if self.abstains and len(whole) < MIN_PAIRS else whole:
            for key, effect in effects.items():
                found.setdefault(key, []).append(effect)
        return Past(effects=found)

    def keep(self, tests: Sequence[ColumnDrift], *, whole: bool = True, gross: bool = False) -> bool:
        """Keep a day; return whether it is flagged, in which case it tells nothing if that is sure.

        It is where what is usual is known, or where no season explains the day (`gross`).
        """
        sure = gross or self.past().pairs >= MIN_PAIRS
        flagged = any(test.flagged for test in tests) and (sure or not self.abstains)
        told = ({(test.column, test.test): test.effect for test in tests}, whole)
        self.days.append(None if flagged and sure else told)
        return flagged


def judged(frames: Iterator[pl.DataFrame]) -> Iterator[list[Flags]]:
    """Yield whether `drift_check` flags each day with each tolerance, and that day with its column x1 moved by `MOVES`.

    Whether a day is flagged decides what later ones learn, so that each tolerance has a past of its own.
    """
    earlier: list[Profile] = []
    known = [Known(abstains=True) for _ in TOLERANCES]
    for frame in frames:
        current = profile(frame)
        if earlier:
            before = merge(earlier[-WINDOW:])
            twins = [_moved(current, frame, sd) for sd in MOVES]
            found = [
                [drift(before, one, tolerance=tolerance, past=of.past()) for one in (current, *twins)]
                for tolerance, of in zip(TOLERANCES, known, strict=True)
            ]
            yield [
                (
                    of.keep(
                        tests[0],
                        whole=len(earlier) >= WINDOW,
                        gross=bool(gross_changes(tests[0], earlier, current, of.past().effects)),
                    ),
                    *(_flags_x1(one) for one in tests[1:]),
                )
                for of, tests in zip(known, found, strict=True)
            ]
        earlier = [*earlier, current][-PAST:]


def _moved(current: Profile, frame: pl.DataFrame, sd: float) -> Profile:
    return Profile(rows=current.rows, columns={**current.columns, **profile(frame.select(pl.col("x1") + sd)).columns})


def _flags_x1(tests: Sequence[ColumnDrift]) -> bool:
    return any(test.flagged for test in tests if test.column == "x1")


def history_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags and misses of `drift_check`."""
    histories, count = (1, 20) if quick else (6, 60)
    for rows in sizes or ((1_000,) if quick else (2_000,)):
        for world in WORLDS:
            walks = [
                list(judged(islice(days(world, seed, rows, categories=CATEGORIES), count))) for seed in range(histories)
            ]
            for place, tolerance in enumerate(TOLERANCES):
                # Of each history the second day is the first that is judged.
                found = [(day, *said[place]) for walk in walks for day, said in enumerate(walk, 2)]
                yield from _told(f"drift_check, tolerance {tolerance:g}, {rows:,} rows a day, {world.name}", found)


def _told(work: str, found: Sequence[tuple[int, *Flags]]) -> Iterator[Row]:
    early, later = [one for one in found if one[0] <= FEW], [one for one in found if one[0] > FEW]
    for what, these in ((f"days 2 to {FEW}", early), (f"days from {FEW + 1} on", later)):
        share = sum(one[1] for one in these) / len(these)
        yield measured(f"{work}: flagged, {len(these)} {what}", "false flags", share, "share of days", most=0.01)
    for place, sd in enumerate(MOVES, 2):
        missed = sum(not one[place] for one in later) / len(later)
        yield measured(f"{work}: a column moved by {sd:g} sd not flagged, days from {FEW + 1} on", "misses", missed,
                       "share of days", most=0.05 if sd >= 2 else None)  # fmt: skip


def predicted(
    frames: Iterator[pl.DataFrame], tolerance: float, *, bold: float, sd: float
) -> Iterator[tuple[bool, bool]]:
    """Yield whether `prediction_drift` flags each day, and that day with predictions moved by `sd`.

    Every week a champion that was trained on the week before takes over; on rows that it learned from its predictions
    are `bold` times as far apart.
    """
    week: deque[pl.DataFrame] = deque(maxlen=WINDOW)
    known, training = Known(abstains=False), pl.DataFrame()
    for day, frame in enumerate(frames):
        if day >= WINDOW:
            if day % WINDOW == 0:
                training = pl.concat(week).select(pl.col("x0") * bold)
            found = [_predictions(training, frame.select(pl.col("x0") + by), known.past(), tolerance) for by in (0, sd)]
            yield known.keep(found[0]), any(test.flagged for test in found[1])
        week.append(frame)


def _predictions(before: pl.DataFrame, after: pl.DataFrame, past: Past, tolerance: float) -> Sequence[ColumnDrift]:
    clusters = None
    if past.pairs < MIN_PAIRS:  # rows of a day count as that day until what is usual is known
        clusters = (np.arange(WINDOW).repeat(before.height // WINDOW), np.zeros(after.height, np.int64))
    return drift(before, after, tolerance=tolerance, clusters=clusters, past=past)


def prediction_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags and misses of `prediction_drift`."""
    histories, count = (1, 20) if quick else (5, 50)
    for rows in sizes or ((1_000,) if quick else (10_000,)):
        for world, bold in ((WORLDS[0], 1.0), (WORLDS[0], 1.05), *((world, 1.0) for world in WORLDS[1:])):
            calm = not world.wander + world.season
            sd, stated = (0.1, rows >= 10_000) if calm else (2.0, False)
            walks = [
                list(predicted(islice(days(world, seed, rows, numbers=1), count), 0.01, bold=bold, sd=sd))
                for seed in range(histories)
            ]
            flags = [flag for walk in walks for flag, _ in walk]
            moved = [found for walk in walks for _, found in walk[MIN_PAIRS:]]
            what = f", rows of the training predicted {bold - 1:.0%} more boldly" if bold > 1 else ""
            work = f"prediction_drift, tolerance 0.01, {rows:,} rows a day, {world.name}{what}"
            yield measured(f"{work}: flagged, {len(flags)} days", "false flags", sum(flags) / len(flags),
                           "share of days", most=0.01)  # fmt: skip
            missed = 1 - sum(moved) / len(moved)
            yield measured(f"{work}: predictions moved by {sd:g} sd not flagged, {len(moved)} days with 8 pairs",
                           "misses", missed, "share of days", most=0.05 if stated else None)  # fmt: skip
