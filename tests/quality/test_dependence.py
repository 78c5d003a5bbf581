"""The dependence between columns, and its change."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.defects import plant
from quality.dependence import cuts, dependence, judge_dependence
from resources.errors import ContractError


def day(seed, rows=2_000):
    rng = np.random.default_rng(seed)
    base = rng.standard_normal(rows)
    return pl.DataFrame(
        {
            "price": base,
            "total": base + 0.3 * rng.standard_normal(rows),
            "noise": rng.standard_normal(rows),
            "kind": np.where(base > 0.5, "piano", np.where(base > -0.5, "lamp", "book")),
            "shop": rng.choice(["north", "south"], rows),
            "key": [str(i) for i in range(rows)],
        }
    )


PAST = [day(seed) for seed in range(12)]
CUTS = cuts(PAST[0])
DEPENDENCES = [dependence(frame, CUTS) for frame in PAST]


def test_cramers_v_is_that_of_the_formula():
    # 100 rows, table [[40, 10], [10, 40]]: phi^2 = 0.36, corrected 0.36 - 1/99, sides 2 - 1/99 - 1 (Bergsma, 2013).
    frame = pl.DataFrame(
        {"a": ["x"] * 50 + ["y"] * 50, "b": ["u"] * 40 + ["v"] * 20 + ["u"] * 0 + ["v"] * 30 + ["u"] * 10}
    )
    table = frame.group_by("a", "b").len().sort("a", "b")["len"].to_list()
    assert table == [40, 10, 10, 40]
    assert dependence(frame, cuts(frame))["a", "b"] == pytest.approx(((0.36 - 1 / 99) / (1 - 1 / 99)) ** 0.5)


def test_keys_and_constants_are_left_out():
    frame = day(1).with_columns(one=pl.lit(1.0), word=pl.lit("x"))
    assert set(cuts(frame).columns) == {"price", "total", "noise", "kind", "shop"}


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_dependence_lies_between_0_and_1_and_ignores_the_order_of_rows(seed):
    frame = day(seed, rows=200)
    found = dependence(frame, CUTS)
    assert all(0 <= value <= 1 for value in found.values())
    assert found == pytest.approx(dependence(frame.sample(fraction=1, shuffle=True, seed=seed), CUTS))


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_sound_day_raises_nothing(seed):
    assert judge_dependence(dependence(day(seed), CUTS), DEPENDENCES, rows=2_000) == []


def test_a_shuffled_column_is_found_by_what_it_no_longer_tells():
    damaged = plant("shuffled_column", day(50), ["total"])
    found = judge_dependence(dependence(damaged, CUTS), DEPENDENCES, rows=2_000)
    assert {tuple(finding.numbers["columns"]) for finding in found} == {("price", "total"), ("total", "kind")}
    assert found[0].verdict == "warn"
    assert "depend less on each other" in found[0].reason


def test_a_copied_column_depends_more_than_it_should():
    damaged = day(51).with_columns(noise=pl.col("price"))
    found = judge_dependence(dependence(damaged, CUTS), DEPENDENCES, rows=2_000)
    assert ("price", "noise") in {tuple(finding.numbers["columns"]) for finding in found}


def test_too_little_past_judges_nothing():
    damaged = plant("shuffled_column", day(50), ["total"])
    assert judge_dependence(dependence(damaged, CUTS), DEPENDENCES[:4], rows=2_000) == []


def test_columns_that_are_lost_or_retyped_are_left_out():
    frame = day(3).drop("kind").with_columns(pl.col("price").cast(pl.String))
    assert set(dependence(frame, CUTS)) == {("total", "noise"), ("total", "shop"), ("noise", "shop")}


def test_missing_values_are_a_bin_of_their_own():
    frame = day(4).with_columns(pl.when(pl.col("shop") == "north").then("noise").alias("noise"))
    assert dependence(frame, CUTS)["noise", "shop"] == pytest.approx(1.0, abs=0.01)


def test_a_column_may_be_called_count():
    frame = pl.DataFrame({"count": ["x", "y"] * 50, "value": ["u", "v"] * 50})
    assert dependence(frame, cuts(frame)) == {("count", "value"): 1.0}


def test_a_tolerance_that_is_no_share_is_refused():
    with pytest.raises(ContractError, match="tolerance of dependence is 1"):
        judge_dependence({}, [], rows=1, tolerance=1)
