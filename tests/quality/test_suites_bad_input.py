"""Suites and data that are wrong: each gives a verdict or an error that names column, rule and remedy."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from quality.profile import profile
from quality.suites.compiled import evaluate
from quality.suites.format import Format
from quality.suites.plain import plain
from quality.suites.run import run_suite
from quality.suites.source import Source
from resources.errors import ContractError, DeclarationError, SourceError
from tests.quality import bad_tables
from tests.quality.upstream import alike, oracle, unordered


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


def test_enormous_texts_leave_results_small_and_texts_of_ten_thousand_characters_whole():
    short, frame = "y" * 10_000, pl.DataFrame({"text": ["x" * 10_000_000, "y" * 10_000, "z"]})
    suite = [
        expect("column_values_to_match_regex", column="text", regex="^z"),
        expect("column_distinct_values_to_be_in_set", column="text", value_set=["z"]),
        expect("column_most_common_value_to_be_in_set", column="text", value_set=["z"]),
    ]
    result = run_suite(suite, frame.lazy())
    assert len(json.dumps(result.to_json())) < 100_000
    shown = f"{'x' * 200}… (10,000,000 characters)"
    assert result.genuine["results"][0]["result"]["partial_unexpected_list"] == [shown, short]
    assert result.rows[0].examples == (shown, f"{'y' * 200}… (10,000 characters)")


def test_times_that_numpy_and_pandas_take_for_missing_are_missing():
    times = np.array(["2020-01-01T00:00", "NaT"], "datetime64[ns]")
    null = expect("column_values_to_not_be_null", column="x")
    for data in (
        pl.DataFrame({"x": times}),
        pl.DataFrame({"x": times.astype("datetime64[us]")}).lazy(),
        pa.table({"x": times}),
        pa.table({"x": pa.array(times, from_pandas=False)}),
    ):
        assert run_suite([null], data).rows[0].unexpected_count == 1


MANY = pl.select(pl.format("value {}", pl.int_range(200_000))).to_series().shuffle(seed=1).alias("x")


def test_a_text_of_very_many_different_values_is_judged():
    allowed = [f"value {place}" for place in range(100_000)]
    suite = [
        expect("column_values_to_be_unique", column="x"),
        expect("column_unique_value_count_to_be_between", column="x", min_value=200_000, max_value=200_000),
        expect("column_values_to_be_in_set", column="x", value_set=allowed),
        expect("column_distinct_values_to_contain_set", column="x", value_set=allowed),
    ]
    for data in (MANY.to_frame(), pl.concat([MANY, MANY[:1]]).to_frame().lazy()):
        once = isinstance(data, pl.DataFrame)
        found = run_suite(suite, data)
        assert [row.success for row in found.rows] == [once, True, False, True]
        assert found.rows[0].unexpected_count == (0 if once else 2)
        assert found.rows[2].unexpected_count == 100_000 + (not once and MANY[0] not in set(allowed))


def test_an_enumeration_of_very_many_categories_is_told_by_their_number():
    frame = MANY.cast(pl.Enum(MANY.sort())).to_frame()
    found = evaluate(Source.of(frame), [expect("column_values_to_be_unique", column="x")], Format.of("SUMMARY"))
    assert found.unsettled == {0: "a column of the type Enum of 200,000 categories"}


def test_many_columns_that_fail_take_few_queries(monkeypatch):
    frame = pl.DataFrame({f"c{number}": [number, number + 1, number] for number in range(500)})
    kinds = (
        ("column_values_to_be_between", {"max_value": -1}),
        ("column_values_to_be_unique", {}),
        ("column_median_to_be_between", {"min_value": 0}),
    )
    suite = [expect(kind, column=name, **limits) for name in frame.columns for kind, limits in kinds]
    queries = list[int]()
    collect = pl.LazyFrame.collect
    monkeypatch.setattr(
        pl.LazyFrame, "collect", lambda *given, **named: (queries.append(1), collect(*given, **named))[1]
    )
    result = run_suite(suite, frame.lazy())
    assert [row.success for row in result.rows] == [False, False, True] * 500
    assert result.rows[4].examples == ("1", "1")
    assert len(queries) < 20


def test_a_file_that_is_damaged_is_an_error_with_its_remedy(tmp_path):
    file = tmp_path / "damaged.parquet"
    pl.DataFrame({"x": [number * number % 7919 for number in range(10_000)]}).write_parquet(file, compression="zstd")
    data = file.read_bytes()
    file.write_bytes(data[:4] + data[1_000:])
    with pytest.raises(SourceError, match=r"cannot be read: .*; write the files anew"):
        run_suite([expect("column_sum_to_be_between", column="x", min_value=0)], pl.scan_parquet(file))


def told_of(file):
    """Return what suite and profile say of each column of a file: a result, or an error of ours."""
    told = []
    for measured in (lambda frame: run_suite(suite_of(frame), frame), profile):
        try:
            told.append(measured(pl.scan_parquet(file)))
        except SourceError as error:
            told.append(error)
    return told


def suite_of(frame):
    return [expect("column_values_to_not_be_null", column=name) for name in Source.of(frame).schema]


def test_malformed_files_give_a_result_or_an_error_of_ours_and_panics_stay_quiet(shared_data, capfd):
    files = {file.stem: file for file in (shared_data / "malformed_parquet").glob("*.parquet")}
    found = {name: told_of(file) for name, file in files.items()}
    assert capfd.readouterr().err == ""
    refused = {"ARROW-GH-41317", "ARROW-GH-41321", "ARROW-GH-47662", "ARROW-RS-GH-6229-DICTHEADER", "PARQUET-1481"}
    assert {name for name, told in found.items() if all(isinstance(one, SourceError) for one in told)} == refused
    for name in refused:
        assert all("write the files anew" in str(error) for error in found[name])


def test_what_others_write_while_a_file_is_read_comes_out(capfd, tmp_path):
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")

    def noisy(part):
        os.write(2, b"a warning\n")
        return part

    frame = pl.scan_parquet(tmp_path / "x.parquet").map_batches(noisy)
    assert run_suite([expect("column_values_to_be_unique", column="x")], frame).success
    assert "a warning" in capfd.readouterr().err


def test_a_file_that_panics_beside_others_is_told_and_the_error_output_comes_back(shared_data, capfd):
    file = shared_data / "malformed_parquet" / "ARROW-GH-47662.parquet"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(told_of, [file] * 4))
    assert all(isinstance(told[0], SourceError) for told in found)
    os.write(2, b"back")
    assert capfd.readouterr().err.endswith("back")


@pytest.mark.parametrize(
    "entry",
    [
        expect("column_distinct_values_to_be_in_set", column="price", value_set=[]),
        expect("column_values_to_be_in_set", column="price", value_set=None),
        expect("column_mean_to_be_between", column="void", min_value="a"),
        expect("column_quantile_values_to_be_between", column="price", quantile_ranges={}),
        expect("column_pair_values_to_be_in_set", column_A="price", column_B="name", value_pairs_set=[1]),
        expect("column_to_exist", column="price", column_index="a"),
        expect("table_columns_to_match_set", column_set=5),
        expect("table_columns_to_match_ordered_list", column_list=5),
        expect("compound_columns_to_be_unique", column_list=5),
        expect("column_values_to_be_between", column="price", min_value={"$PARAMETER": "low"}),
        {**expect("column_values_to_not_be_null", column="price"), "meta": 5},
    ],
)  # fmt: skip
def test_arguments_of_another_form_are_errors_of_the_suite(entry):
    frame = pl.DataFrame({"price": [1.0], "name": ["a"], "void": [None]}, schema_overrides={"void": pl.Float64})
    with pytest.raises(DeclarationError):
        run_suite([entry], frame)


@pytest.mark.parametrize(("data", "form"), [(None, "SUMMARY"), ("a.csv", "SUMMARY"), (5, "SUMMARY")])
def test_what_is_no_table_is_refused(data, form):
    with pytest.raises(SourceError, match="give a Polars frame, an Arrow table or a Source"):
        run_suite([], data, result_format=form)


def test_a_result_format_that_is_none_is_refused():
    with pytest.raises(DeclarationError, match="result_format is 5"):
        run_suite([], pl.DataFrame({"x": [1]}), result_format=5)


def test_values_that_pandas_cannot_take_are_named_with_column_and_rule():
    frame = pl.DataFrame({"x": pl.Series([2**100], dtype=pl.Int128)})
    with pytest.raises(ContractError, match=r"'x', Int128, .* cast it, .*expect_column_values_to_be_unique"):
        run_suite([expect("column_values_to_be_unique", column="x")], frame)


BAD = {
    **{name: table for name, table in bad_tables.columns().items() if name != "int128"},
    "nanoseconds read as milliseconds": bad_tables.far_columns()["nanoseconds read as milliseconds"],
}


def entries():
    """Yield expectations about x, beside its copy y."""
    for name in ("not_be_null", "be_null", "be_unique", "be_increasing", "be_decreasing"):
        yield expect(f"column_values_to_{name}", column="x")
    for values in ([1, 2, "a"], ["a", ""], [0], [True], [1.5]):
        for name in ("values_to_be_in_set", "distinct_values_to_contain_set", "most_common_value_to_be_in_set"):
            yield expect(f"column_{name}", column="x", value_set=values)
    for name in ("values", "max", "min", "mean", "median", "stdev", "sum"):
        for limits in ({"min_value": 0}, {"min_value": -1e308, "max_value": 1e308}):
            yield expect(f"column_{name}_to_be_between", column="x", **limits)
    ranges = {"quantiles": [0, 0.5, 1], "value_ranges": [[0, 1], [None, 1], [0, None]]}
    for how in (False, "linear"):
        yield expect(
            "column_quantile_values_to_be_between", column="x", quantile_ranges=ranges, allow_relative_error=how
        )
    yield expect("column_value_z_scores_to_be_less_than", column="x", threshold=1, double_sided=True)
    yield expect("column_values_to_match_regex", column="x", regex=".*\0")
    yield expect("compound_columns_to_be_unique", column_list=["x", "y"])
    yield expect("column_pair_values_a_to_be_greater_than_b", column_A="x", column_B="y")
    yield expect("table_row_count_to_equal", value=1, row_condition="x.isnull()", condition_parser="pandas")


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["infinities", "float32", "uint64", "old times", "NUL texts", "no rows of float32"])
def test_what_is_compiled_of_bad_columns_says_what_the_library_says(bad):
    _differ_nowhere(bad)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("bad", BAD)
def test_what_is_compiled_of_any_bad_column_says_what_the_library_says(bad):
    _differ_nowhere(bad)


def _differ_nowhere(bad):
    frame = BAD[bad].with_columns(y=pl.col("x"))
    asked = list(entries())
    found = evaluate(Source.of(frame), asked, Format.of("SUMMARY")).outcomes
    theirs = oracle([asked[place] for place in found], frame)
    for (place, ours), told in zip(found.items(), theirs, strict=True):
        assert isinstance(told, tuple), (asked[place], ours, told)
        assert ours.success == told[0], (asked[place], ours, told)
        assert alike(unordered(plain(ours.result)), unordered(told[1]), 1e-5), (asked[place], ours, told)


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
