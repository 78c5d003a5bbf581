"""Great Expectations suites: declared wrongly, run by the genuine library."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime

import polars as pl
import pytest

from quality.suites.arguments import ARGUMENTS, COMMON_ARGUMENTS, SQL_ONLY, arguments
from quality.suites.declared import check_suite
from quality.suites.result import suite_from_json
from quality.suites.run import run_suite
from resources.canonical import canonical_json, parse_json
from resources.errors import DeclarationError

RIDES = pl.DataFrame(
    {
        "hr": [0, 1, 2, 3, 24],
        "season": ["spring", "spring", "summer", None, "wnter"],
        "temp": [0.1, 0.2, float("nan"), 0.4, 0.5],
        "when": [datetime(2011, 1, 1, hour, tzinfo=UTC) for hour in range(5)],
        "day": [date(2011, 1, 1)] * 5,
        "unnamed": [1, 2, 3, 4, 5],
    }
)


def expect(kind, severity="critical", **kwargs):
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


@pytest.mark.slow  # loads Great Expectations, eight seconds of CPU
def test_the_table_of_expectations_is_what_the_library_registers():
    code = """
import os, warnings
os.environ["GX_ANALYTICS_ENABLED"] = "false"
warnings.simplefilter("ignore")
import great_expectations.expectations.core
from great_expectations.expectations import registry
shared = {"id", "meta", "notes", "description", "rendered_content", "severity", "windows", "library_metadata"}
for name in sorted(registry.list_registered_expectation_implementations()):
    fields = registry.get_expectation_impl(name).__fields__
    print(name, *sorted(k + "*" * bool(f.required) for k, f in fields.items() if k not in shared))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    ours = {name: {*text.split(), *COMMON_ARGUMENTS} for name, text in ARGUMENTS.items()}
    assert {line.split()[0]: set(line.split()[1:]) for line in told.splitlines()} == ours


def test_results_come_in_the_order_of_the_suite_with_counts_and_examples():
    suite = [
        expect("column_values_to_be_between", "warning", column="hr", min_value=0, max_value=23),
        expect("column_values_to_be_in_set", "info", column="season", value_set=["spring", "summer"]),
        expect("column_mean_to_be_between", column="hr", min_value=0),
    ]
    rows = run_suite(suite, RIDES).rows
    assert [(row.type, row.column, row.success) for row in rows] == [
        ("expect_column_values_to_be_between", "hr", False),
        ("expect_column_values_to_be_in_set", "season", False),
        ("expect_column_mean_to_be_between", "hr", True),
    ]
    assert (rows[0].unexpected_count, rows[0].unexpected_percent, rows[0].examples) == (1, 20.0, ("24",))
    assert (rows[1].unexpected_count, rows[1].unexpected_percent, rows[1].examples) == (1, 25.0, ("wnter",))
    assert rows[2].observed == "6.0"


@pytest.mark.parametrize(
    ("severities", "severity", "verdict"),
    [
        (["info", "warning", "critical"], "critical", "block"),
        (["warning", "info"], "warning", "warn"),
        (["info"], "info", "pass"),
    ],
)
def test_the_worst_severity_among_failures_decides_the_verdict(severities, severity, verdict):
    failing = [expect("column_values_to_be_between", s, column="hr", max_value=23) for s in severities]
    met = expect("column_values_to_not_be_null", "critical", column="hr")
    result = run_suite([met, *failing], RIDES)
    assert (result.success, result.severity, result.verdict) == (False, severity, verdict)


def test_a_suite_that_is_met_has_no_severity():
    result = run_suite({"name": "mine", "expectations": [expect("table_row_count_to_equal", value=5)]}, RIDES)
    assert (result.success, result.severity, result.verdict) == (True, None, "pass")


def test_the_librarys_own_result_is_canonical_json_even_for_quantiles():
    ranges = {"quantiles": [0.5], "value_ranges": [[0, 1]]}
    suite = [expect("column_quantile_values_to_be_between", column="temp", quantile_ranges=ranges)]
    result = run_suite(suite, RIDES)
    genuine = parse_json(canonical_json(result.genuine))
    assert genuine["results"][0]["success"] is True
    assert genuine["meta"]["great_expectations_version"].startswith("1.")


def test_equal_data_give_equal_results_from_polars_and_arrow():
    suite = [
        expect("column_values_to_be_unique", column="hr"),
        expect("column_max_to_be_between", column="when", max_value=RIDES["when"][3]),
    ]
    from_polars, from_arrow = run_suite(suite, RIDES), run_suite(suite, RIDES.to_arrow())
    assert canonical_json(from_polars.to_json()) == canonical_json(from_arrow.to_json())


def test_a_result_reads_back_from_its_json():
    result = run_suite([expect("column_values_to_be_between", column="hr", max_value=23)], RIDES)
    assert suite_from_json(parse_json(canonical_json(result.to_json()))) == result


def test_columns_that_no_expectation_names_still_count_as_columns():
    suite = [
        expect("table_columns_to_match_ordered_list", column_list=RIDES.columns),
        expect("table_column_count_to_equal", value=6),
        expect("column_to_exist", column="lost", severity="info"),
    ]
    assert [row.success for row in run_suite(suite, RIDES).rows] == [True, True, False]


def test_a_condition_may_name_another_column():
    suite = [
        expect(
            "column_values_to_be_between",
            column="hr",
            max_value=23,
            row_condition="unnamed < 5",
            condition_parser="pandas",
        )
    ]
    assert run_suite(suite, RIDES).success


def test_an_empty_partition_can_be_checked():
    suite = [
        expect("column_values_to_not_be_null", column="hr"),
        expect("table_row_count_to_be_between", min_value=1),
        expect("column_mean_to_be_between", column="temp", min_value=0),
    ]
    assert [row.success for row in run_suite(suite, RIDES.head(0)).rows] == [True, False, False]


def test_an_expectation_keeps_its_own_id_and_meta():
    suite = [{**expect("column_to_exist", column="hr"), "id": "mine", "meta": {"why": "joins"}, "notes": "n"}]
    config = run_suite(suite, RIDES).genuine["results"][0]["expectation_config"]
    assert (config["id"], config["meta"]) == ("mine", {"why": "joins"})


def test_nothing_is_printed(capfd):
    run_suite([expect("column_values_to_not_be_null", column=name) for name in RIDES.columns], RIDES)
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


@pytest.mark.slow
def test_running_a_suite_calls_nobody():
    code = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print(event, arguments)
sys.addaudithook(hook)
import os, polars as pl
from quality.suites.run import run_suite
suite = [{"type": "expect_column_values_to_be_dateutil_parseable", "kwargs": {"column": "x"}}]  # judged by the library
assert run_suite(suite, pl.DataFrame({"x": ["2026-01-01"]})).success
assert "great_expectations" in sys.modules
print(os.environ["GX_ANALYTICS_ENABLED"])
"""
    environment = {name: value for name, value in os.environ.items() if name != "GX_ANALYTICS_ENABLED"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "false\n"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"type": "expect_column_values_to_not_be_nul", "kwargs": {}},
            "did you mean 'expect_column_values_to_not_be_null'",
        ),
        (expect("column_to_exist", colum="hr"), "'colum'; did you mean 'column'"),
        (expect("column_values_to_be_in_set", column="hr"), "argument 'value_set' is missing"),
        (expect("column_to_exist", "criticl", column="hr"), "'criticl'; did you mean 'critical'"),
        (expect("column_values_to_not_be_null", column="hour"), "unknown column .* 'hour'"),
        ({"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "x"}}, "needs a SQL database"),
        ({"kwargs": {}}, 'expected an object with "type"'),
        ({**expect("column_to_exist", column="hr"), "kwarg": {}}, "'kwarg'; did you mean 'kwargs'"),
        ({"type": "expect_column_to_exist", "kwargs": ["hr"]}, "kwargs is"),
    ],
)
def test_a_wrong_suite_fails_when_it_is_declared(entry, message):
    with pytest.raises(DeclarationError, match=message):
        check_suite([entry], columns=RIDES.columns)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (expect("column_values_to_not_be_null", column="hr", mostly=7), "mostly: .*less than or equal to 1"),
        (expect("column_values_to_be_between", column="hr"), "min_value and max_value cannot both be None"),
        (expect("column_values_to_be_between", column="season", min_value=1), "on season, cannot be evaluated"),
    ],
)
def test_an_expectation_that_cannot_be_evaluated_is_an_error_and_no_failed_check(entry, message):
    with pytest.raises(DeclarationError, match=message):
        run_suite([entry], RIDES)


def test_a_suite_of_another_form_is_refused():
    with pytest.raises(DeclarationError, match="a suite is a list of expectations"):
        check_suite({"expectation": []})


def test_every_expectation_that_is_refused_as_sql_has_arguments():
    assert set(ARGUMENTS) >= SQL_ONLY
    assert all(arguments(kind)[0] for kind in SQL_ONLY)
