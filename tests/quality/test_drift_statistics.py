"""The statistics of drift and their intervals, the null of the past, and what bad input gives."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from quality.drift import STATISTICS, Past, drift, past_effects, statistics
from quality.drift.pairs import counted_pair
from quality.profile import merge, profile
from resources.errors import ContractError

whole = st.lists(st.integers(-20, 20), min_size=4, max_size=60)
counts = st.lists(st.integers(1, 500), min_size=5, max_size=5)


def normal(rows, shift=0.0, seed=0):
    return pl.DataFrame({"x": np.random.default_rng(seed).normal(shift, 1, rows)})


def measured(one, two):
    return drift(pl.DataFrame({"x": one}), pl.DataFrame({"x": two}))[0].statistics


@settings(deadline=None)
@given(whole, whole)
def test_wasserstein_and_kolmogorov_smirnov_are_scipys(one, two):
    found = measured(one, two)
    assert found["wasserstein"].value == pytest.approx(stats.wasserstein_distance(one, two), abs=1e-9)
    assert found["ks"].value == pytest.approx(stats.ks_2samp(one, two, method="asymp").statistic)


@settings(deadline=None)
@given(counts, counts)
def test_binned_statistics_are_those_of_independent_formulas(one, two):
    found = statistics(counted_pair(np.array([one, two], float)))
    p, q = np.array(one) / sum(one), np.array(two) / sum(two)
    assert found["js"].value == pytest.approx(distance.jensenshannon(p, q, base=2), abs=1e-9)
    assert found["psi"].value == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), abs=1e-9)
    assert found["tv"].value == pytest.approx(distance.cityblock(p, q) / 2)
    table = np.array([np.array(one) * sum(two), np.array(two) * sum(one)])  # of one size
    assert found["chi_square"].value == pytest.approx(stats.contingency.association(table, "cramer"), abs=1e-9)


@settings(deadline=None)
@given(counts, counts)
def test_every_value_lies_in_its_interval_and_more_rows_narrow_it(one, two):
    few, many = (statistics(counted_pair(np.array([one, two], float) * times)) for times in (1, 100))
    for name, found in few.items():
        assert 0 <= found.low <= found.value <= found.high
        assert many[name].high - many[name].low < found.high - found.low + 1e-12


def test_all_six_statistics_fit_numbers_and_four_fit_categories():
    assert set(measured([1.0, 2.0], [2.0, 3.0])) == set(STATISTICS)
    assert set(measured(["a"], ["b"])) == set(STATISTICS) - {"ks", "wasserstein"}


def test_stored_profiles_tell_the_same_drift_as_rows():
    frames = [normal(20_000), normal(20_000, 0.5, 1)]
    by_rows, by_profile = drift(*frames)[0], drift(*map(profile, frames))[0]
    assert by_profile.flagged
    assert by_profile.effect == pytest.approx(by_rows.effect, abs=0.004)
    assert by_rows.low - 0.01 < by_profile.low <= by_rows.low + 1e-9


def test_coverage_of_the_intervals_holds_on_shifted_normals():
    rng, true, misses = np.random.default_rng(7), 2 * stats.norm.cdf(0.15) - 1, {"ks": 0, "wasserstein": 0}
    for _ in range(60):
        found = measured(rng.normal(size=800), rng.normal(0.3, 1, 800))
        for name, value in (("ks", true), ("wasserstein", 0.3)):
            misses[name] += not found[name].low <= value <= found[name].high
    # 5 % of 60 are 3; 9 or more have a probability of .003.
    assert max(misses.values()) < 9


def test_texts_of_which_none_repeats_are_compared_by_their_lengths():
    short, long = ([f"{i:0{digits}}" for i in range(3_000)] for digits in (8, 12))
    found = drift(pl.DataFrame({"id": short}), pl.DataFrame({"id": long}))
    assert [(test.test, test.flagged) for test in found] == [("tv", False), ("length", True)]
    assert found[1].statistics["wasserstein"].value == pytest.approx(4)


def test_a_stuck_sensor_and_a_dead_one_are_told_as_such():
    reference = normal(500)
    stuck = drift(reference, pl.DataFrame({"x": [0.5] * 100}))
    assert [test.test for test in stuck if test.flagged] == ["ks", "stuck"]
    assert "all 100 values are 0.5" in stuck[1].reason
    dead = drift(reference, pl.DataFrame({"x": pl.Series([None] * 100, dtype=pl.Float64)}))
    assert "no value is left" in dead[0].reason


def test_a_category_that_was_nearly_alone_may_be_alone_by_chance():
    found = drift(pl.DataFrame({"c": ["a"] * 990 + ["b"] * 10}), pl.DataFrame({"c": ["a"] * 50}))
    assert [(test.test, test.flagged) for test in found] == [("tv", False), ("stuck", False)]


def test_a_missing_column_another_type_and_another_clock_are_flagged_with_the_remedy():
    at = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 2), "1h", eager=True)
    reference = pl.DataFrame({"at": at.dt.replace_time_zone("UTC"), "n": range(25), "gone": range(25)})
    current = pl.DataFrame({"at": at, "n": [str(i) for i in range(25)]})
    found = drift(reference, current, columns=["at", "n"])
    assert [(test.column, test.test, test.flagged) for test in found] == [("at", "type", True), ("n", "type", True)]
    assert "cast one of them" in found[0].reason
    assert [test.test for test in drift(reference, current)] == ["type", "absent"]


def test_zones_are_no_difference_where_the_instants_are_the_same():
    at = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 2), "1h", eager=True).dt.replace_time_zone(
        "UTC"
    )
    found = drift(pl.DataFrame({"at": at}), pl.DataFrame({"at": at.dt.convert_time_zone("Asia/Tokyo")}), columns=["at"])
    assert (found[0].test, found[0].effect) == ("ks", 0)


def test_columns_of_infinities_and_of_nothing_are_compared():
    infinite = pl.DataFrame({"x": [float("inf"), float("-inf")] * 50})
    assert drift(infinite, infinite)[0].effect == 0
    assert drift(infinite, pl.DataFrame({"x": [float("inf")] * 100}))[0].effect == pytest.approx(0.5)
    nothing = pl.DataFrame({"x": [None] * 10, "y": pl.Series([None] * 10, dtype=pl.Float64)})
    assert [(test.column, test.flagged) for test in drift(nothing, nothing)] == [("y", False)]


def test_thousands_of_columns_are_compared():
    rng = np.random.default_rng(2)
    frames = [pl.DataFrame(rng.normal(size=(20, 1_000)), schema=[f"c{i}" for i in range(1_000)]) for _ in range(2)]
    assert not any(test.flagged for test in drift(*frames))


def test_clusters_are_refused_for_profiles():
    described = profile(normal(100))
    with pytest.raises(ContractError, match="give the rows themselves"):
        drift(described, described, clusters=([1], [1]))


def test_the_threshold_is_the_conformal_quantile_where_the_past_is_long_enough():
    effects = [i / 1_000 for i in range(1, 200)]
    past = Past(effects={("x", "ks"): effects}, alpha=0.05)
    # 200 healthy effects with the new one: its rank is past 190 in 5 % of cases.
    assert past.threshold("x", "ks", tests=1) == pytest.approx(0.190)
    assert past.threshold("y", "ks", tests=1) is None


def test_a_short_past_bounds_by_more_than_its_largest_effect_and_a_shorter_one_by_nothing():
    seen = [0.05, 0.06, 0.04, 0.07, 0.05, 0.06, 0.05, 0.04]
    assert Past(effects={("x", "ks"): seen}).threshold("x", "ks", tests=20) > 0.07
    assert Past(effects={("x", "ks"): seen[:7]}).threshold("x", "ks", tests=20) is None


def test_shorter_windows_count_only_until_there_are_eight_whole_ones():
    months = [seasonal(month) for month in range(16)]
    pairs = [past_effects(months[:count], 7, shorter=True).pairs for count in (1, 9, 14, 15, 16)]
    assert pairs == [0, 8, 13, 8, 9]
    assert past_effects(months[:14], 7).pairs == 7


def seasonal(month, rows=500, shift=0.0):
    rng = np.random.default_rng([5, month])
    return profile(pl.DataFrame({"temperature": 3 * np.sin(month * np.pi / 6) + shift + rng.normal(0, 3, rows)}))


def test_a_season_is_flagged_without_the_past_and_not_with_it_while_a_broken_unit_is():
    months = [seasonal(month) for month in range(30)]
    reference, past = merge(months[-3:]), past_effects(months, 3)
    assert drift(reference, seasonal(30))[0].flagged
    assert not drift(reference, seasonal(30), past=past)[0].flagged
    assert drift(reference, seasonal(30, shift=60), past=past)[0].flagged


@pytest.mark.parametrize("rows", [1_000, 10_000])
def test_clean_batches_of_twenty_columns_are_not_flagged(rows):
    rng = np.random.default_rng([6, rows])
    described = [
        profile(pl.DataFrame(rng.normal(size=(rows, 20)), schema=[f"c{i}" for i in range(20)])) for _ in range(13)
    ]
    flags = [any(t.flagged for t in drift(*pair, tolerance=0.01)) for pair in pairwise(described)]
    # At 1 flag in 100 batches, 2 of 12 have a probability of .6 %.
    assert sum(flags) < 2


def test_a_shift_of_a_tenth_of_a_standard_deviation_is_found_from_ten_thousand_rows_on():
    rng = np.random.default_rng(8)
    frames = [
        pl.DataFrame(rng.normal(shift, 1, size=(10_000, 40)), schema=[f"c{i}" for i in range(40)]) for shift in (0, 0.1)
    ]
    found = drift(*frames, tolerance=0.01)
    # At a power of .95, fewer than 34 of 40 have a probability of .2 %.
    assert sum(test.flagged for test in found) >= 34
