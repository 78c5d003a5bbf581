"""Measure how often the gate and the drift check err: gate.py [--quick] [--json FILE]

Claims: a worse challenger is rarely promoted and an equal one rarely blocked, on independent rows and on rows that err
alike within a day; clean batches raise no drift alarm, real shifts do. Peers judge the very same draws: a comparison of
two points, a fixed slack, a bootstrap of rows that forgets the days, one test per column at p < .05, PSI > .1.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from _report import Row, compared, parser, report
from numpy.typing import NDArray

from quality.distributions import NORMAL
from quality.drift import ColumnDrift, drift
from quality.evaluation import evaluate
from quality.gate import Gate, judge
from quality.measurements import Comparison

Floats = NDArray[np.float64]

RMSE, MARGIN = 40.0, 2.0
"""Error of the champion and tolerated worsening, in rides/h."""
COMMON = 35.0
"""Standard deviation of the error that both models share; the rest is each model's own."""
DAY_SHARE = 0.5
"""Share of a variance that all hours of a day have in common, in the clustered cases."""
HOURS, DAYS, SLICES, COLUMNS = 24, 30, 12, 20


def row(work: str, subject: str, peer: str, *, value: float, peer_value: float, most: float | None, unit: str) -> Row:
    """Return a measurement that should be at most `most`, and show it as soon as it is made."""
    made = compared(work, subject, value, unit, peer=peer, peer_value=peer_value, most=most)
    print(f"{work}: {value:.4g} {unit} ({peer}: {peer_value:.4g})", file=sys.stderr, flush=True)
    return made


def noise(rng: np.random.Generator, days: int, *, clustered: bool) -> Floats:
    """Return standard normal values of `days` x 24 hours, alike within a day if `clustered`."""
    shared = DAY_SHARE if clustered else 0.0
    day = np.repeat(rng.standard_normal(days), HOURS)
    return shared**0.5 * day + (1 - shared) ** 0.5 * rng.standard_normal(days * HOURS)


# The gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What each rule said of one draw: by days, by rows, and of the slices."""

    verdict: str
    rows_verdict: str
    by_day: Comparison
    by_row: Comparison
    slices_blocked: bool
    slices_p05: bool


def outcome(seed: int, *, worse: float, clustered: bool) -> Outcome:
    """Return the verdicts on a challenger whose RMSE is truly `worse` than the champion's."""
    rng = np.random.default_rng([7, seed])
    label = 190 + 120 * rng.standard_normal(DAYS * HOURS)
    common, one, two, three = (noise(rng, DAYS, clustered=clustered) for _ in range(4))
    models = {
        "challenger": label + COMMON * common + ((RMSE + worse) ** 2 - COMMON**2) ** 0.5 * one,
        "champion": label + COMMON * common + (RMSE**2 - COMMON**2) ** 0.5 * two,
        "baseline": label + 90 * three,
    }
    hour, days = np.arange(len(label)) % SLICES, np.repeat(np.arange(DAYS), HOURS)
    slices = {"hour": {str(value): hour == value for value in range(SLICES)}}
    gate = Gate(metric="rmse", margin=MARGIN)
    by_day = evaluate(label, models, metrics=["rmse"], clusters=days, slices=slices, seed=seed)
    by_row = evaluate(label, models, metrics=["rmse"], seed=seed)
    judgement = judge(by_day, gate)
    parts = [part.comparisons["champion"]["rmse"] for part in by_day.slices]
    alone = [((part.worse or 0.0) - MARGIN) / (part.error or 1.0) for part in parts]
    return Outcome(
        verdict=judgement.verdict,
        rows_verdict=judge(by_row, gate).verdict,
        by_day=by_day.overall.comparisons["champion"]["rmse"],
        by_row=by_row.overall.comparisons["champion"]["rmse"],
        slices_blocked=any(finding.check.startswith("slice ") for finding in judgement.findings),
        slices_p05=any(value > NORMAL.inv_cdf(0.95) for value in alone),
    )


Test = Callable[[Outcome], bool]


def promotes(verdict: str) -> bool:
    """Tell whether a verdict lets the challenger through."""
    return verdict in ("pass", "warn")


def misses(found: Comparison) -> bool:
    """Tell whether an interval misses a true difference of zero."""
    return not (found.low or 0.0) <= 0 <= (found.high or 0.0)


CASES: tuple[tuple[str, float, Test, str, Test, float | None], ...] = (
    (
        "promotes a challenger worse by twice the margin",
        2 * MARGIN,
        lambda o: promotes(o.verdict),
        "point within the margin",
        lambda o: (o.by_day.worse or 0.0) <= MARGIN,
        0.01,
    ),
    (
        "promotes a challenger worse by just the margin",
        MARGIN,
        lambda o: promotes(o.verdict),
        "point within the margin",
        lambda o: (o.by_day.worse or 0.0) <= MARGIN,
        0.05,
    ),
    (
        "promotes a challenger worse by just the margin",
        MARGIN,
        lambda o: promotes(o.verdict),
        "bootstrap of rows",
        lambda o: promotes(o.rows_verdict),
        0.05,
    ),
    (
        "blocks an equal challenger",
        0.0,
        lambda o: o.verdict == "block",
        "better point wins",
        lambda o: (o.by_day.worse or 0.0) >= 0,
        0.025,
    ),
    (
        "blocks for one of 12 slices a challenger that is worse by the margin in all",
        MARGIN,
        lambda o: o.slices_blocked,
        "p < .05 per slice",
        lambda o: o.slices_p05,
        0.05,
    ),
    (
        "95 % interval misses the true difference",
        0.0,
        lambda o: misses(o.by_day),
        "bootstrap of rows",
        lambda o: misses(o.by_row),
        0.08,
    ),
    (
        "promotes an equal challenger",
        0.0,
        lambda o: promotes(o.verdict),
        "better point wins",
        lambda o: (o.by_day.worse or 0.0) < 0,
        None,
    ),
    (
        "promotes a challenger better by twice the margin",
        -2 * MARGIN,
        lambda o: promotes(o.verdict),
        "better point wins",
        lambda o: (o.by_day.worse or 0.0) < 0,
        None,
    ),
)


def gate_rows(repeats: int) -> Iterator[Row]:
    """Yield the error rates of the gate."""
    for clustered in (False, True):
        place = f"{DAYS} days, " + ("errors alike within a day" if clustered else "independent errors")
        drawn: dict[float, list[Outcome]] = {}
        for work, worse, ours, peer, theirs, most in CASES:
            if worse not in drawn:
                drawn[worse] = [outcome(i, worse=worse, clustered=clustered) for i in range(repeats)]
            found = drawn[worse]
            value, peer_value = (sum(map(test, found)) / repeats for test in (ours, theirs))
            yield row(
                f"{work}; {place}", "gate", peer, value=value, peer_value=peer_value, most=most, unit="share of runs"
            )


# Drift


def batch(rng: np.random.Generator, days: int, *, shift: float, clustered: bool) -> pl.DataFrame:
    """Return 20 columns, 16 numeric and 4 categorical; the first is shifted by `shift` standard deviations."""
    columns: dict[str, object] = {}
    for index in range(COLUMNS):
        values = noise(rng, days, clustered=clustered) + (shift if index == 0 else 0.0)
        if index >= 16:
            columns[f"category {index}"] = np.digitize(values, [-1.5, -0.5, 0.5, 1.5]).astype(str)
        else:
            columns[f"number {index}"] = np.exp(values) if index % 4 == 3 else values
    return pl.DataFrame(columns)


def tested(
    seed: int, days: int, *, shift: float, clustered: bool, tolerance: float
) -> tuple[tuple[ColumnDrift, ...], ...]:
    """Return the drift of one batch against a reference three times as long: by days if clustered, and by rows."""
    rng = np.random.default_rng([11, seed])
    reference = batch(rng, 3 * days, shift=0.0, clustered=clustered)
    current = batch(rng, days, shift=shift, clustered=clustered)
    clusters = (np.repeat(np.arange(3 * days), HOURS), np.repeat(np.arange(days), HOURS)) if clustered else None
    by_row = drift(reference, current, tolerance=tolerance)
    return drift(reference, current, tolerance=tolerance, clusters=clusters), by_row


def drift_rows(repeats: int) -> Iterator[Row]:
    """Yield false alarms on clean batches, and the power on shifted ones."""
    unit = "share of batches"
    for days, clustered in ((30, False), (400, False), (30, True), (400, True)):
        place = f"20 columns, {days * HOURS:,} rows, " + ("days alike" if clustered else "independent rows")
        count = repeats if days == 30 else max(10, repeats // 4)
        clean = [tested(i, days, shift=0.0, clustered=clustered, tolerance=0.02) for i in range(count)]
        ours = sum(any(c.flagged for c in own) for own, _ in clean) / count
        for peer, alarm in (("p < .05 per column", lambda c: c.p < 0.05), ("PSI > .1", lambda c: c.psi > 0.1)):
            theirs = sum(any(alarm(c) for c in other) for _, other in clean) / count
            work = f"drift alarm on a clean batch; {place}, tolerance .02"
            yield row(work, "two keys", peer, value=ours, peer_value=theirs, most=0.01, unit=unit)
        shifted = [tested(i, days, shift=0.5, clustered=clustered, tolerance=0.1) for i in range(count)]
        missed = sum(not own[0].flagged for own, _ in shifted) / count
        theirs = sum(other[0].psi <= 0.1 for _, other in shifted) / count
        most = None if clustered and days == 30 else 0.01
        work = f"misses a shift of 0.5 sd; {place}, tolerance .1"
        yield row(work, "two keys", "PSI > .1", value=missed, peer_value=theirs, most=most, unit=unit)
        true = 2 * NORMAL.cdf(0.25) - 1
        above = sum(own[0].low > true for own, _ in shifted) / count
        work = f"lower bound of the effect above the true one; {place}"
        peer_value = sum(other[0].effect > true for _, other in shifted) / count
        yield row(work, "95 % bound", "the estimate", value=above, peer_value=peer_value, most=0.05, unit=unit)


# Speed


def speed_rows() -> Iterator[Row]:
    """Yield the time of 2,000 resamples of 100,000 rows, against drawing rows for each resample."""
    rng = np.random.default_rng(3)
    rows, resamples = 100_000, 2_000
    label = rng.standard_normal(rows)
    models = {name: label + rng.standard_normal(rows) for name in ("challenger", "champion", "baseline")}
    start = time.perf_counter()
    evaluate(label, models, metrics=["rmse", "mae", "r2", "bias"], resamples=resamples)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(10):
        drawn = rng.integers(0, rows, rows)
        for values in models.values():
            error = values[drawn] - label[drawn]
            for score in (np.abs(error).mean(), (error**2).mean() ** 0.5, error.mean(), label[drawn].var()):
                float(score)
    theirs = (time.perf_counter() - start) / 10 * resamples
    work = "2,000 resamples, 100,000 rows, 3 models, 4 metrics"
    yield row(work, "evaluate", "drawing rows (10 drawn)", value=ours, peer_value=theirs, most=1.0, unit="s")


def main() -> None:
    """Measure and print every row."""
    options = parser(__doc__).parse_args()
    judgements, batches = (40, 12) if options.quick else (1000, 400)
    report([*gate_rows(judgements), *drift_rows(batches), *speed_rows()], options.json)


if __name__ == "__main__":
    main()
