"""Profiles of many rows, which are not sorted: the same as of the sorted rows, whatever their order."""

import gc
import math
import weakref
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quality.profile import ROWS, profile, profile_batches
from quality.profiles.binned import Binned, ranked
from quality.profiles.counted import SORTED, Counted, count_values
from quality.profiles.distinct import RELATIVE_ERROR
from quality.profiles.moments import moments, row_moments
from quality.profiles.quantiles import POINTS, sketch
from quality.profiles.sums import ERROR, exact_sums
from quality.profiles.texts import _count_views, count_categories, count_texts
from resources.canonical import canonical_json

finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.lists(finite | st.sampled_from([0.0, -0.0, 1.0]) | st.floats(-1, 1), min_size=1, max_size=200)
MANY = SORTED + 50_000


@settings(deadline=None)
@given(values, st.lists(finite, max_size=20))
def test_ranks_of_binned_numbers_are_those_of_the_sorted_ones(numbers, points):
    ordered, binned = np.sort(np.array(numbers)), Binned(np.array(numbers))
    asked = np.array([*points, *numbers])
    assert binned.below(asked).tolist() == np.searchsorted(ordered, asked, "left").tolist()
    assert binned.upto(asked).tolist() == np.searchsorted(ordered, asked, "right").tolist()
    found, below, upto = Binned(np.array(numbers)).at_ranks(1 + np.arange(len(numbers)))
    assert found.tolist() == ordered.tolist()
    assert below.tolist() == np.searchsorted(ordered, ordered, "left").tolist()
    assert upto.tolist() == np.searchsorted(ordered, ordered, "right").tolist()


@settings(deadline=None)
@given(st.lists(finite | st.floats(-1, 1), min_size=12, max_size=200, unique=True), st.randoms())
def test_the_sketch_of_binned_numbers_is_that_of_the_sorted_ones(numbers, random):
    counted = count_values(np.array(numbers))
    random.shuffle(numbers)
    assert sketch(Binned(np.array(numbers)), points=8) == sketch(counted, points=8)


@pytest.mark.parametrize("law", ["normal", "lognormal", "standard_cauchy", "standard_exponential"])
def test_skewed_and_heavy_tailed_laws_have_the_sketch_and_the_moments_of_their_sorted_rows(law):
    numbers = getattr(np.random.default_rng(1), law)(size=50_000)
    numbers[:5_000] = 0
    binned, counted = Binned(numbers), count_values(numbers)
    for points in (POINTS, 4_096):
        assert sketch(binned, points=points) == sketch(counted, points=points)
    found, expected = row_moments(numbers, binned.ends), moments(counted)
    assert found.mean == pytest.approx(expected.mean, rel=1e-8)
    assert (found.std, found.skewness, found.kurtosis) == pytest.approx(
        (expected.std, expected.skewness, expected.kurtosis), rel=1e-7
    )


@settings(deadline=None)
@given(st.lists(finite | st.floats(-1, 1), min_size=2, max_size=80, unique=True), st.randoms())
def test_the_order_of_rows_does_not_show_in_their_moments(numbers, random):
    ends = (min(numbers), max(numbers))
    found = row_moments(np.array(numbers), ends)
    random.shuffle(numbers)
    assert row_moments(np.array(numbers), ends) == found


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), max_size=100), st.booleans())
def test_sums_are_right_within_the_error_that_they_state(terms, finer):
    def same(chunk, out):
        out[0] = chunk

    total = exact_sums(np.array(terms, np.float64), same, 1, finer=finer)[0]
    true = sum(map(Fraction, terms))
    allowed = len(terms) * Fraction(ERROR) ** (2 if finer else 1) + abs(true) * Fraction(2) ** -53
    assert abs(Fraction(total) - true) <= allowed


def test_sums_of_many_rows_are_math_fsums():
    terms = np.random.default_rng(2).uniform(-1, 1, 100_001)
    total = exact_sums(terms, lambda chunk, out: np.copyto(out[0], chunk), 1, finer=True)[0]
    assert total == pytest.approx(math.fsum(terms), abs=1e-15)


@pytest.mark.parametrize(
    "distinct",
    [
        np.array([0.0, -0.0, 0.1, 1e300, -5e-324]),
        np.round(np.arange(10_000) * 0.01, 2),
        np.arange(9_000) * 10**12 - 5 * 10**15,
        np.linspace(0, 1, 12_000, dtype=np.float32),
    ],
)
def test_few_distinct_numbers_of_many_rows_are_counted_exactly(distinct):
    rows = np.random.default_rng(3).choice(distinct, MANY)
    found = ranked(rows)
    assert isinstance(found, Counted)
    expected, counts = np.unique(rows + rows.dtype.type(0), return_counts=True)
    assert found.values.tolist() == expected.tolist()
    assert found.counts.tolist() == counts.tolist()


def test_keys_are_counted_exactly_however_many_they_are():
    keys = np.random.default_rng(4).permutation(np.arange(MANY) * 1_000_003)
    found = profile(pl.DataFrame({"key": keys})).columns["key"]
    assert (found.distinct, found.distinct_error) == (MANY, 0.0)


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), min_size=2, max_size=80), st.integers(0, 5))
def test_texts_are_counted_by_their_views_as_by_themselves(texts, start):
    series = pl.concat([pl.Series(["cut"]), pl.Series(texts * 3), pl.Series(texts)], rechunk=False)[start:]
    counted = _count_views(series)
    assume(counted is not None)  # two of few texts may have one bucket
    found, counts = counted
    expected = series.alias("text").value_counts()
    assert dict(zip(found, counts.tolist(), strict=True)) == dict(expected.iter_rows())


def test_texts_are_few_by_what_they_are_and_not_by_where_they_lie():
    names = [f"a name longer than twelve bytes {i}" for i in range(500)]
    repeated = pl.Series([names[i % 500] for i in range(MANY)])
    found, counts = count_texts(repeated)
    assert sorted(zip(found, counts.tolist(), strict=True)) == sorted((name, MANY // 500) for name in names)
    assert count_texts(pl.Series([f"user {i}" for i in range(MANY)])) is None


def test_categories_and_booleans_are_counted_by_their_codes():
    kinds = pl.Series(["b", "a", "b"], dtype=pl.Enum(["a", "unused", "b"]))
    for series, expected in ((kinds, {"a": 1, "b": 2}), (pl.Series([True, True]), {"true": 2})):
        found, counts = count_categories(series)
        assert dict(zip(found, counts.tolist(), strict=True)) == expected


def many_rows():
    rng = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "fraction": rng.normal(size=MANY),
            "zeros": np.where(rng.random(MANY) < 0.02, 0.0, rng.lognormal(0, 2, MANY)),
            "small": rng.beta(2, 5, MANY).astype(np.float32),
            "key": rng.permutation(MANY) * 7_919,
            "text": [f"user number {i}" for i in rng.integers(0, 100_000, MANY)],
            "at": datetime(2026, 1, 1) + pl.Series(rng.permutation(MANY)).cast(pl.Duration("us")) * 1_000_003,
        }
    )


def test_the_order_of_many_rows_does_not_show_in_their_profile():
    frame = many_rows()
    texts = [
        canonical_json(profile(side).to_json()) for side in (frame, frame.sample(fraction=1, shuffle=True, seed=1))
    ]
    assert texts[0] == texts[1]


def test_frequent_and_distinct_values_of_many_rows_are_told_within_their_errors():
    frame = many_rows()
    found = profile(frame).columns
    assert found["zeros"].top[0] == ("0.0", int((frame["zeros"] == 0).sum()))
    for name in ("fraction", "zeros", "small", "text", "at"):
        column, counts = found[name], frame[name].value_counts()
        assert column.distinct == pytest.approx(len(counts), rel=4 * RELATIVE_ERROR)
        assert column.distinct_error == pytest.approx(RELATIVE_ERROR, rel=0.01)
        listed = dict(column.top)
        unlisted = counts.filter(~pl.col(name).cast(pl.String).is_in(list(listed)))["count"].max()
        assert unlisted <= column.top_error < 0.001 * MANY
    assert found["at"].maximum == (datetime(2026, 1, 1) + timedelta(microseconds=(MANY - 1) * 1_000_003)).isoformat()


def test_a_sketch_that_is_not_stored_holds_both_ends_whole():
    numbers = np.random.default_rng(6).lognormal(0, 3, 50_000)
    found = sketch(count_values(numbers), points=1_000)
    assert found.rank_error <= 1.05 / 999
    assert set(found.gaps[:50]) == set(found.gaps[-50:]) == {0}


def test_batches_are_let_go_once_they_are_profiled():
    held, most, rows = [], 0, 1 << 17

    class Numbers(np.ndarray):
        pass

    def batches():
        nonlocal most
        for _ in range(16):
            numbers = np.zeros(rows, np.int8).view(Numbers)
            held.append(weakref.ref(numbers))
            array = pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(numbers)])
            del numbers
            yield pa.record_batch({"x": array})
            del array
            gc.collect()
            most = max(most, sum(one() is not None for one in held))

    assert profile_batches(batches()).rows == 16 * rows
    assert 1 < most <= ROWS // rows + 2


def test_whole_numbers_that_doubles_do_not_tell_apart_are_one_point_of_a_sketch():
    numbers = 2**60 + np.arange(20_000)
    found = sketch(count_values(numbers), points=1_000)
    assert list(found.points) == sorted(set(found.points))
    assert found.rows == 20_000
