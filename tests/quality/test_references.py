"""Keys that another table must know."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.references import judge_references
from resources.errors import DeclarationError

KNOWN = pl.Series([1, 2, 3])


@given(values=st.lists(st.none() | st.integers(1, 9), max_size=30))
def test_lost_keys_are_counted_and_nulls_refer_to_nothing(values):
    found = judge_references(pl.Series("customer", values, dtype=pl.Int64), KNOWN, table="customers")
    assert found.numbers["lost"] == sum(value is not None and value > 3 for value in values)
    assert found.verdict == ("block" if found.numbers["lost"] else "pass")


def test_a_tolerated_share_passes():
    values = pl.Series("customer", [1] * 99 + [9])
    assert judge_references(values, KNOWN, table="customers", tolerance=0.01).verdict == "pass"
    assert judge_references(values, KNOWN, table="customers", tolerance=0.005).verdict == "block"


def test_keys_of_unlike_types_are_refused_with_the_remedy():
    with pytest.raises(DeclarationError, match="keys of 'customer' are String, those of customers are Int64: cast one"):
        judge_references(pl.Series("customer", ["1"]), KNOWN, table="customers")


def test_a_tolerance_that_is_no_share_is_refused():
    with pytest.raises(DeclarationError, match=r"tolerance of references is 1\.5"):
        judge_references(KNOWN.alias("customer"), KNOWN, table="customers", tolerance=1.5)
