"""Tail probabilities agree with scipy's, an independent implementation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quality.distributions import chi_square_tail, kolmogorov_tail, student_quantile, student_tail


@settings(deadline=None)
@given(st.floats(0.001, 500), st.integers(1, 200))
def test_the_chi_square_tail_is_scipys(value, degrees):
    assert chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-8, abs=1e-14)


@settings(deadline=None)
@given(st.floats(-30, 30), st.integers(1, 300))
def test_the_student_tail_is_scipys(value, degrees):
    assert student_tail(value, degrees) == pytest.approx(stats.t.sf(value, degrees), abs=1e-12)


@settings(deadline=None)
@given(st.floats(0.0005, 0.4999), st.integers(1, 6_000))
def test_the_student_quantile_is_scipys(tail, degrees):
    assert student_quantile(tail, degrees) == pytest.approx(stats.t.isf(tail, degrees), rel=1e-6)


@settings(deadline=None)
@given(st.floats(0, 5))
def test_the_kolmogorov_tail_is_scipys(value):
    assert kolmogorov_tail(value) == pytest.approx(stats.kstwobign.sf(value), abs=1e-9)
