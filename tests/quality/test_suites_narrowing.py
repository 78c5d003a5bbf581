"""Ranks of values that pass once: those that intervals hold are exact, and memory is bounded whatever the values."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quality.suites import gathered, narrowing
from quality.suites.gathered import UNKNOWN, Ranked, Stretch
from quality.suites.narrowing import Interval, Sample, ranks_of
from quality.suites.needs import Order
from quality.suites.source import Source

_VALUES = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 1.0, 2.5, float("inf"), float("-inf")]) | st.floats(allow_nan=False), max_size=60
)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(gathered, "LARGE_ROWS", 5)
    monkeypatch.setattr(narrowing, "_MOST", 6)
    monkeypatch.setattr(narrowing, "_ROOM", 4)
    monkeypatch.setattr(narrowing, "_SAMPLED", 8)
    monkeypatch.setattr(narrowing, "_THIN", 2)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=_VALUES, quantile=st.floats(0, 1), batch=st.integers(1, 9))
def test_each_value_that_an_interval_tells_has_its_rank(values, quantile, batch, small):
    ordered = sorted(values)
    interval = Interval(quantile, np.array(values[:batch]))
    for start in range(batch, len(values), batch):
        interval.take(np.array(values[start : start + batch]), min(start + batch, len(values)))
    ends = []
    for start, found in interval.runs():
        assert found.tolist() == ordered[start : start + len(found)]
        ends.append((start, start + len(found)))
    assert [ends[0][1], ends[1][1]] == [ends[1][0], ends[2][0]]
    assert ends[1][1] - ends[1][0] <= 6 + batch


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=_VALUES.filter(bool), quantiles=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_ranks_are_those_of_all_values_and_are_read_again_where_they_drift(values, quantiles, small):
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    ranked = Ranked(Order("x", pl.col("x"), tuple(quantiles)))
    for start in range(0, len(values), 3):
        passed(ranked, frame[start : start + 3])
    alone, again = ranked.value(None), ranked.value(Source.of(frame))
    for rank in ranks_of(quantiles, len(values)):
        assert again.at(rank) == sorted(values)[rank]
        assert alone is UNKNOWN or alone.at(rank) == sorted(values)[rank]


def passed(ranked, frame):
    ranked.take(ranked.told((frame["x"],), Stretch(frame)), 0)


def ranked(values, quantiles, batch=65_536):
    found = Ranked(Order("x", pl.col("x"), quantiles))
    frame = pl.DataFrame({"x": values})
    for start in range(0, len(values), batch):
        passed(found, frame[start : start + batch])
    return found


def test_ranks_of_millions_of_mixed_values_need_no_second_reading():
    random = np.random.default_rng(7)
    steady = random.normal(size=1_500_000)
    drifting = steady + np.linspace(0, 0.05, len(steady))
    few = random.integers(0, 4, 1_500_000)
    for values in (steady, drifting, few, steady.astype("f4")):
        order = ranked(values, (0.0, 0.1, 0.5, 0.999, 1.0)).value(None)
        assert order is not UNKNOWN
        expected = np.sort(values)
        for rank in ranks_of((0.0, 0.1, 0.5, 0.999, 1.0), len(values)):
            assert order.at(rank) == expected[rank]


def test_ranks_of_sorted_values_are_read_again():
    values = np.arange(2_000_000)
    again = ranked(values, (0.5,))
    assert again.value(None) is UNKNOWN
    assert again.value(Source.of(pl.DataFrame({"x": values}))).at(1_000_000) == 1_000_000


def test_a_sample_is_bounded_and_from_all_over_the_rows():
    sample = Sample()
    for start in range(0, 5_000_000, 100_000):
        sample.take(np.arange(start, start + 100_000))
    found = sample.values()
    assert 8_000 < len(found) <= 1 << 17
    assert np.ptp(np.diff(found)) <= 16
    assert found[0] == 0 < 4_990_000 < found[-1]
