"""Profiles: what they count, and that merging parts equals profiling the whole."""

import json
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.histogram import Histogram, merge_histograms, width_exponent
from quality.profile import Profile, merge, profile
from resources.canonical import canonical_json
from resources.errors import ContractError

floats = st.lists(st.one_of(st.none(), st.floats(width=32)), min_size=0, max_size=40)


def test_a_numeric_column_is_described_as_numpy_describes_it():
    values = np.random.default_rng(1).normal(5, 2, 1_001)
    found = profile(pl.DataFrame({"x": values})).columns["x"]
    assert (found.mean, found.std) == (
        pytest.approx(values.mean(), rel=1e-8),
        pytest.approx(values.std(ddof=1), rel=1e-8),
    )
    assert found.quantiles["0.5"] == np.median(values)
    assert sum(found.histogram.counts) == 1_001
    assert found.histogram.edges[0] <= values.min()
    assert values.max() < found.histogram.edges[-1]


def test_nulls_nan_and_infinities_are_counted_apart_from_values():
    found = profile(pl.DataFrame({"x": [1.0, None, float("nan"), float("inf"), float("-inf"), 3.0]})).columns["x"]
    assert (found.count, found.nulls, found.nans, found.infinite) == (2, 1, 1, 2)
    assert (found.minimum, found.maximum, found.mean) == (1.0, 3.0, 2.0)


def test_whole_numbers_stay_whole_and_have_bins_of_at_least_one():
    found = profile(pl.DataFrame({"n": [1, 2, 2, 3]})).columns["n"]
    assert (found.minimum, found.maximum, found.top[0]) == (1, 3, ("2", 2))
    assert found.histogram == Histogram(exponent=0, first=1, counts=(1, 2, 1))


def test_frequent_values_come_most_frequent_first_and_equal_ones_in_order_of_text():
    found = profile(pl.DataFrame({"s": ["b", "a", "c", "c", None], "t": [True, False, True, None, True]}))
    assert found.columns["s"].top == (("c", 2), ("a", 1), ("b", 1))
    assert found.columns["t"].top == (("true", 3), ("false", 1))
    assert found.columns["s"].distinct == 3


def test_dates_and_times_have_a_range_of_text():
    frame = pl.DataFrame({"d": [date(2011, 1, 2), date(2011, 1, 1)], "t": [datetime(2011, 1, 1, tzinfo=UTC)] * 2})
    found = profile(frame).columns
    assert (found["d"].minimum, found["d"].maximum) == ("2011-01-01", "2011-01-02")
    assert found["t"].minimum == "2011-01-01T00:00:00+00:00"


def test_columns_without_order_are_counted_only():
    found = profile(pl.DataFrame({"l": [[1], None], "n": [None, None]})).columns
    assert (found["l"].count, found["l"].nulls, found["n"].count) == (1, 1, 0)


def test_an_empty_frame_and_the_largest_numbers_have_a_profile():
    assert profile(pl.DataFrame({"x": pl.Series([], dtype=pl.Float64)})).columns["x"].count == 0
    huge = profile(pl.DataFrame({"x": [1.7e308, -1.7e308, 5e-324]}))
    assert canonical_json(huge.to_json())


@settings(deadline=None)
@given(floats, floats)
def test_merging_two_profiles_counts_what_the_whole_counts(one, two):
    parts = [pl.DataFrame({"x": pl.Series(side, dtype=pl.Float64)}) for side in (one, two)]
    merged, whole = merge(map(profile, parts)).columns["x"], profile(pl.concat(parts)).columns["x"]
    for name in ("count", "nulls", "nans", "infinite", "minimum", "maximum"):
        assert getattr(merged, name) == getattr(whole, name)
    if whole.mean is not None:
        size = max(abs(whole.minimum), abs(whole.maximum))
        assert merged.mean == pytest.approx(whole.mean, rel=1e-6, abs=1e-7 * size)
        assert sum(merged.histogram.counts) == whole.count


@settings(deadline=None)
@given(st.lists(st.integers(-1_000, 1_000), min_size=2, max_size=60), st.data())
def test_merged_moments_and_counts_are_those_of_the_whole(values, data):
    cut = data.draw(st.integers(1, len(values) - 1))
    parts = [profile(pl.DataFrame({"n": part})) for part in (values[:cut], values[cut:])]
    merged = merge(parts).columns["n"]
    assert merged.mean == pytest.approx(np.mean(values), abs=1e-5)
    assert merged.std == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-5)
    assert merged.approximate


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.integers(-3, 5),
    st.integers(0, 4),
)
def test_a_merged_histogram_is_the_histogram_of_the_whole_on_its_own_grid(values, exponent, finer):
    def bins(numbers, power):
        places = [int(np.floor(v / 2.0**power)) for v in numbers]
        span = range(min(places), max(places) + 1)
        return Histogram(exponent=power, first=min(places), counts=tuple(map(places.count, span)))

    near = [v % 40 for v in values]
    merged = merge_histograms(bins(near, exponent), bins(near, exponent - finer))
    expected = bins(near + near, merged.exponent)
    assert merged == expected


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_bins_span_the_range_in_at_most_33(one, two):
    low, high = min(one, two), max(one, two)
    width = 2.0 ** width_exponent(low, high)
    assert np.floor(high / width) - np.floor(low / width) <= 33
    assert high == low or (high / 2 - low / 2) / width > 7.99


def test_quantiles_of_a_merge_lie_within_a_bin_of_the_true_ones():
    values = np.random.default_rng(2).normal(0, 1, 20_000)
    merged = merge([profile(pl.DataFrame({"x": part})) for part in np.split(values, 4)]).columns["x"]
    width = 2.0**merged.histogram.exponent
    for probability, value in merged.quantiles.items():
        assert value == pytest.approx(np.quantile(values, float(probability)), abs=width)


def test_profiles_of_different_columns_do_not_merge():
    with pytest.raises(ContractError, match="profiles differ in 'x'"):
        merge([profile(pl.DataFrame({"x": [1]})), profile(pl.DataFrame({"x": [1.0]}))])
    with pytest.raises(ContractError, match="no profiles"):
        merge([])


def test_a_profile_reads_back_from_its_canonical_json():
    frame = pl.DataFrame({"x": [1.5, None, float("nan")], "s": ["a", "b", "b"], "d": [date(2011, 1, 1)] * 3})
    found = profile(frame.lazy())
    assert Profile.from_json(json.loads(canonical_json(found.to_json()))) == found


def test_the_shards_of_a_frame_do_not_show_in_its_profile():
    values = np.random.default_rng(3).normal(1e6, 1, 10_000)
    whole = pl.DataFrame({"x": values})
    sharded = pl.concat([whole[i : i + 999] for i in range(0, 10_000, 999)], rechunk=False)
    assert canonical_json(profile(whole).to_json()) == canonical_json(profile(sharded).to_json())
