"""Drift: distances, bounds, design effects, the two keys."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quality.distances import chi_square, design_effects, population_stability_index
from quality.drift import benjamini_hochberg, drift
from resources.canonical import canonical_json
from resources.errors import DeclarationError

values = st.lists(st.integers(-5, 5), min_size=1, max_size=40)
counts = st.lists(st.integers(1, 1000), min_size=4, max_size=4)


def normal(rows, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, rows)


@settings(deadline=None)
@given(values, values)
def test_the_kolmogorov_smirnov_distance_is_the_largest_gap_at_any_value(one, two):
    gaps = [abs(sum(v <= x for v in one) / len(one) - sum(v <= x for v in two) / len(two)) for x in one + two]
    found = drift(pl.DataFrame({"x": one}), pl.DataFrame({"x": two}))[0]
    assert found.effect == pytest.approx(max(gaps))


@settings(deadline=None)
@given(counts, counts)
def test_the_chi_square_statistic_is_scipys_where_every_cell_expects_five(one, two):
    table = np.array([one, two]) + 20.0
    expected = stats.chi2_contingency(table, correction=False)
    if expected.expected_freq.min() >= 5:
        statistic, degrees = chi_square(table[0], table[1])
        assert (statistic, degrees) == (pytest.approx(expected.statistic), expected.dof)


@given(p=counts, q=counts)
def test_psi_is_symmetric_and_never_negative(p, q):
    one, two = np.array(p, float), np.array(q, float)
    assert population_stability_index(one, two) >= 0
    assert population_stability_index(one, two) == pytest.approx(population_stability_index(two, one))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_are_scipys(probabilities):
    expected = stats.false_discovery_control(probabilities)
    assert benjamini_hochberg(probabilities) == pytest.approx(list(expected))


def test_rows_that_are_copies_within_a_cluster_have_that_many_as_design_effect():
    events = np.repeat(np.random.default_rng(1).random(4_000) < 0.3, 5)
    per_cluster = events.reshape(4_000, 5).sum(1, keepdims=True).astype(float)
    assert design_effects(per_cluster, np.full(4_000, 5.0))[0] == pytest.approx(5, rel=0.05)


def test_a_shift_above_the_tolerance_is_flagged_and_told():
    reference, current = pl.DataFrame({"temp": normal(3_000)}), pl.DataFrame({"temp": normal(3_000, 0.6, 1)})
    found = drift(reference, current)[0]
    assert found.flagged
    # The distance of N(0, 1) and N(.6, 1) is 2 Phi(.3) - 1 = .236.
    assert found.low < 2 * stats.norm.cdf(0.3) - 1 < found.effect + 0.04
    assert found.reason.startswith("temp: distribution moved by 0.2")


def test_an_irrelevant_shift_of_many_rows_is_significant_and_not_flagged():
    reference, current = pl.DataFrame({"x": normal(200_000)}), pl.DataFrame({"x": normal(200_000, 0.03, 1)})
    found = drift(reference, current, tolerance=0.02)[0]
    assert found.q < 0.001
    assert not found.flagged


def test_noise_of_few_rows_is_not_flagged_however_large():
    found = drift(pl.DataFrame({"x": normal(12)}), pl.DataFrame({"x": normal(12, 0, 3)}), tolerance=0.0)[0]
    assert found.effect > 0.1
    assert not found.flagged


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["a", "b", "c"])])
def test_categories_are_compared_by_their_shares(dtype):
    reference = pl.DataFrame({"kind": pl.Series(["a", "a", "b", "b"] * 500, dtype=dtype)})
    current = pl.DataFrame({"kind": pl.Series(["a", "b", "b", "c"] * 500, dtype=dtype)})
    found = drift(reference, current)[0]
    assert (found.test, found.effect, found.flagged) == ("tv", pytest.approx(0.25), True)


def test_codes_declared_categorical_are_not_ordered():
    reference, current = pl.DataFrame({"k": [1, 2, 3] * 600}), pl.DataFrame({"k": [1, 1, 2, 2, 2, 3] * 300})
    assert drift(reference, current)[0].test == "ks"
    assert drift(reference, current, categorical=["k"])[0].test == "tv"


def test_booleans_and_a_category_of_one_value_are_compared():
    found = drift(pl.DataFrame({"b": [True, False] * 50, "c": ["x"] * 100}), pl.DataFrame({"b": [True], "c": ["x"]}))
    assert [(test.test, test.flagged) for test in found] == [("tv", False), ("tv", False)]
    assert found[1].effect == 0


def test_nulls_and_nan_that_appear_are_flagged_as_missing():
    reference = pl.DataFrame({"x": normal(1_000)})
    gone = [None if i % 4 == 0 else float("nan") if i % 4 == 1 else v for i, v in enumerate(normal(1_000))]
    found = drift(reference, pl.DataFrame({"x": gone}))
    assert [(test.test, test.flagged) for test in found] == [("ks", False), ("missing", True)]
    assert found[1].effect == pytest.approx(0.5)


def test_a_column_that_lost_all_values_is_flagged():
    reference, empty = pl.DataFrame({"x": normal(500)}), pl.DataFrame({"x": pl.Series([None] * 500, dtype=pl.Float64)})
    assert [(test.test, test.flagged) for test in drift(reference, empty)] == [("missing", True)]


def test_infinities_are_ordered_like_other_values():
    reference, current = pl.DataFrame({"x": [1.0, 2.0] * 500}), pl.DataFrame({"x": [1.0, float("inf")] * 500})
    assert drift(reference, current)[0].effect == pytest.approx(0.5)


def test_days_that_differ_as_a_whole_are_no_drift_when_days_are_given():
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(30), 24)
    reference, current = (pl.DataFrame({"t": rng.normal(0, 3, 30)[day] + rng.normal(0, 1, 720)}) for _ in range(2))
    by_row = drift(reference, current, tolerance=0.02)[0]
    by_day = drift(reference, current, tolerance=0.02, clusters=(day, day))[0]
    assert by_day.effective_current < 100 < by_row.effective_current == 720
    assert by_row.p < 0.05 < by_day.p


def test_too_few_clusters_count_as_one_row_each():
    day = np.repeat(np.arange(3), 100)
    frame = pl.DataFrame({"x": normal(300)})
    assert drift(frame, frame, clusters=(day, day))[0].effective_current == 3


def test_unclustered_rows_keep_about_their_number():
    day = np.repeat(np.arange(300), 10)
    frame = pl.DataFrame({"x": normal(3_000), "c": np.random.default_rng(1).choice(["a", "b"], 3_000)})
    for found in drift(frame, frame, clusters=(day, day)):
        assert found.effective_current > 2_000


def test_without_rows_there_is_nothing_to_compare():
    frame = pl.DataFrame({"x": normal(5)})
    assert drift(frame, frame.head(0)) == ()


def test_a_result_is_canonical_json():
    found = drift(pl.DataFrame({"x": normal(50)}), pl.DataFrame({"x": normal(50, 1, 2)}))[0]
    assert json.loads(canonical_json(found.to_json()))["column"] == "x"


def test_a_misspelt_column_and_a_column_of_lists_are_refused():
    frame = pl.DataFrame({"temp": [1.0], "tags": [["a"]]})
    with pytest.raises(DeclarationError, match="unknown drift column 'tmp'; did you mean 'temp'"):
        drift(frame, frame, columns=["tmp"])
    with pytest.raises(DeclarationError, match=r"unknown drift column of type List\(String\) 'tags'"):
        drift(frame, frame, columns=["tags"])


def test_times_are_compared_when_named_and_left_out_otherwise():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frames = [pl.DataFrame({"at": [start + timedelta(hours=h + late) for h in range(200)]}) for late in (0, 100)]
    assert drift(*frames) == ()
    found = drift(*frames, columns=["at"])[0]
    assert (found.test, found.flagged, found.effect) == ("ks", True, pytest.approx(0.5))
    assert found.statistics["wasserstein"].value == pytest.approx(100 * 3600)


@pytest.mark.parametrize("wrong", [{"tolerance": 1.0}, {"q": 0.0}, {"confidence": 1.5}])
def test_a_number_out_of_range_is_refused(wrong):
    with pytest.raises(DeclarationError, match=next(iter(wrong))):
        drift(pl.DataFrame({"x": [1.0]}), pl.DataFrame({"x": [1.0]}), **wrong)
