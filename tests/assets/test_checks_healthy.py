"""What earlier partitions teach a check of what is usual, in a plain Dagster project."""

from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.checks import multivariate_drift_check
from quality.drift import usual_area
from quality.healthy import unless_again

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")
FIRST = datetime(2025, 1, 6, tzinfo=UTC)
DAYS = dg.DailyPartitionsDefinition(start_date="2025-01-06")


def key(day):
    return f"{FIRST + timedelta(days=day):%Y-%m-%d}"


def normal(seed, shift=0.0, rows=150):
    return pl.DataFrame({"amount": np.random.default_rng([5, seed]).normal(shift, 1, rows)})


def passed(tmp_path, shifts):
    """Return whether `multivariate_drift` passes each day, whose amounts lie that far from those of the reference."""
    frames = {key(day): normal(day, shift) for day, shift in enumerate(shifts)}

    @dg.asset(partitions_def=DAYS)
    def orders() -> None:
        """What is checked."""

    check = multivariate_drift_check(orders, reference=normal(1_000), rows=lambda partition: frames[partition])
    instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path))
    runs = (dg.materialize([orders, check], partition_key=day, instance=instance) for day in frames)
    return [done.get_asset_check_evaluations()[0].passed for done in runs]


@pytest.mark.slow
def test_a_day_that_comes_back_is_flagged_twice_and_then_is_usual(tmp_path):
    said = passed(tmp_path, [0.0] * 9 + [1.5, 0.0, 1.5, 0.0, 1.5])
    assert said == [True] * 9 + [False, True, False, True, True]


@pytest.mark.slow
def test_a_change_that_lasts_stays_news_against_a_declared_reference(tmp_path):
    assert passed(tmp_path, [0.0] * 9 + [1.5] * 4) == [True] * 9 + [False] * 4


def test_a_run_of_flagged_partitions_is_left_out_until_another_one_comes():
    assert unless_again([False, False]) == [False, False]
    assert unless_again([False, True, True]) == [False, True, True]
    assert unless_again([True, False, True, True]) == [False, False, False, False]


def test_few_past_areas_bound_as_the_chi_square_law_of_distances_does():
    # Areas of normal samples whose squared distance is a chi-square variable of 10 degrees: its 99.5 % quantile is 25.2.
    rng = np.random.default_rng(1)
    phi = NormalDist()
    beyond = []
    for _ in range(300):
        *past, new = [phi.cdf((squared / 50) ** 0.5 / 2**0.5) for squared in rng.chisquare(10, 37)]
        beyond.append(new > usual_area(past))
    assert sum(beyond) <= 5  # of 1.5 expected: more have a probability of 0.4 %
    many = usual_area([phi.cdf((squared / 50) ** 0.5 / 2**0.5) for squared in rng.chisquare(10, 36)])
    assert many == pytest.approx(phi.cdf((25.2 / 50) ** 0.5 / 2**0.5), abs=0.03)


def test_past_areas_bound_by_half_of_alpha():
    areas = [0.6 + step / 1_000 for step in range(199)]
    # The conformal rank of 199 areas at 0.5 % is the last one, at 1 % it would be the last but one.
    assert usual_area(areas) == areas[-1]
    assert usual_area(areas, alpha=0.02) == areas[-2]
    assert usual_area(areas[:7]) is None
