"""Measure verdicts where the truth is known: verdicts.py [--quick] [--json FILE] [--part PART] [--rows N] [--seeds N]

Planted defects (parts ingest, evaluation, serving): of defects of 40 kinds and more, planted at stated magnitudes into
a shop's partitions, at least 95 % raise an alarm; at most 1 % of clean partitions are blocked. The defects are those of
`quality.defects`, the checks those that the shop's owner would declare with moderate effort (benchmarks/_verdicts_*.py,
one adapter a family of checks).

The drift check alone (parts independent, seasonal, coverage): at most 1 of 100 clean batches of 20 columns has a flag,
at 1k to 1M rows, with seasons and autocorrelation too; from 10k rows on at most 5 % of shifts of 0.1 sd and of moves of
5 points of a category are missed; 95 % intervals miss the true value in at most 6.5 % of pairs (5 %, and three times
what 2,000 pairs scatter by).

Checks as their users have them (part checks): `drift_check`, `prediction_drift` and `multivariate_drift`, a day at a
time over a growing past, with weekdays and with rows and days that are alike: at most 1 of 100 clean days has a flag,
and from 10k rows on at most 5 % of joint shifts and of moved predictions are missed.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from _report import Row, parser, report
from _verdicts_cases import CASES, Case
from _verdicts_checks import judge
from _verdicts_drift import PARTS as OF_DRIFT
from _verdicts_joint import joint_history_rows, joint_rows
from _verdicts_models import gate_alarms, skew_alarms
from _verdicts_orders import Shop, features, orders, served
from _verdicts_past import DAYS, Past, walk
from _verdicts_scores import Run, by_kind, false_alarms, loaded, misses, saved, summary
from _verdicts_streams import history_rows, prediction_rows
from _verdicts_young import young_rows

from quality.defects import plant

JUDGED_DAYS = 7
SEEDS = {1_000: 6, 10_000: 4, 100_000: 1}
"""Usual rows of a partition to the number of shops."""
PLACES = tuple(place for place, _ in CASES)
CHECKS = (history_rows, young_rows, prediction_rows, joint_rows, joint_history_rows)


def check_rows(sizes: Sequence[int], *, quick: bool) -> Iterator[Row]:
    """Yield false flags and misses of the checks of drift."""
    for part in CHECKS:
        yield from part(sizes, quick=quick)


DRIFT = {**OF_DRIFT, "checks": check_rows}


def look(place: str, past: Past, case: Case | None, magnitude: float, *, seed: int, draw: int) -> Run:
    """Return what is said of one day, with a defect or without."""
    frame = orders(past.shop, past.day, draw=draw)
    rng = np.random.default_rng([seed, draw])
    if place == "serving":
        training = features(frame)
        sound = served(training, rng)
        alarms = skew_alarms(training, _struck(sound, case, magnitude, seed, ()))
    elif place == "evaluation":
        alarms = gate_alarms(_struck(frame, case, magnitude, seed, ()))
    else:
        alarms = judge(past, _struck(frame, case, magnitude, seed, (past.yesterday,)))
    stated = case is not None and magnitude in case.stated and past.shop.rows >= case.at_rows
    return Run(place=place, rows=past.shop.rows, case=case, magnitude=magnitude, stated=stated, alarms=alarms)


def _struck(
    frame: pl.DataFrame, case: Case | None, magnitude: float, seed: int, past: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    if case is None:
        return frame
    return plant(case.defect, frame, case.columns, magnitude=magnitude, seed=seed, past=past)


def runs(places: tuple[str, ...], rows: int, seed: int, *, quick: bool) -> Iterator[Run]:
    """Yield every case once and as many clean runs, spread over the judged days of one shop."""
    cases = {place: of for place, of in CASES if place in places}
    plan = [
        (place, case, magnitude)
        for place, of in cases.items()
        for case in of
        for magnitude in ((case.stated[-1],) if quick else (*case.slight, *case.stated))
    ]
    kept = DAYS if "ingest" in places else 0  # the other places judge without the past
    for past in walk(Shop(seed=seed, rows=rows), DAYS + seed % 2, JUDGED_DAYS, kept=kept):
        today = past.day % JUDGED_DAYS
        for number, (place, case, magnitude) in enumerate(plan):
            if number % JUDGED_DAYS == today:
                yield look(place, past, case, magnitude, seed=seed, draw=0)
                yield look(place, past, None, 0.0, seed=seed, draw=1 + number)


def all_runs(given: argparse.Namespace) -> Iterator[Run]:
    """Yield the runs of planted defects that the command line asks for."""
    places = tuple(place for place in PLACES if given.part is None or place in given.part)
    if not places:
        return
    for rows in given.rows or ([1_000] if given.quick else list(SEEDS)):
        count = given.seeds or (1 if given.quick else SEEDS.get(rows, 1))
        for seed in range(given.first_seed, given.first_seed + count):
            for run in runs(places, rows, seed, quick=given.quick):
                if given.save:
                    with given.save.open("a") as file:
                        file.write(saved(run) + "\n")
                yield run
            print(f"{rows:,} rows, shop {seed}: done", file=sys.stderr, flush=True)


def main() -> None:
    """Judge every run, print rates and the table of kinds."""
    options = parser(__doc__)
    options.add_argument("--part", choices=(*PLACES, *DRIFT), action="append", help="measure this part only")
    options.add_argument("--rows", type=int, action="append", help="usual rows of a partition")
    options.add_argument("--seeds", type=int, help="number of shops of each size")
    options.add_argument("--first-seed", type=int, default=1, help="number of the first shop")
    options.add_argument("--save", type=Path, help="add every run to this file as it is made, a line of JSON each")
    options.add_argument("--load", type=Path, action="append", help="make no runs, report those of this file")
    given = options.parse_args()
    if given.load:
        found = [loaded(line) for file in given.load for line in file.read_text().splitlines()]
    else:
        found = list(all_runs(given))
    parts = () if given.load else [part for part in DRIFT if given.part is None or part in given.part]
    told = (row for part in parts for row in DRIFT[part](given.rows or (), quick=given.quick))
    report([*summary(found), *told], given.json)
    if found:
        print(f"\n{by_kind(found)}\n\nMissed at stated magnitudes:\n\n{misses(found)}")
        print(f"\nSaid of clean runs:\n\n{false_alarms(found)}")


if __name__ == "__main__":
    main()
