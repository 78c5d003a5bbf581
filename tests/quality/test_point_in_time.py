"""Point-in-time joins: equal to looking at every row, whatever is late, equal or missing."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.point_in_time import AsOf, point_in_time, point_in_time_parts
from resources.errors import ContractError, DeclarationError

BOTH = AsOf(keys=("who",), at="at", decided="decided", happened="happened", arrived="arrived")
START = datetime(2024, 1, 1)
moments = st.one_of(st.none(), st.integers(0, 8))
names = st.sampled_from(["a", "b", None])
asking = st.lists(st.tuples(names, moments, moments), max_size=12)
known = st.lists(st.tuples(names, moments, moments), max_size=20)


def clock(values):
    return pl.Series([None if v is None else START + timedelta(hours=v) for v in values], dtype=pl.Datetime("us"))


def entities(rows):
    who, at, decided = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return pl.DataFrame({"who": pl.Series(who, dtype=pl.String), "at": clock(at), "decided": clock(decided)})


def features(rows):
    who, happened, arrived = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return pl.DataFrame(
        {
            "who": pl.Series(who, dtype=pl.String),
            "happened": clock(happened),
            "arrived": clock(arrived),
            "value": pl.Series(range(len(rows)), dtype=pl.Int64),
        }
    )


def looked_up(row, rows, max_age):
    """Return the number of the feature row by looking at every one."""
    who, at, decided = row
    if None in row:
        return None
    able = [
        (happened, arrived, number)
        for number, (name, happened, arrived) in enumerate(rows)
        if name == who
        and happened is not None
        and arrived is not None
        and happened <= at
        and arrived <= decided
        and (max_age is None or happened >= at - max_age)
    ]
    return max(able)[2] if able else None


@given(asking, known, st.one_of(st.none(), st.integers(0, 8)))
def test_the_join_is_that_of_looking_at_every_row(rows, others, hours):
    age = None if hours is None else timedelta(hours=hours)
    rule = AsOf(keys=("who",), at="at", decided="decided", happened="happened", arrived="arrived", max_age=age)
    found = point_in_time(entities(rows), features(others), rule)
    assert found.columns == ["who", "at", "decided", "value"]
    assert found.select("who", "at", "decided").equals(entities(rows))
    assert found["value"].to_list() == [looked_up(row, others, hours) for row in rows]


@given(asking, known)
def test_without_arrival_and_decision_the_event_times_alone_count(rows, others):
    rule = AsOf(keys=("who",), at="at", happened="happened")
    found = point_in_time(entities(rows), features(others), rule, columns=["value"])
    plain = [(who, happened, happened) for who, happened, _ in others]
    expected = [looked_up((who, at, at), plain, None) for who, at, _ in rows]
    assert found["value"].to_list() == expected


@given(asking, known, st.integers(1, 4))
def test_in_parts_the_same_rows_are_found(rows, others, parts):
    numbered = entities(rows).with_row_index("number")
    whole = point_in_time(numbered, features(others), BOTH)
    pieces = list(point_in_time_parts(numbered.lazy(), features(others).lazy(), BOTH, parts=parts))
    assert len(pieces) == parts
    assert pl.concat(pieces).sort("number").equals(whole)


def test_many_late_rows_of_one_key_are_passed_over():
    late = [("a", hour, 10_000) for hour in range(1, 3000)]
    found = point_in_time(entities([("a", 5000, 5000)]), features([("a", 0, 0), *late]), BOTH)
    assert found["value"].to_list() == [0]


def test_keys_of_several_columns_and_widths_are_matched():
    left = pl.DataFrame({"who": ["x", "x"], "shop": pl.Series([1, 2], dtype=pl.Int16), "at": [START] * 2})
    right = pl.DataFrame({"who": pl.Series(["x"], dtype=pl.Categorical), "shop": [2], "t": [START], "v": [7]})
    found = point_in_time(left, right, AsOf(keys=("who", "shop"), at="at", happened="t"), prefix="f_")
    assert found.columns == ["who", "shop", "at", "f_v"]
    assert found["f_v"].to_list() == [None, 7]


def test_clocks_of_two_zones_and_units_are_instants():
    left = pl.DataFrame({"k": [1], "at": [datetime(2024, 7, 1, 12, tzinfo=UTC)]})
    there = pl.Series([datetime(2024, 7, 1, 14), datetime(2024, 7, 1, 15)], dtype=pl.Datetime("ms"))
    zoned = there.dt.replace_time_zone("Europe/Paris")
    right = pl.DataFrame({"k": [1, 1], "t": zoned, "v": ["noon", "later"]})
    assert point_in_time(left, right, AsOf(keys=("k",), at="at", happened="t"))["v"].to_list() == ["noon"]


def test_days_are_matched_with_times():
    left = pl.DataFrame({"k": [1, 1], "at": [datetime(2024, 7, 1, 12), datetime(2024, 6, 30, 23)]})
    right = pl.DataFrame({"k": [1], "day": [date(2024, 7, 1)], "v": [1]})
    assert point_in_time(left, right, AsOf(keys=("k",), at="at", happened="day"))["v"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("left", "right", "told"),
    [
        ({"who": "int"}, {}, "key 'who' is Int64 in entities and String in features: cast one"),
        ({"at": "zone"}, {}, "'entities.at' has a time zone and 'entities.decided' has none"),
        ({"at": "text"}, {}, "time 'entities.at' is String, no date or time: parse it first"),
        ({"at": "gone"}, {}, "entities: unknown column 'at'"),
        ({}, {"arrived": "gone"}, "features: unknown column 'arrived'"),
    ],
)
def test_columns_that_cannot_be_matched_are_named_with_a_remedy(left, right, told):
    def changed(frame, changes):
        for name, change in changes.items():
            if change == "gone":
                frame = frame.drop(name)
            elif change == "zone":
                frame = frame.with_columns(pl.col(name).dt.replace_time_zone("UTC"))
            else:
                frame = frame.with_columns(pl.lit(1 if change == "int" else "x").cast(_TYPES[change]).alias(name))
        return frame

    one, two = changed(entities([("a", 1, 1)]), left), changed(features([("a", 1, 1)]), right)
    with pytest.raises(ContractError, match=told):
        point_in_time(one, two, BOTH)


_TYPES = {"int": pl.Int64, "text": pl.String}


def test_a_feature_of_the_name_of_an_entity_column_asks_for_a_prefix():
    with pytest.raises(ContractError, match="'decided' already: give a prefix"):
        point_in_time(entities([]), features([]).rename({"value": "decided"}), BOTH)


def test_a_rule_without_keys_or_with_a_negative_age_is_refused():
    with pytest.raises(DeclarationError, match="keys is empty"):
        AsOf(keys=(), at="at", happened="t")
    with pytest.raises(DeclarationError, match=r"max_age .* is negative"):
        AsOf(keys=("k",), at="at", happened="t", max_age=timedelta(seconds=-1))
