"""The checks of drift over a growing past: a fast part of the benchmark, which judges as the check itself does."""

import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.checks import drift_check
from quality.drift import multivariate_drift

ROOT = Path(__file__).parents[2]
DAYS = dg.DailyPartitionsDefinition(start_date="2025-01-06")


@pytest.fixture
def streams(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])  # at the end: it holds a quality.py
    import _verdicts_streams

    return _verdicts_streams


@pytest.fixture
def joint(streams):
    import _verdicts_joint

    return _verdicts_joint


def key(day):
    return f"{datetime(2025, 1, 6, tzinfo=UTC) + timedelta(days=day):%Y-%m-%d}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")
def test_the_benchmark_flags_the_days_that_the_check_flags(streams, tmp_path):
    frames = list(islice(streams.days(streams.WORLDS[0], 3, 300, numbers=2), 14))
    frames[3] = frames[3].with_columns(pl.col("x1") * 1_000)
    for day in (11, 12):
        frames[day] = frames[day].with_columns(pl.all() + 3)

    @dg.asset(partitions_def=DAYS)
    def made() -> None:
        """What is checked."""

    check = drift_check(made, rows=lambda partition: frames[[key(day) for day in range(14)].index(partition)])
    instance, told = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)), []
    for day in range(14):
        done = dg.materialize([made, check], partition_key=key(day), instance=instance)
        told.append(not done.get_asset_check_evaluations()[0].passed)
    found = [by_tolerance[0][0] for by_tolerance in streams.judged(iter(frames))]
    assert told == [False, *found]
    assert [day for day, flagged in enumerate(told) if flagged] == [3, 11, 12, 13]


@pytest.mark.parametrize("place", [1, 2])
def test_clean_days_with_weekdays_or_levels_of_their_own_are_not_flagged_and_a_moved_column_is(streams, place):
    walk = list(streams.judged(islice(streams.days(streams.WORLDS[place], 11, 400, numbers=4), 24)))
    default = [by_tolerance[0] for by_tolerance in walk]
    # At 1 flag in 100 days, 2 of 23 have a probability of 2 %.
    assert sum(flagged for flagged, *_ in default) < 2
    assert sum(moved for *_, moved in default[8:]) >= 14


def test_predictions_moved_by_a_tenth_of_their_spread_are_found_and_others_are_not_flagged(streams):
    days = islice(streams.days(streams.WORLDS[0], 1, 10_000, numbers=1), 25)
    walk = list(streams.predicted(days, 0.01, bold=1.0, sd=0.1))
    assert sum(flagged for flagged, _ in walk) < 2
    assert [found for _, found in walk[12:]] == [True] * 6


def test_columns_that_part_while_each_stays_as_it_was_are_told_from_those_that_did_not(joint):
    rng = np.random.default_rng(9)
    before, same, parted = joint.sample(rng, 2_000), joint.sample(rng, 2_000), joint.sample(rng, 2_000, 0.6)
    assert not multivariate_drift(before, same).flagged
    found = multivariate_drift(before, parted)
    assert (found.flagged, {name for name, _ in found.columns[:2]}) == (True, {"x0", "x1"})
