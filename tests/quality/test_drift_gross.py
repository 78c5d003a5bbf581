"""What no season explains: changes of scale, and gross changes of shares."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.drift import drift, gross_changes
from quality.drift.gross import scale_change
from quality.profile import profile


def column(values):
    return profile(pl.DataFrame({"x": values})).columns["x"]


def normal(seed=0, rows=500):
    return np.random.default_rng(seed).normal(0, 1, rows)


def test_a_factor_is_the_scale_change_wherever_the_values_lie():
    for at in (0, 5):
        for factor in (1_000, 1 / 1_000):
            found = scale_change(column(normal(1) + at), column(factor * (normal(2) + at)))
            assert 0.99 < found < 1


def test_two_ranges_that_touch_differ_by_one_half_at_most():
    rows = np.linspace(0, 1, 100_000)
    # The inner ranges span 0.1 to 1.9, less the errors of both quantiles, and each sample is 1 wide.
    found = scale_change(column(rows), column(rows + 1))
    error = np.sqrt(np.log(40) / 200_000) + 1 / 255
    assert found == pytest.approx(1 - 1 / (1.8 - 2 * error), abs=0.005)
    assert found < 0.5


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 5), st.floats(0.01, 100), st.floats(-50, 50), st.floats(0.01, 100),
    st.floats(-1e3, 1e3),
)  # fmt: skip
def test_it_lies_between_none_and_one_and_knows_neither_side_unit_nor_zero(seed, factor, shift, unit, zero):
    one, two = normal(seed), factor * normal(seed + 1) + shift
    found = scale_change(column(one), column(two))
    assert 0 <= found < 1
    assert scale_change(column(two), column(one)) == found
    assert scale_change(column(unit * one + zero), column(unit * two + zero)) == pytest.approx(found, abs=0.03)


def test_columns_without_values_have_no_scale():
    nothing = column(pl.Series([None, None], dtype=pl.Float64))
    assert scale_change(nothing, column(normal())) == 0


def found(frames, limit=0.85, effects=None):
    """Return (column, test) of the gross changes of the last frame against all before it."""
    *before, current = [profile(frame) for frame in frames]
    from quality.profile import merge

    tests = drift(merge(before), current)
    gross = gross_changes(tests, before, current, effects or {}, limit=limit)
    return [(test.column, test.test) for test in gross]


def numbers(*values):
    return [pl.DataFrame({"x": one}) for one in values]


def test_a_winter_is_no_change_of_scale():
    assert found(numbers(normal(0), normal(1), normal(2) - 5)) == []


def test_a_column_that_left_the_scale_before_is_left_to_the_past():
    calm = (normal(0), normal(1), 1_000 * normal(2))
    assert found(numbers(*calm)) == [("x", "ks")]
    assert found(numbers(normal(0), 1_000 * normal(1), 1e6 * normal(2))) == []


def test_a_column_that_names_the_partition_is_not_judged():
    assert found(numbers(np.full(500, 1), np.full(500, 2), np.full(500, 9))) == []


def test_shares_are_judged_from_the_third_partition_on_where_earlier_ones_were_calm():
    names = [pl.DataFrame({"x": np.random.default_rng(0).choice(list(two), 500)}) for two in ("ab", "ab", "cd")]
    assert found(names[1:]) == []
    assert found(names) == [("x", "tv")]
    assert found(names, effects={("x", "tv"): [0.6]}) == []


def test_what_moved_within_the_limit_is_not_gross():
    # Half of the rows have new names: a distance of 0.5.
    names = [np.random.default_rng(0).choice(list(two), 500) for two in ("ab", "ab", "abcd")]
    frames = [pl.DataFrame({"x": one}) for one in names]
    assert found(frames) == []
    assert found(frames, limit=0.3) == [("x", "tv")]
