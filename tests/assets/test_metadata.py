"""What the web UI and the page of a report show of very many columns: what objects first, the rest counted."""

import polars as pl

from assets.checks.compared import of_drift
from assets.checks.suite import of_suite
from assets.metadata import MOST_ROWS
from assets.told import SHOWN
from quality.drift import drift
from quality.report import Entry, Report, Section
from quality.report_page import page
from quality.suites.run import run_suite

COLUMNS = [f"c{place}" for place in range(3_000)]
FRAME = pl.DataFrame({name: [place, place] for place, name in enumerate(COLUMNS)})


def suite():
    """Return expectations of which the last 200 fail."""
    limits = [1_000_000] * (len(COLUMNS) - 200) + [-1] * 200
    kind = "expect_column_values_to_be_between"
    return [
        {"type": kind, "kwargs": {"column": name, "max_value": high}}
        for name, high in zip(COLUMNS, limits, strict=True)
    ]


def test_of_thousands_of_expectations_those_that_fail_are_shown_and_the_others_counted():
    told = of_suite(run_suite(suite(), FRAME))
    results = told.shown["results"].value
    assert (told.shown["expectations"], told.shown["failed"]) == (3_000, 200)
    assert results.count("**no**") == 200
    assert f"and {3_000 - MOST_ROWS:,} more" in results
    assert told.reason.startswith("2800 of 3000 expectations hold; expect_column_values_to_be_between on c2800")
    assert told.reason.endswith(f"; and {200 + 1 - SHOWN} more")
    entry = Entry(name="results", kind="markdown", value=results)
    section = Section(stage="raw", check="expectations", verdict=told.verdict, reason=told.reason, digest="d", at="t",
                      run_id="r", entries=(entry,))  # fmt: skip
    assert len(page(Report(pipeline="p", partition="", registry="r", sections=(section,)))) < 300_000


def test_of_thousands_of_columns_that_drift_some_are_named_and_all_counted():
    few = FRAME.select(COLUMNS[:10])
    moved = drift(pl.concat([few] * 100), pl.concat([few + 7_000] * 100)) * 300
    told = of_drift(moved, columns=len(moved))
    assert told.shown["flagged"] == len(moved) == 3_000
    assert told.reason.endswith(f"; and {3_000 - SHOWN:,} more")
    assert f"and {3_000 - MOST_ROWS:,} more" in told.shown["table"].value
