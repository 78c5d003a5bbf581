"""Suites and data that are wrong: each gives a verdict or an error that names column, rule and remedy."""

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from quality.suites.run import run_suite
from quality.suites.source import Source
from resources.errors import DeclarationError, SourceError


def expect(kind, **kwargs):
    return {"type": f"expect_{kind}", "kwargs": kwargs}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            expect("column_values_to_not_be_null", column="prise"),
            "column in expectation 0.*'prise'; did you mean 'price'",
        ),
        (expect("column_values_to_not_be_nul", column="price"), "did you mean 'expect_column_values_to_not_be_null'"),
        (
            expect("column_values_to_be_between", column="price", min_value=2, max_value=1),
            "expectation 0.*on price, cannot be evaluated: min_value cannot be greater",
        ),
        (
            expect("column_values_to_be_between", column="name", min_value=2),
            "on name, cannot be evaluated: .*same type",
        ),
        (expect("column_mean_to_be_between", column="name", min_value=2), "on name, cannot be evaluated"),
        (expect("column_values_to_match_regex", column="name", regex="("), "on name, cannot be evaluated"),
        (
            expect("column_values_to_not_be_null", column="name", row_condition="lost > 1", condition_parser="pandas"),
            "on name, cannot be evaluated: .*lost",
        ),
    ],
)
def test_what_cannot_be_judged_is_an_error_that_names_expectation_and_column(entry, message):
    with pytest.raises(DeclarationError, match=message):
        run_suite([entry], pl.DataFrame({"price": [1.0], "name": ["a"]}))


def test_an_empty_batch_and_a_column_of_nulls_get_verdicts():
    suite = [
        expect("column_values_to_be_unique", column="x"),
        expect("column_values_to_not_be_null", column="x"),
        expect("column_mean_to_be_between", column="x", max_value=1),
    ]
    nothing = pl.DataFrame({"x": []}, schema={"x": pl.Float64})
    nulls = pl.DataFrame({"x": [None, None]}, schema={"x": pl.Int64})
    assert [row.success for row in run_suite(suite, nothing).rows] == [True, True, False]
    assert [row.success for row in run_suite(suite, nulls).rows] == [True, False, False]


def test_infinities_are_values_out_of_any_range():
    frame = pl.DataFrame({"x": [1.0, float("inf"), float("-inf"), float("nan")]})
    row = run_suite([expect("column_values_to_be_between", column="x", min_value=-1e308, max_value=1e308)], frame).rows[
        0
    ]
    assert (row.success, row.unexpected_count) == (False, 2)


def test_clocks_of_two_zones_are_compared_as_moments_or_refused():
    berlin = datetime(2020, 6, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    frame = pl.DataFrame({"here": [berlin], "plain": [berlin.replace(tzinfo=None)]})
    late = expect("column_values_to_be_between", column="here", min_value=datetime(2020, 6, 1, 11, tzinfo=UTC))
    assert run_suite([late], frame).rows[0].unexpected_count == 1
    mixed = expect("column_pair_values_a_to_be_greater_than_b", column_A="here", column_B="plain")
    with pytest.raises(DeclarationError, match="on here, plain, cannot be evaluated"):
        run_suite([mixed], frame)


def test_enormous_texts_are_judged():
    frame = pl.DataFrame({"text": ["x" * 10_000_000, "y"]})
    row = run_suite([expect("column_value_lengths_to_be_between", column="text", max_value=1_000)], frame).rows[0]
    assert row.unexpected_count == 1


def test_five_thousand_columns_are_judged_in_a_few_queries():
    frame = pl.DataFrame({f"c{number}": [number, number + 1] for number in range(5_000)})
    suite = [expect("column_values_to_be_between", column=name, min_value=1) for name in frame.columns]
    suite += [expect("column_sum_to_be_between", column=name, min_value=1) for name in frame.columns]
    result = run_suite(suite, frame.lazy())
    assert [place for place, row in enumerate(result.rows) if not row.success] == [0]


def test_a_file_that_is_damaged_is_an_error_with_its_remedy(tmp_path):
    file = tmp_path / "damaged.parquet"
    pl.DataFrame({"x": [number * number % 7919 for number in range(10_000)]}).write_parquet(file, compression="zstd")
    data = file.read_bytes()
    file.write_bytes(data[:4] + data[1_000:])
    with pytest.raises(SourceError, match=r"cannot be read: .*; write the files anew"):
        run_suite([expect("column_sum_to_be_between", column="x", min_value=0)], pl.scan_parquet(file))


@pytest.mark.slow
def test_malformed_files_give_a_verdict_or_an_error_of_ours(shared_data):
    files = sorted((shared_data / "malformed_parquet").rglob("*.parquet"))
    assert files
    for file in files:
        with suppress(SourceError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            frame = pl.scan_parquet(file)
            names = list(Source.of(frame).schema)
            run_suite([expect("column_values_to_not_be_null", column=name) for name in names], frame)


def test_verdicts_need_neither_great_expectations_nor_pandas():
    code = """
import sys, polars as pl
from quality.suites.run import run_suite
suite = [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "x"}},
         {"type": "expect_column_median_to_be_between", "kwargs": {"column": "x", "min_value": 1}}]
print(run_suite(suite, pl.DataFrame({"x": [1, 1, 2]})).success, *{"great_expectations", "pandas"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_the_pandas_engine_judged_is_told_with_the_reason():
    frame = pl.DataFrame({"text": ['{"a": 1}', "x"]})
    suite = [
        expect("column_values_to_be_json_parseable", column="text"),
        expect("column_values_to_match_regex", column="text", regex="(?=x)x"),
        expect("column_values_to_be_unique", column="text"),
    ]
    result = run_suite(suite, frame)
    assert [row.unexpected_count for row in result.rows] == [1, 1, 0]
    by_pandas = result.genuine["meta"]["engine"]["by_pandas"]
    assert [(item["expectation"], item["columns"]) for item in by_pandas] == [(0, ["text"]), (1, ["text"])]
    assert by_pandas[0]["why"] == "a type that is not compiled"
    assert "regular expression beyond Rust's (assert)" in by_pandas[1]["why"]
