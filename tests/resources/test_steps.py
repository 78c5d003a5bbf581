"""Fitted steps learn from the training window only, keep exact states, and survive what they never saw."""

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from resources.canonical import canonical_json, parse_json
from resources.errors import ContractError, DeclarationError, TrainingError
from resources.transform.fitted import FittedTransform, check_features, fit_transform
from resources.transform.steps import STEPS, Clip, Impute, OneHot, Ordinal, Standardize, Step, check_steps

floats = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e150, max_value=1e150)


def applied(step, train: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(step.expressions(json.loads(json.dumps(step.fit(train)))))


@pytest.mark.parametrize(
    ("strategy", "expected"), [("mean", 3.0), ("median", 2.0), ("most_frequent", 1.0), ("constant", 9.0)]
)
def test_impute_fills_null_and_nan_from_the_training_window(strategy: str, expected: float):
    step = Impute(columns=("x",), strategy=strategy, value=9 if strategy == "constant" else None)
    train = pl.DataFrame({"x": [1.0, 1.0, 3.0, 7.0, None, math.nan]})
    assert applied(step, train, pl.DataFrame({"x": [None, math.nan, 5.0]}))["x"].to_list() == [expected, expected, 5.0]


def test_impute_fills_text_with_the_most_frequent_one_and_the_first_of_equals():
    train = pl.DataFrame({"x": ["b", "a", None, "b", "a"]})
    filled = applied(Impute(columns=("x",), strategy="most_frequent"), train, pl.DataFrame({"x": [None, "z"]}))
    assert filled["x"].to_list() == ["a", "z"]


def test_standardize_gives_mean_zero_and_deviation_one():
    train = pl.DataFrame({"x": [1, 2, 3, 4], "same": [5.0] * 4})
    scaled = applied(Standardize(columns=("x", "same")), train, train)
    assert scaled["x"].to_list() == pytest.approx([-1.3416407865, -0.4472135955, 0.4472135955, 1.3416407865])
    assert scaled["same"].to_list() == [0.0] * 4


def test_clip_limits_to_values_that_occurred():
    train = pl.DataFrame({"x": list(range(101))})
    clipped = applied(
        Clip(columns=("x",), lower_quantile=0.1, upper_quantile=0.9), train, pl.DataFrame({"x": [-5, 50, 500, None]})
    )
    assert clipped["x"].to_list() == [10.0, 50.0, 90.0, None]


def test_ordinal_codes_follow_the_sort_order_and_unknown_and_null_share_one_code():
    train = pl.DataFrame({"s": ["b", "a", None], "n": [10, 2, 10], "b": [True, False, True]})
    rows = pl.DataFrame({"s": ["a", "b", "new", None], "n": [2, 10, 3, None], "b": [False, True, None, None]})
    coded = applied(Ordinal(columns=("s", "n", "b"), unknown=-7), train, rows)
    assert coded.rows() == [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (-7.0, -7.0, -7.0), (-7.0, -7.0, -7.0)]


def test_onehot_keeps_the_frequent_categories_and_gives_zeros_for_others():
    train = pl.DataFrame({"w": ["rain", "sun", "sun", "fog", "rain", "sun"]})
    made = applied(OneHot(columns=("w",), max_categories=2), train, pl.DataFrame({"w": ["sun", "rain", "fog", None]}))
    assert made.columns == ["w", "w=rain", "w=sun"]
    assert made.drop("w").rows() == [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (0.0, 0.0)]


@pytest.mark.parametrize("name", ["count", "value", "rows", "len"])
def test_a_column_may_have_any_name(name: str):
    train = pl.DataFrame({name: ["a", "b", "b"]})
    assert Impute(columns=(name,), strategy="most_frequent").fit(train) == {"values": {name: "b"}}
    assert OneHot(columns=(name,)).fit(train) == {"categories": {name: ["a", "b"]}}


@given(st.lists(floats, min_size=1, max_size=30))
def test_a_state_is_the_same_for_any_order_of_rows_and_exact_through_json(values: list[float]):
    steps = [Impute(columns=("x",), strategy="mean"), Standardize(columns=("x",)), Clip(columns=("x",))]
    for step in steps:
        state = step.fit(pl.DataFrame({"x": values}))
        assert step.fit(pl.DataFrame({"x": values[::-1]})) == state
        assert parse_json(canonical_json(state)) == state


@pytest.mark.parametrize(
    ("step", "train", "words"),
    [
        (Impute(columns=("x",)), {"x": [None, None]}, "no value in the training window"),
        (Standardize(columns=("x",)), {"x": ["a"]}, "needs numbers"),
        (Standardize(columns=("x",)), {"x": [1.0, math.inf]}, "NULLIF"),
        (Ordinal(columns=("x",)), {"x": [1.5]}, "needs strings, integers or booleans"),
    ],
)
def test_a_step_that_cannot_learn_says_why(step, train, words: str):
    with pytest.raises(TrainingError, match=words):
        step.fit(pl.DataFrame(train, strict=False))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "impute", "columns": ["x"], "strategy": "constant"}, "give a value for 'constant' only"),
        ({"kind": "impute", "columns": ["x"], "strategy": "mode"}, "'mode' is not one of mean, median"),
        ({"kind": "clip", "columns": ["x"], "lower_quantile": 0.9, "upper_quantile": 0.1}, "must be below"),
        ({"kind": "ordinal", "columns": ["x"], "unknown": 0}, "negative"),
        ({"kind": "ordinal", "columns": ["x", "x"]}, "twice"),
        ({"kind": "onehot", "columns": []}, "at least 1 item"),
        ({"kind": "onehot", "columns": ["x"], "max_categoris": 3}, "did you mean 'max_categories'"),
    ],
)
def test_a_step_declared_wrongly_is_refused(fields, words: str):
    with pytest.raises(DeclarationError, match=words):
        STEPS[fields["kind"]].parse(fields)


def test_a_step_may_not_name_a_column_that_is_gone():
    steps = (OneHot(columns=("weather",)), Impute(columns=("weather",)))
    with pytest.raises(DeclarationError, match=r"steps\[1\] \(impute\): unknown column 'weather'"):
        check_steps("steps", steps, ["weather", "temp"])


def test_the_table_of_steps_names_every_kind_of_the_union():
    for kind, cls in STEPS.items():
        assert isinstance(TypeAdapter(Step).validate_python({"kind": kind, "columns": ["x"]}), cls)


def test_a_transform_reads_back_from_its_json_and_gives_the_same_matrix():
    columns = {"temp": "temp * 1.5", "sky": "sky", "rush": "hr IN (7, 8)"}
    rows = pl.DataFrame({"temp": [0.1, None, 3.0], "sky": ["clear", "mist", None], "rush": [True, False, None]})
    steps = (Impute(columns=("temp",)), OneHot(columns=("sky",)))
    fitted = fit_transform(columns, steps, rows)
    again = FittedTransform.from_json(parse_json(canonical_json(fitted.to_json())))
    assert again == fitted
    assert fitted.output == ("temp", "sky=clear", "sky=mist", "rush")
    assert fitted.reads == ("hr", "sky", "temp")
    np.testing.assert_array_equal(again.matrix(rows.lazy()), fitted.matrix(rows.lazy()))
    np.testing.assert_array_equal(fitted.matrix(rows.lazy()), [[0.1, 1, 0, 1], [1.55, 0, 1, 0], [3.0, 0, 0, math.nan]])


def test_categorical_features_are_those_of_ordinal_steps():
    rows = pl.DataFrame({"sky": ["clear", "mist"], "hr": [1, 2]})
    fitted = fit_transform({"hr": "hr", "sky": "sky"}, (Ordinal(columns=("sky",)),), rows)
    assert (fitted.output, fitted.categorical) == (("hr", "sky"), ("sky",))


def test_a_feature_that_is_no_number_names_the_steps_that_make_one():
    with pytest.raises(TrainingError, match=r"feature 'sky' is String.*'ordinal' or 'onehot'"):
        fit_transform({"sky": "sky"}, (), pl.DataFrame({"sky": ["clear"]}))


def test_onehot_columns_may_not_meet_a_declared_one():
    rows = pl.DataFrame({"w": ["a"], "w=a": [1]})
    with pytest.raises(TrainingError, match="two features are called 'w=a'"):
        fit_transform({"w": "w", "w=a": '"w=a"'}, (OneHot(columns=("w",)),), rows)


def test_scoring_rows_that_lack_a_column_are_refused_with_the_nearest_name():
    fitted = fit_transform({"temp": "temp"}, (), pl.DataFrame({"temp": [1.0]}))
    with pytest.raises(ContractError, match="no column 'temp'; did you mean 'tmp'"):
        fitted.rows(pl.LazyFrame({"tmp": [1.0]}))


def test_a_transform_of_a_later_format_is_refused():
    with pytest.raises(TrainingError, match="format 99"):
        FittedTransform.from_json({"format": 99})


@pytest.mark.parametrize(
    ("columns", "steps", "words"),
    [
        ({"sky": "sky"}, (), "features.columns.sky: feature 'sky' is String"),
        ({"day": "ts"}, (), "features.columns.day: feature 'day' is Datetime"),
        ({"sky": "sky * 2"}, (), "does not fit its columns' types"),
        ({"sky": "skye"}, (), "did you mean 'sky'"),
        ({"sky": "sky"}, (Ordinal(columns=("ksy",)),), r"features\.steps\[0\] \(ordinal\): unknown column 'ksy'"),
    ],
)
def test_features_that_could_never_be_a_matrix_are_refused_when_declared(columns, steps, words: str):
    with pytest.raises(DeclarationError, match=words):
        check_features("features", columns, steps, {"sky": "string", "ts": "timestamp[us, tz=UTC]"})


def test_encoded_text_and_types_unknown_to_the_check_pass_it():
    types = {"sky": "string", "odd": "struct<a: int8>"}
    check_features("features", {"sky": "sky", "odd": "odd"}, (OneHot(columns=("sky",)),), types)


def test_values_too_large_to_scale_are_refused():
    with pytest.raises(TrainingError, match="too large to square"):
        Standardize(columns=("x",)).fit(pl.DataFrame({"x": [1e200, -1e200]}))
    with pytest.raises(TrainingError, match="too large to add"):
        Impute(columns=("x",), strategy="mean").fit(pl.DataFrame({"x": [1.7e308, 1.7e308]}))
