"""Results of compiled suites as Great Expectations' own objects, in its own stores and pages."""

import warnings
from datetime import UTC, datetime

import polars as pl
import pytest

from quality.suites.docs import genuine_result, write_data_docs
from quality.suites.run import run_suite

FRAME = pl.DataFrame({"hr": [0, 5, 24], "season": ["spring", None, "wnter"]})
SUITE = {
    "name": "rides",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "hr", "max_value": 23},
            "severity": "warning",
        },
        {
            "type": "expect_column_quantile_values_to_be_between",
            "kwargs": {"column": "hr", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 23]]}},
        },
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {
                "column": "season",
                "value_set": ["spring"],
                "row_condition": "hr > 1",
                "condition_parser": "pandas",
            },
        },
        {"type": "expect_column_values_to_be_json_parseable", "kwargs": {"column": "season", "mostly": 0.1}},
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 3}, "meta": {"why": "three"}},
    ],
}


def test_a_result_is_the_librarys_own_object_with_its_vocabulary_of_severities():
    made = genuine_result(run_suite(SUITE, FRAME))
    assert type(made).__module__ == "great_expectations.core.expectation_validation_result"
    assert [item.success for item in made.results] == [False, True, False, False, True]
    assert str(made.get_max_severity_failure().value) == "critical"
    told = made.to_json_dict()
    assert told["statistics"]["successful_expectations"] == 2
    assert told["results"][4]["expectation_config"]["meta"] == {"why": "three"}


@pytest.mark.slow  # renders the pages
def test_data_docs_show_what_failed(tmp_path):
    moment = datetime(2020, 1, 2, 3, tzinfo=UTC)
    page = write_data_docs(SUITE, run_suite(SUITE, FRAME), tmp_path, run_time=moment)
    assert page.name == "index.html"
    pages = {path.relative_to(page.parent).parts[0] for path in page.parent.rglob("*.html")}
    assert {"index.html", "expectations", "validations"} <= pages
    shown = next((page.parent / "validations").rglob("*.html")).read_text(encoding="utf-8")
    assert "wnter" in shown
    assert "20200102T030000" in str(list((page.parent / "validations").rglob("*.html")))


@pytest.mark.slow  # loads Great Expectations, eight seconds of CPU
def test_a_suite_of_the_librarys_own_objects_is_compiled():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        import great_expectations.expectations as gxe
        from great_expectations.expectations.row_conditions import Column

        suite = gx.ExpectationSuite(
            "mine",
            expectations=[
                gxe.ExpectColumnValuesToBeBetween(column="hr", max_value=5, row_condition=Column("hr") > 4),
                gxe.ExpectTableRowCountToEqual(value=4, severity="info"),
            ],
        )
    result = run_suite(suite, FRAME)
    assert [(row.success, row.unexpected_count) for row in result.rows] == [(False, 1), (False, None)]
    assert (result.genuine["suite_name"], result.genuine["meta"]["engine"]["by_pandas"]) == ("mine", [])
