"""Traits of columns: shares that a data defect moves."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.defects import plant
from quality.traits import traits

VALUES = st.lists(st.none() | st.floats(allow_infinity=True, allow_nan=True), min_size=1, max_size=60)


@given(values=VALUES, texts=st.lists(st.none() | st.text(max_size=8), min_size=1, max_size=60))
def test_traits_are_shares_whatever_the_values(values, texts):
    for frame in (
        pl.DataFrame({"x": values}, schema={"x": pl.Float64}),
        pl.DataFrame({"x": texts}, schema={"x": pl.String}),
    ):
        found = traits(frame)["x"]
        assert all(0 <= share <= 1 for share in found.values())
        empty = frame["x"].is_null() | (
            frame["x"].is_nan().fill_null(False) if frame["x"].dtype == pl.Float64 else False
        )
        assert found["missing"] == pytest.approx(empty.mean())


def test_a_frame_without_rows_has_no_traits():
    assert traits(pl.DataFrame({"x": [1.0]}).clear()) == {"x": {}}


def test_types_without_traits_are_told_for_missing_values_alone():
    assert traits(pl.DataFrame({"x": [[1], None]})) == {"x": {"missing": 0.5}}


@pytest.mark.parametrize(
    ("trait", "defect", "values"),
    [
        ("padded", "whitespace", ["Bern", "Köln"]),
        ("capitals", "case_change", ["Bern", "Köln"]),
        ("whole", "rounding", [1.26, 2.51]),
        ("float32", "float32_cast", [0.1, 0.7]),
        ("nan", "nan_for_null", [1.0, None]),
        ("null_words", "null_to_text", ["Bern", None]),
        ("empty", "null_to_empty", ["Bern", None]),
        ("zero", "null_to_zero", [1.0, None]),
        ("negative", "sign_flip", [1.0, 3.0]),
        ("repeated", "stuck_sensor", [1.0, 2.0]),
        ("whole_hours", "truncated_times", [datetime(2024, 1, 1, 5, 7), datetime(2024, 1, 1, 6, 1)]),
    ],
)
def test_a_defect_moves_its_trait(trait, defect, values):
    frame = pl.DataFrame({"x": values * 20})
    before, after = (traits(side)["x"][trait] for side in (frame, plant(defect, frame, ["x"])))
    assert before <= 0.06
    assert after > before + 0.2


def test_letters_misread_as_latin1_are_told():
    frame = pl.DataFrame({"x": ["Köln", "Bern", "Ærø", "Zürich"]})
    assert traits(frame)["x"]["misread"] == 0
    assert traits(plant("mojibake", frame, ["x"]))["x"]["misread"] == 0.75


@pytest.mark.parametrize("zeros", [700, 745, 749, 750, 755, 800])
def test_nothing_is_far_in_a_column_that_is_mostly_zeros_wherever_a_quartile_falls(zeros):
    rng = np.random.default_rng(zeros)
    values = np.concatenate([np.zeros(zeros), [0.01] * 5, np.round(rng.beta(2, 6, 995 - zeros), 2)])
    assert traits(pl.DataFrame({"discount": values}))["discount"]["far"] == 0


def test_values_in_another_unit_are_far_from_the_others():
    frame = pl.DataFrame({"x": [float(i % 10) for i in range(100)]})
    assert traits(frame)["x"]["far"] == 0
    assert traits(plant("unit_mix", frame.with_columns(pl.col("x") + 1), ["x"], magnitude=0.05))["x"][
        "far"
    ] == pytest.approx(0.05, abs=0.02)
