"""Every measure on every bad column: a result that is finite JSON, or an error that names the column and the remedy."""

import json
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from quality.anomalies.metrics import Metric
from quality.contract import Contract
from quality.contract.columns import check_columns, check_schema
from quality.contract.rows import split
from quality.dependence import cuts, dependence
from quality.drift import drift, multivariate_drift
from quality.label_free.classification import expect_classifier, fit_classifier
from quality.label_free.regression import expect_regressor, fit_regressor
from quality.leakage import single_feature_auc
from quality.point_in_time import AsOf, point_in_time
from quality.profile import Profile, merge, profile
from quality.profile_picture import profile_picture
from quality.references import judge_references
from quality.repeats import judge_repeats, sketch_rows
from quality.report import Entry, Report, Section
from quality.report_page import page
from quality.skew import SkewRule, skew
from quality.suggestions import as_yaml, suggest
from quality.suites.declared import check_suite
from quality.suites.run import run_suite
from quality.suites.source import Source
from quality.traits import traits
from resources.errors import ContractError, DeclarationError, PenstockError
from tests.quality import bad_tables

COLUMNS = bad_tables.columns()
FAR = bad_tables.far_columns()
RULE = SkewRule(keys=("k",), time="t")
AS_OF = AsOf(keys=("k",), at="t", happened="t")


def as_json(value):
    """Return JSON text; infinities and NaN in it would raise."""
    return json.dumps(value, allow_nan=False)


def keyed(frame, name="x"):
    """Return `frame` with a key and a time."""
    rows = frame.height
    times = [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(rows)]
    return frame.with_columns(pl.Series("k", range(rows), pl.Int64), pl.Series("t", times, pl.Datetime("us")))


def reversed_(frame):
    return frame.with_columns(frame.to_series(0).reverse())


def measure_profile(frame):
    made = profile(frame)
    assert as_json(Profile.from_json(json.loads(as_json(made.to_json()))).to_json()) == as_json(made.to_json())
    assert merge([made, made]).rows == 2 * frame.height == 2 * profile(frame.lazy()).rows
    assert profile_picture("x", made)


def measure_drift(frame):
    for options in ({}, {"categorical": frame.columns}, {"clusters": (range(frame.height), range(frame.height))}):
        tests = drift(frame, reversed_(frame), columns=frame.columns, **options)
        assert not any(test.flagged for test in tests)
        as_json([test.to_json() for test in tests])


def measure_skew(frame):
    table = keyed(frame)
    assert skew(table, table, RULE).verdict == "pass"
    as_json(skew(table, keyed(reversed_(frame)), RULE).to_json())
    renamed = keyed(frame.rename({"x": "y"})).with_columns(one=1)
    as_json(skew(table.with_columns(one=1), renamed, RULE).to_json())


def measure_point_in_time(frame):
    table = keyed(frame)
    joined = point_in_time(table.select("k", "t"), table, AS_OF)
    assert joined.select("x").equals(frame)
    point_in_time(table.select("k", "x"), table, AsOf(keys=("k",), at="x", happened="x", arrived="x"))


def measure_small(frame):
    as_json(traits(frame))
    assert [found.verdict for found in judge_repeats(sketch_rows(frame), {"a": sketch_rows(frame)})]
    beside = frame.with_columns(pl.Series("y", ["a", "b"] * 3)[: frame.height])
    as_json([[*pair, value] for pair, value in dependence(beside, cuts(beside)).items()])
    as_json(single_feature_auc(frame.with_columns(pl.Series("y", [0, 1] * 3)[: frame.height]), "y"))
    single_feature_auc(beside, "x")


def measure_references(frame):
    judge_references(frame.to_series(), frame.to_series().clear(), table="others")
    assert judge_references(frame.to_series(), frame.to_series(), table="others").verdict == "pass"


def measure_contract(frame):
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    for kind in ("int8", "uint64", "float32", "string", "bool", "date32", "timestamp[us, tz=UTC]", "time64[us]",
                 "duration[us]", "decimal128(10, 2)", "binary"):  # fmt: skip
        contract = Contract(columns={"x": kind})
        if told := refusal(table.schema, contract):
            assert "'x' is" in told
            continue
        parts = split(table, contract)
        assert parts.kept.num_rows + parts.rejected.num_rows == frame.height


def refusal(schema, contract):
    """Return why a contract refuses a schema, or None."""
    try:
        check_schema(schema, contract)
    except ContractError as error:
        return str(error)
    return None


def measure_suggestions(frame):
    many = pl.concat([frame] * 200) if frame.height else frame
    made = profile(many)
    found = suggest({"a": made, "b": made, "c": made}, frame.to_arrow().schema)
    assert as_yaml(found)
    check_suite(found.suite())
    if not isinstance(frame.schema["x"], (pl.Decimal, pl.Duration)):  # those the pandas engine judges
        assert run_suite(found.suite(), many).success


MEASURES = {
    "profile": measure_profile,
    "drift": measure_drift,
    "skew": measure_skew,
    "point in time": measure_point_in_time,
    "small": measure_small,
    "references": measure_references,
    "contract": measure_contract,
    "suggestions": measure_suggestions,
}
_NO_ARROW = {("contract", "int128"), ("suggestions", "int128")}
"""Arrow has no such type, so no contract can be asked."""


@pytest.mark.parametrize("bad", COLUMNS)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_bad_column_gives_a_result_or_an_error_that_names_it(measure, bad):
    if (measure, bad) in _NO_ARROW:
        return
    told = "x: a result"
    try:
        MEASURES[measure](COLUMNS[bad])
    except PenstockError as error:
        told = str(error)
    assert any(part in told for part in ("x", "no rows", "column type"))
    assert ":" in told


@pytest.mark.parametrize("bad", FAR)
def test_dates_that_python_has_not_are_refused_by_name_where_they_must_be_shown(bad):
    frame = FAR[bad]
    assert profile(frame).columns["x"].count == 5
    table = keyed(frame)
    finer = table.with_columns(pl.lit(None, dtype=pl.Datetime("ns")).alias("x"))
    for compared in (
        lambda: skew(table, table, RULE),
        lambda: judge_references(frame.to_series(), frame.to_series(), table="others"),
        lambda: point_in_time(table, finer, AsOf(keys=("k",), at="x", happened="x"), prefix="then "),
    ):
        with pytest.raises(ContractError, match=r"since 1970, past the years 1 to 9999: read it in its true unit"):
            compared()
    null = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}}
    assert run_suite([null], frame).rows[0].unexpected_count == 1


@pytest.mark.parametrize("name", bad_tables.PATTERNS)
def test_names_that_stand_for_other_columns_are_refused_everywhere(name):
    frame = pl.DataFrame({"a": [1, 2], name: [3, 4]})
    table = keyed(frame)
    for measured in (
        lambda: profile(frame),
        lambda: profile(frame.lazy()),
        lambda: drift(frame, frame),
        lambda: multivariate_drift(frame, frame),
        lambda: skew(table, table, RULE),
        lambda: point_in_time(table, table, AS_OF, prefix="then "),
        lambda: traits(frame),
        lambda: sketch_rows(frame),
        lambda: cuts(frame),
        lambda: single_feature_auc(frame, "a"),
        lambda: run_suite([], frame),
        lambda: Source.of(frame.lazy()),
    ):
        with pytest.raises(ContractError, match="is a pattern that stands for other columns too: rename it"):
            measured()


def test_any_other_name_is_of_no_harm():
    values = {"int": [1, 2, 3, 2], "float": [1.5, 2, 3, None], "text": ["a", "b", None, "a"]}
    for given in values.values():
        frame = pl.DataFrame(dict.fromkeys(bad_tables.NAMES, given))
        table = keyed(frame)
        assert not any(test.flagged for test in drift(frame, frame))
        assert list(traits(frame)) == list(profile(frame).columns) == bad_tables.NAMES
        report = skew(table, table.with_columns(pl.lit(None, dtype=frame.schema["a.b"]).alias("a.b")), RULE)
        assert [column.column for column in report.columns if column.mismatch.count] == ["a.b"]
        assert point_in_time(table.select("k", "t"), table, AS_OF).select(bad_tables.NAMES).equals(frame)
        suite = [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": name}} for name in frame.columns]
        assert len({row.success for row in run_suite(suite, frame).rows}) == 1
        dependence(frame, cuts(frame))


def test_python_objects_are_refused_by_name_before_polars_ends_the_process():
    frame = bad_tables.objects()
    with pytest.raises(ContractError, match="'x' holds Python objects: cast it"):
        run_suite([], frame)
    with pytest.raises(ContractError, match="'x' holds Python objects"):
        sketch_rows(frame)
    with pytest.raises(DeclarationError, match="'x' are Object"):
        judge_references(frame.to_series(), frame.to_series(), table="others")
    assert profile(frame).columns["x"].kind == "other"


def test_an_empty_table_without_columns_is_told_as_such():
    nothing = pl.DataFrame()
    assert profile(nothing).columns == {}
    assert drift(nothing, nothing) == ()
    assert traits(nothing) == {}
    with pytest.raises(ContractError, match="no rows"):
        skew(nothing, nothing, RULE)
    count = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 0}}
    assert run_suite([count], nothing).success


def test_keys_with_and_without_a_zone_or_of_other_types_are_told_with_the_remedy():
    table = keyed(pl.DataFrame({"x": [1, 2]}))
    zoned = table.with_columns(pl.col("t").dt.replace_time_zone("UTC"))
    for join in (lambda: skew(table, zoned, RULE), lambda: point_in_time(table, zoned, AS_OF, prefix="then ")):
        with pytest.raises(ContractError, match="has none: say in which zone"):
            join()
    with pytest.raises(DeclarationError, match="keys of 'x' are Int64, those of others are String: cast one"):
        judge_references(table["x"], pl.Series(["1"]), table="others")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p, y: fit_classifier(y, ["a"] * len(y)), "probabilities are no numbers"),
        (lambda p, y: fit_regressor(["a"] * len(y), p), "labels are no numbers"),
        (lambda p, y: fit_regressor(y, p * 1e200), "have errors without squares: scale them"),
        (lambda p, y: fit_regressor(y, p, features={"f": p[:5]}), "feature 'f' has shape"),
        (lambda p, y: fit_classifier(y, p, features={"f": ["a"] * len(y)}), "feature 'f' holds no numbers"),
        (lambda p, y: expect_classifier(fit_classifier(y, p), p, confidence=-1), "confidence is -1"),
        (lambda p, y: expect_classifier(fit_classifier(y, p), p, threshold=float("nan")), "threshold is nan"),
        (lambda p, y: expect_regressor(fit_regressor(y, p), p, confidence=float("nan")), "confidence is nan"),
        (lambda p, y: Metric(name="m", kind="numbr", tolerance=0.1, values=[1.0]), "did you mean 'number'"),
        (
            lambda p, y: Metric(name="m", kind="count", tolerance=0.1, values=["a"]),
            "value 1 of 1 is 'a': give a number",
        ),
        (lambda p, y: Metric(name="m", kind="count", tolerance=0.1, values=[1e308]), "no count is above"),
    ],
)
def test_what_is_no_number_or_no_share_is_refused_with_its_name(call, told):
    probability = np.linspace(0.01, 0.99, 200)
    label = (np.arange(200) % 2).astype(float)
    with pytest.raises((ContractError, DeclarationError), match=told):
        call(probability, label)


def test_a_page_of_whatever_texts_can_be_written():
    for text in (*bad_tables.NAMES, "\ud800", "</script><img src=x onerror=1>"):
        entries = tuple(Entry(name=text, kind=kind, value=text) for kind in ("text", "markdown", "json"))
        section = Section(stage=text, check=text, verdict="block", reason=text, digest=text, at=text, run_id=text,
                          entries=entries)  # fmt: skip
        found = page(Report(pipeline=text, partition=text, registry=text, sections=(section,)))
        assert found.encode()
        assert "<img src=x" not in found


@pytest.mark.slow
def test_five_thousand_columns_take_a_bounded_time():
    frame = pl.DataFrame({f"c{place}": [place, place + 1, -place] for place in range(5_000)})
    table = keyed(frame)
    assert profile(frame).rows == 3
    assert skew(table, table, RULE).verdict == "pass"
    renamed = skew(table, keyed(frame.rename({name: f"r{name}" for name in frame.columns[1:]})), RULE)
    assert len(renamed.counterparts) == 4_999
    with pytest.raises(ContractError, match="and 4,988 more are missing"):
        check_columns(
            [f"r{name}" for name in frame.columns],
            Contract(columns=dict.fromkeys(frame.columns, "float64"), extra="drop"),
        )


def test_texts_of_ten_megabytes_leave_results_small():
    frame = pl.DataFrame({"x": ["a" * 10_000_000, "b", None]})
    wanted = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "x", "value_set": ["b"]}}
    row = run_suite([wanted], frame).rows[0]
    assert row.examples == (f"{'a' * 200}… (10,000,000 characters)",)
    assert len(as_json(profile(frame).to_json())) < 10_000
    assert (
        len(
            as_json(
                skew(
                    keyed(frame), keyed(frame.head(1)).vstack(keyed(frame)[1:].with_columns(x=pl.lit("c"))), RULE
                ).to_json()
            )
        )
        < 10_000
    )
