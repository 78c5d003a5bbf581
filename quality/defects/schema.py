"""Owns the defects of the table's columns: lost, gained, renamed, of another type."""

import polars as pl

from quality.defects.spec import Planting

SUFFIX = "_v2"


def dropped_column(at: Planting) -> pl.DataFrame:
    """Lose a column."""
    return at.frame.drop(at.column)


def new_column(at: Planting) -> pl.DataFrame:
    """Gain a copy of a column under another name."""
    return at.frame.with_columns(at.values.alias(at.column + SUFFIX))


def renamed_column(at: Planting) -> pl.DataFrame:
    """Give a column another name."""
    return at.frame.rename({at.column: at.column + SUFFIX})


def type_change(at: Planting) -> pl.DataFrame:
    """Turn a column of numbers into text with a unit behind a share of them."""
    text = at.values.cast(pl.String)
    return at.put(pl.select(pl.when(at.struck()).then(text + " kg").otherwise(text)).to_series())
