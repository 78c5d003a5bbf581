"""Preprocessing: raw rows in, features with their label out, the same bits in any partition."""

import polars as pl
import pytest

from resources.errors import ContractError
from resources.transform.preprocess import LABEL, Recipe, rows


def test_the_label_of_a_row_has_the_same_bits_in_any_partition():
    raw = pl.DataFrame({"at": range(50), "cnt": [float(number) ** 3 for number in range(50)]})
    recipe = Recipe(columns={"n": "cnt"}, label="cnt / 7.3", event_time="at")

    together = rows(recipe, raw)[LABEL].to_list()

    assert [rows(recipe, raw[place])[LABEL].item() for place in range(50)] == together


def test_a_label_that_cannot_be_computed_is_told_in_plain_words():
    raw = pl.DataFrame({"at": [1], "cnt": ["many"]})
    with pytest.raises(ContractError, match="many"):
        rows(Recipe(columns={"n": "at"}, label="CAST(cnt AS DOUBLE)", event_time="at"), raw)
