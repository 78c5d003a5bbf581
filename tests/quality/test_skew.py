"""Skew: cells, bounds, rows without partners, what is the same and what is not, bad input."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quality.skew import SkewRule, skew
from quality.skew.report import rate
from quality.skew.ulps import histogram, ulp_distances
from resources.canonical import canonical_json
from resources.errors import ContractError, DeclarationError

BY_ID = SkewRule(keys=("id",))
START = datetime(2024, 1, 1)
cells = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf"), 1e-310]))


def frame(values, ids=None, **more):
    return pl.DataFrame({"id": list(range(len(values))) if ids is None else ids, "x": values, **more}, strict=False)


def column(one, two, rule=BY_ID):
    return skew(frame(one), frame(two), rule).column("x")


# Bounds and distances


@given(st.integers(1, 10_000), st.data())
def test_the_bounds_are_wilsons(rows, data):
    count = data.draw(st.integers(0, rows))
    found = rate(count, rows, confidence=0.95)
    expected = stats.binomtest(count, rows).proportion_ci(0.9, method="wilson")
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 50))
def test_a_float_so_many_steps_away_is_so_many_units_in_the_last_place_away(value, steps):
    other = value
    for _ in range(steps):
        other = math.nextafter(other, -math.inf if value > 0 else math.inf)
    one, two = pl.Series([value]), pl.Series([other])
    assert ulp_distances(one, two).tolist() == ulp_distances(two, one).tolist() == [steps]


@given(st.lists(st.integers(1, 2**64 - 1), min_size=1, max_size=30))
def test_the_histogram_has_bins_of_powers_of_two(distances):
    expected: dict[int, int] = {}
    for distance in distances:
        low = 1 << (distance.bit_length() - 1)
        expected[low] = expected.get(low, 0) + 1
    assert histogram(np.array(distances, np.uint64)) == dict(sorted(expected.items()))


# Cells


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=30))
def test_the_cells_that_differ_are_those_of_looking_at_each(pairs):
    def missing(value):
        return value is None or math.isnan(value)

    def differ(one, two):
        return not missing(two) if missing(one) else missing(two) or one != two

    found = column(*(list(side) for side in zip(*pairs, strict=True)))
    assert found.mismatch.count == sum(differ(one, two) for one, two in pairs)
    assert found.missing_training == sum(missing(one) and not missing(two) for one, two in pairs)
    assert found.missing_serving == sum(missing(two) and not missing(one) for one, two in pairs)
    assert found.nan_for_null == sum(
        missing(one) and missing(two) and (one is None) != (two is None) for one, two in pairs
    )


def test_factors_beyond_the_largest_float_are_no_unit():
    assert column([1.0, 1e-310], [0.0, 1.0]).kinds[0].name == "other values"


def test_floats_within_the_tolerance_are_equal_and_counted():
    found = column([1.0, 1.0, 1.0], [1.0, 1.0 + 2**-52, 1.0 + 2**-48], SkewRule(keys=("id",), ulps=4))
    assert (found.mismatch.count, found.within_ulps, found.ulps) == (1, 1, {1: 1, 16: 1})


def test_the_tolerance_in_units_in_the_last_place_holds_for_32_bit_floats_too():
    one = frame([1.0, 2.0]).with_columns(pl.col("x").cast(pl.Float32))
    two = one.with_columns(pl.Series("x", [np.nextafter(np.float32(1), np.float32(2)), np.float32(3)]))
    found = skew(one, two, SkewRule(keys=("id",), ulps=1)).column("x")
    assert (found.mismatch.count, found.within_ulps) == (1, 1)


def test_the_values_that_stand_where_the_other_side_has_none_are_counted():
    found = column([None, None, None, 4.0, 5.0], [0.0, 0.0, 7.0, None, 5.0])
    assert [(fill.side, fill.value, fill.count) for fill in found.fills] == [
        ("serving", "0.0", 2),
        ("serving", "7.0", 1),
        ("training", "4.0", 1),
    ]


def test_an_example_names_the_row_and_both_values_and_cuts_enormous_texts():
    found = skew(frame(["a", "b" * 10**6]), frame(["a", "c" * 10**6]), BY_ID).column("x").examples[0]
    assert found.key == {"id": "1"}
    assert found.training == "b" * 60 + "… (1,000,000 characters)"
    assert found.serving.startswith("ccc")


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        (pl.List(pl.Int64), [[1], [2, 3]], [[1], [2, 4]]),
        (pl.Struct({"a": pl.Int64}), [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}]),
        (pl.Binary, [b"a", b"b"], [b"a", b"c"]),
        (pl.Duration, [timedelta(1), timedelta(2)], [timedelta(1), timedelta(3)]),
        (pl.Boolean, [True, False], [True, True]),
        (pl.Decimal(10, 2), ["1.00", "2.00"], ["1.00", "2.01"]),
    ],
)
def test_columns_of_every_type_are_compared(kind, one, two):
    left, right = ({"id": [0, 1], "x": pl.Series(values).cast(kind)} for values in (one, two))
    assert skew(pl.DataFrame(left), pl.DataFrame(right), BY_ID).column("x").mismatch.count == 1


# Rows


def test_rows_are_paired_by_key_whatever_their_order():
    report = skew(frame([1, 2, 3], ids=[7, 8, 9]), frame([3, 1, 2], ids=[9, 7, 8]), BY_ID)
    assert (report.paired, report.verdict) == (3, "pass")


def test_rows_on_one_side_only_repeated_rows_and_rows_without_key_are_counted_and_named():
    one = frame([1, 2, 3, 4], ids=[1, 2, 3, None])
    two = frame([1, 1, 5, 2], ids=[1, 1, 5, 2])
    report = skew(one, two, BY_ID)
    assert report.paired == 2
    assert (report.training.unpaired.count, report.training.unpaired_examples) == (1, ({"id": "3"},))
    assert (report.serving.unpaired.count, report.serving.unpaired_examples) == (1, ({"id": "5"},))
    assert (report.serving.duplicated.count, report.serving.duplicated_examples) == (1, ({"id": "1"},))
    assert report.training.keyless == 1
    assert report.column("x").mismatch.count == 0


def test_a_key_that_names_no_single_row_asks_for_more_columns():
    one = frame([1] * 50, ids=[1] * 50)
    report = skew(one, one, BY_ID)
    assert report.verdict == "block"
    assert "duplicated rows: 49 of 50 (98 %) of the rows of training repeat the id of another" in report.reason
    assert "name more columns as keys" in report.reason


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_sides_without_a_row_in_common_block_with_the_slip_that_would_pair_them(unit):
    times = [START + timedelta(hours=2 * hour) for hour in range(100)]
    one = pl.DataFrame({"at": pl.Series(times, dtype=pl.Datetime(unit)), "x": range(100)})
    two = one.with_columns((pl.col("at") - timedelta(hours=5, minutes=30)).cast(pl.Datetime(unit)))
    report = skew(one, two, SkewRule(time="at"))
    assert (report.verdict, report.paired) == ("block", 0)
    assert "no row of serving has the at of a row of training: serving's at is -5:30 h off" in report.reason


def test_a_slip_on_a_grid_of_hours_is_told_although_rows_have_partners():
    times = [START + timedelta(hours=hour) for hour in range(500)]
    values = np.random.default_rng(1).normal(size=500)
    one = pl.DataFrame({"at": times, "x": values, "y": values * 2})
    two = one.with_columns(pl.col("at") + timedelta(hours=2))
    report = skew(one, two, SkewRule(time="at", unpaired=1))
    assert report.slip is not None
    assert "serving's at is +2:00 h off" in report.reason


def test_late_rows_are_counted_where_arrival_is_known():
    times = [START + timedelta(hours=hour) for hour in range(4)]
    one = pl.DataFrame({"at": times, "x": [1, 2, 3, 4], "came": [times[1], times[1], times[1], None]})
    report = skew(one, one, SkewRule(time="at", arrived="came"))
    assert report.late is not None
    assert (report.late.count, report.late.rows) == (1, 4)


# Verdicts


@pytest.mark.parametrize(("wrong", "verdict"), [(0, "pass"), (1, "pass"), (2, "warn"), (10, "block")])
def test_a_share_blocks_once_its_lower_bound_is_above_the_tolerance(wrong, verdict):
    values = list(range(1000))
    assert skew(frame(values), frame([-1] * wrong + values[wrong:]), BY_ID).verdict == verdict


def test_with_no_tolerance_one_cell_blocks():
    rule = SkewRule(keys=("id",), tolerance=0)
    assert skew(frame(range(9000)), frame([5, *range(1, 9000)]), rule).verdict == "block"


def test_rows_that_are_missing_on_purpose_are_tolerated_by_declaration():
    log = frame(range(10))
    assert skew(frame(range(1000)), log, BY_ID).verdict == "block"
    assert skew(frame(range(1000)), log, SkewRule(keys=("id",), unpaired=1)).verdict == "pass"


def test_a_report_is_canonical_json():
    report = skew(frame([None, float("inf"), 1.0]), frame([0.0, 1.0, 1.5]), BY_ID)
    value = json.loads(canonical_json(report.to_json()))
    assert value["verdict"] == "block"
    assert value["columns"][0]["column"] == "x"


# Kinds that no plant has


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        (
            [10.0, 20.0, 30.0, 40.0, 55.0],
            [50.0, 68.0, 86.0, 104.0, 131.0],
            "unit change: serving is 1.8 times training",
        ),
        ([10, 20, 30, 40, 55], [13, 23, 33, 43, 58], "offset: serving is training +3"),
        (
            [1.234, 2.345, 3.456, 4.567, 5.678],
            [1.2, 2.3, 3.5, 4.6, 5.7],
            "rounding: serving has the values rounded to 1",
        ),
        (["a ", "b", " c"], ["a", "b", "c"], "spelling: the texts differ in white space alone"),
        (["Ab", "cD", "e"], ["ab", "cd", "e"], "spelling: the texts differ in letter case alone"),
        (["car", "bus"] * 3, ["auto", "coach"] * 3, "recoding: each value is another one: bus is coach, car is auto"),
        ([1, 2] * 3, ["one", "two"] * 3, "recoding: each value is another one: 1 is one, 2 is two"),
        ([True, False] * 3, [False, True] * 3, "encoding swap"),
        ([1.5, 2.5, 3.5], [None, None, None], "missing at serving"),
        (["x", None, None], ["x", "p", "q"], "missing in training"),
        ([3.0, 1.0, 4.0, 1.5, 9.0, 2.0], [2.2, 7.0, 1.8, 2.8, 1.7, 8.0], "other values"),
    ],
)
def test_the_kind_of_skew_is_told(one, two, told):
    assert told in skew(frame(one), frame(two), BY_ID).reason


def test_many_categories_that_became_others_are_a_recoding_although_two_became_one():
    zones = [number % 300 for number in range(9000)]
    names = [f"zone {min(zone, 298)}" for zone in zones]
    reason = skew(frame(zones), frame(names), BY_ID).reason
    assert "recoding: each value is another one: 0 is zone 0, 1 is zone 1" in reason
    assert "; 300 values became 299" in reason


def test_values_that_hardly_come_twice_are_no_categories():
    numbers = list(range(1000)) * 2
    made = [str(7919 * number % 1009) for number in numbers]
    assert "other values" in skew(frame(numbers), frame(made), BY_ID).reason


# Bad input


def test_an_empty_side_is_refused():
    with pytest.raises(ContractError, match="serving has no rows: there is nothing to compare"):
        skew(frame([1]), frame([1]).head(0), BY_ID)


@pytest.mark.parametrize(
    ("one", "two", "rule", "told"),
    [
        ({"x": [1]}, {"id": [1], "x": [1]}, BY_ID, "training: unknown column 'id'"),
        ({"id": [1], "x": [1]}, {"ID": [1], "x": [1]}, BY_ID, "serving: unknown column 'id'"),
        ({"id": [1], "x": [1]}, {"id": ["1"], "x": [1]}, BY_ID, "key 'id' is Int64 in training and String in serving"),
        ({"id": [1.5], "x": [1]}, {"id": [1.5], "x": [1]}, BY_ID, "key 'id' is Float64, whose values are no exact"),
        ({"id": [1], "x": [1]}, {"id": [1], "y": [1]}, BY_ID, "share no column but id"),
        ({"id": [1], "x": [1]}, {"id": [1], "x": [1]}, SkewRule(keys=("id",), columns=("z",)), "unknown column 'z'"),
        ({"id": [1], "x": [1]}, {"id": [1], "x": [1]}, SkewRule(time="id"), "time 'training.id' is Int64, no date"),
        (
            {"id": [START], "x": [1]},
            {"id": [START.replace(tzinfo=UTC)], "x": [1]},
            SkewRule(time="id"),
            "time 'serving.id' has a time zone and 'training.id' has none",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_with_column_and_remedy(one, two, rule, told):
    with pytest.raises(ContractError, match=told):
        skew(pl.DataFrame(one), pl.DataFrame(two), rule)


def test_a_feature_that_cannot_be_compared_blocks_and_the_others_are_compared():
    one = frame([1], y=[START], z=[[1]])
    two = frame([1], y=[START.replace(tzinfo=UTC)], z=["1"])
    report = skew(one, two, BY_ID)
    assert report.verdict == "block"
    assert "y: not compared, time 'serving.y' has a time zone and 'training.y' has none" in report.reason
    assert "z: not compared, column 'z' is List(Int64) in training and String in serving: cast one" in report.reason
    assert report.column("x").mismatch.rows == 1


def test_a_time_that_does_not_fit_the_unit_of_the_other_side_is_refused_not_dropped():
    late, fine = frame([datetime(2500, 1, 1)]), frame([START]).with_columns(pl.col("x").cast(pl.Datetime("ns")))
    with pytest.raises(ContractError, match=r"values do not fit the type of the other side .*2500"):
        skew(late, fine, BY_ID)
    with pytest.raises(ContractError, match="x: values do not fit"):
        skew(late.with_columns(y=1), fine.with_columns(y=1), SkewRule(time="x"))


def test_arrival_without_the_zone_of_the_event_time_is_refused():
    one = pl.DataFrame({"at": [START.replace(tzinfo=UTC)], "came": [START], "x": [1]})
    with pytest.raises(ContractError, match=r"time 'training.at' has a time zone and 'training.came' has none"):
        skew(one, one, SkewRule(time="at", arrived="came"))


def test_an_arrival_in_another_zone_and_unit_is_an_instant():
    at = pl.Series("at", [START.replace(tzinfo=UTC)] * 2)
    there = pl.Series("came", [START + timedelta(hours=1), START + timedelta(hours=2)], dtype=pl.Datetime("ms"))
    one = pl.DataFrame([at, there.dt.replace_time_zone("Europe/Paris")]).with_columns(id=pl.Series([1, 2]), x=1)
    report = skew(one, one, SkewRule(keys=("id",), time="at", arrived="came"))
    # One o'clock in Paris is midnight in UTC: it arrived in time.
    assert (report.late.count, report.late.rows) == (1, 2)


def test_a_type_that_changed_warns_and_a_width_does_not():
    wide = frame([1, 2])
    assert skew(wide, wide.with_columns(pl.col("x").cast(pl.Int8)), BY_ID).verdict == "pass"
    report = skew(wide, wide.with_columns(pl.col("x").cast(pl.Float64)), BY_ID)
    assert report.verdict == "warn"
    assert report.reason == "x: its type is Int64 in training and Float64 in serving"


def test_a_feature_that_serving_lacks_warns_and_one_more_does_not():
    both, more = frame([1]), frame([1], y=[2])
    assert skew(both, more, BY_ID).verdict == "pass"
    assert skew(more, both, BY_ID).reason == "y: serving lacks this column of training"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "neither keys nor time"),
        ({"keys": ("a", "a")}, "name a column twice"),
        ({"keys": ("a",), "tolerance": 1.5}, "tolerance is 1.5"),
        ({"keys": ("a",), "confidence": 1}, "confidence is 1"),
        ({"keys": ("a",), "ulps": -1}, "may be negative"),
        ({"keys": ("a",), "arrived": "b"}, "arrived is given without time"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong, told):
    with pytest.raises(DeclarationError, match=told):
        SkewRule(**wrong)


def test_pieces_below_one_are_refused():
    with pytest.raises(DeclarationError, match="pieces is 0"):
        skew(frame([1]), frame([1]), BY_ID, pieces=0)


# Real data


def test_the_report_on_the_taxis_names_what_their_cleaning_changed(shared_data):
    raw, clean = (
        pl.read_csv(shared_data / "taxis" / f"{name}.csv", try_parse_dates=True, infer_schema_length=None)
        for name in ("raw", "clean")
    )
    named = {"tpep_pickup_datetime": "pickup", "tpep_dropoff_datetime": "dropoff", "payment_type": "payment"}
    report = skew(raw.rename(named), clean, SkewRule(keys=("dropoff",), time="pickup"))
    assert report.paired == 6433
    # 67 trips were dropped, no trip was added, none is there twice.
    assert (report.training.unpaired.count, report.serving.unpaired.count) == (67, 0)
    # Columns were renamed, zones were joined.
    was = {found.serving: (found.training, found.how) for found in report.counterparts}
    assert was["fare"] == ("fare_amount", "renamed")
    assert was["passengers"] == ("passenger_count", "renamed")
    assert was["pickup_zone"] == ("PULocationID", "recoded")
    assert was["dropoff_borough"] == ("DOLocationID", "recoded")
    assert "RatecodeID" in report.training.columns
    # Codes of payment became words, and two of them (disputes, 44 trips) were emptied.
    payment = report.column("payment")
    assert (payment.mismatch.share, payment.missing_serving) == (1, 44)
    assert "1 is credit card, 2 is cash" in report.reason
    assert report.column("color").mismatch.count == 0
