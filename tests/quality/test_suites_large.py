"""Suites on more rows than are held at once, and on Parquet whose footers settle what they can: the same results."""

import random

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quality.suites import held, passes, ranks, source
from quality.suites.compiled import evaluate
from quality.suites.engine import answer, bundles
from quality.suites.footers import Footers
from quality.suites.format import Format
from quality.suites.needs import Order, Scalar
from quality.suites.ranks import Bracket, ordered
from quality.suites.run import run_suite
from quality.suites.source import Source
from tests.quality.upstream import frame_of


def expect(kind, **kwargs):
    return {"type": f"expect_{kind}", "kwargs": kwargs}


SUITE = [
    *(expect("column_values_to_be_unique", column=name) for name in "fs"),
    *(expect("column_unique_value_count_to_be_between", column=name, max_value=3) for name in "jf"),
    expect("column_median_to_be_between", column="j", min_value=0),
    *(
        expect(
            "column_quantile_values_to_be_between",
            column=name,
            quantile_ranges={"quantiles": [0, 0.01, 0.5, 1], "value_ranges": [[0, 1]] * 4},
            allow_relative_error=how,
        )
        for name, how in (("big", "linear"), ("f", False))
    ),
    expect("column_most_common_value_to_be_in_set", column="f", value_set=[1]),
    expect("column_distinct_values_to_be_in_set", column="f", value_set=[1]),
    expect("compound_columns_to_be_unique", column_list=["f", "b"]),
    expect("column_values_to_not_be_outliers", column="g", multiplier=0.2),
]


@pytest.fixture
def small_limits(monkeypatch):
    """Let a handful of rows count as more than memory holds."""
    monkeypatch.setattr(source, "LARGE_ROWS", 3)
    monkeypatch.setattr(source, "_SAMPLE_ROWS", 8)
    monkeypatch.setattr(source, "_SAMPLE_PLACES", 2)
    monkeypatch.setattr(passes, "_ROWS_PER_PASS", 4)
    monkeypatch.setattr(passes, "_HELD", 2)
    monkeypatch.setattr(ranks, "_DEVIATIONS", 0.1)
    monkeypatch.setattr(ranks, "_INSIDE", 2)


_ROWS = st.lists(
    st.tuples(
        st.integers(-30, 30),
        st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1e300, -1e300])
        | st.floats(-9, 9)
        | st.floats(allow_nan=False),
        st.sampled_from(["a", "b", "", "Ä"]),
        st.integers(0, 255),
    ),
    max_size=20,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=_ROWS)
def test_passes_and_brackets_find_what_one_look_at_all_values_finds(rows, small_limits):
    frame = frame_of(rows)
    in_passes = evaluate(Source.of(frame.lazy()), SUITE, Format.of("COMPLETE"))
    with pytest.MonkeyPatch.context() as at_once:
        at_once.setattr(source, "LARGE_ROWS", 10**9)
        at_once.setattr(passes, "_ROWS_PER_PASS", 10**9)
        held = evaluate(Source.of(frame), SUITE, Format.of("COMPLETE"))
    signless = (str(found.outcomes).replace("-0.0", "0.0") for found in (in_passes, held))  # zeros are equal
    assert next(signless) == next(signless)
    assert in_passes.unsettled == held.unsettled


ASKED = [
    *SUITE,
    expect("column_values_to_be_between", column="j", min_value=0),
    expect("column_values_to_be_increasing", column="f"),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="j", column_B="b"),
    expect("column_distinct_values_to_equal_set", column="s", value_set=["a"]),
    expect("column_values_to_not_be_null", column="f"),
]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=_ROWS)
def test_columns_in_blocks_of_one_say_what_all_columns_in_one_say(rows, monkeypatch):
    frame = frame_of(rows)
    together = evaluate(Source.of(frame), ASKED, Format.of("COMPLETE"))
    with monkeypatch.context() as few:
        few.setattr(held, "LARGE_ROWS", max(1, 2 * frame.height))
        few.setattr(held, "_NEEDS", 1)
        apart = evaluate(Source.of(frame.lazy()), ASKED, Format.of("COMPLETE"))
    assert str(apart.outcomes) == str(together.outcomes)
    assert apart.unsettled == together.unsettled


def test_a_query_that_is_refused_leaves_the_other_expectations_compiled():
    columns = [f"c{place}" for place in range(9)]
    frame = pl.DataFrame({name: [1, 2] for name in columns})
    asked = list[str]()

    def answering(rows, needs):
        asked.append("")
        if any("c5" in repr(need.key) for need in needs):
            raise pl.exceptions.ComputeError("not this column")
        return answer(rows, needs)

    suite = [expect("column_sum_to_be_between", column=name, min_value=0) for name in columns]
    found = evaluate(Source.of(frame), suite, Format.of("SUMMARY"), answering=answering)
    assert set(found.unsettled) == {5}
    assert set(found.outcomes) == set(range(9)) - {5}
    assert len(asked) < len(columns)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(allow_nan=False) | st.integers(-3, 3).map(float), min_size=1, max_size=20),
    ends=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
)
def test_ranks_outside_a_bracket_are_found_by_further_passes(values, ends, small_limits):
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    need = Order("x", pl.col("x"), (0.5,))
    kept = Bracket(intervals=((min(ends), max(ends)),))
    order = ordered(Source.of(frame), need, kept)
    assert [order.at(rank) for rank in range(len(values))] == sorted(values)


def parquet(tmp_path, frame, group_rows):
    tmp_path.mkdir(exist_ok=True)
    file = tmp_path / "data.parquet"
    frame.write_parquet(file, row_group_size=group_rows, use_pyarrow=True)
    return Source.of(pl.scan_parquet(file), footers=[pq.read_metadata(file)])


NUMBERS = pl.DataFrame(
    {
        "id": range(100),
        "part": [number // 50 for number in range(100)],
        "price": [float(number % 7) for number in range(100)],
        "maybe": [None if number % 10 == 0 else number for number in range(100)],
        "name": [str(number) for number in range(100)],
    }
)
SETTLED = [
    expect("table_row_count_to_equal", value=100),
    expect("column_values_to_not_be_null", column="name"),
    expect("column_values_to_be_between", column="id", min_value=0, max_value=99),
    expect("column_values_to_be_in_set", column="part", value_set=[0, 1, 2]),
    expect("column_max_to_be_between", column="price", max_value=6),
    expect("column_proportion_of_non_null_values_to_be_between", column="maybe", min_value=0.9),
    expect("column_type_to_be", column="maybe", type_="float64"),
]


def test_footers_settle_counts_nulls_bounds_and_sets_without_reading(tmp_path):
    result = run_suite(SETTLED, parquet(tmp_path, NUMBERS, 30))
    assert result.success
    assert result.genuine["meta"]["engine"]["without_reading"] == len(SETTLED)


def test_without_footers_the_results_are_the_same(tmp_path):
    suite = [
        *SETTLED,
        expect("column_values_to_be_unique", column="id"),
        expect("column_values_to_be_unique", column="part"),
    ]
    by_footers = run_suite(suite, parquet(tmp_path, NUMBERS, 30))
    for data in (NUMBERS, NUMBERS.lazy(), NUMBERS.to_arrow()):
        assert run_suite(suite, data).genuine["results"] == by_footers.genuine["results"]


def test_rows_that_ascend_inside_and_between_row_groups_are_unique_but_others_are_counted(tmp_path):
    suite = [expect("column_values_to_be_unique", column="id")]
    shuffled = NUMBERS.with_columns(pl.col("id").shuffle(seed=1))
    doubled = NUMBERS.with_columns(pl.when(pl.col("id") == 11).then(10).otherwise("id").alias("id"))
    counts = [
        run_suite(suite, parquet(tmp_path, frame, 30)).rows[0].unexpected_count
        for frame in (NUMBERS, shuffled, doubled)
    ]
    assert counts == [0, 0, 2]


def test_columns_of_one_expression_stay_in_one_bundle_and_large_ones_are_apart(tmp_path):
    rows = parquet(tmp_path, NUMBERS, 100)
    wide = dict.fromkeys(NUMBERS.columns, 20 * 2**20)
    needs = [Scalar(name, pl.col(name).sum()) for name in ("id", "part", "price")]
    needs.append(Scalar("both", (pl.col("id") + pl.col("price")).sum()))
    assert len(bundles(rows, needs)) == 1

    class Wide(Footers):
        def largest_bytes(self, name):
            return wide[name]

    told = Wide(rows=100, group_rows=(100,), groups={})
    large = Source(frame=rows.frame, schema=rows.schema, rows=100, nulls={}, footers=told)
    assert [{need.key for need in some} for some in bundles(large, needs)] == [{"part"}, {"id", "price", "both"}]


@pytest.mark.slow
def test_a_column_of_many_values_in_random_order_is_judged_in_passes(tmp_path):
    count = 3_000_000
    order = list(range(count))
    random.Random(3).shuffle(order)
    order[7] = order[2_999_000]
    frame = pl.DataFrame({"id": order})
    suite = [
        expect("column_values_to_be_unique", column="id"),
        expect("column_median_to_be_between", column="id", min_value=count / 2 - 2, max_value=count / 2 + 1),
    ]
    found, middle = run_suite(suite, parquet(tmp_path, frame, 250_000)).genuine["results"]
    assert found["result"]["partial_unexpected_index_list"] == [7, 2_999_000]
    assert middle["result"]["observed_value"] == frame["id"].median()
