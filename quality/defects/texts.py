"""Owns the defects of text and of codes: cut, padded, misread, renamed, merged."""

import polars as pl

from quality.defects.spec import Planting, put
from resources.errors import DeclarationError

UNKNOWN = "zz_unknown"


def truncated_text(at: Planting) -> pl.DataFrame:
    """Cut every text after a number of characters."""
    return at.put(_text(at).str.slice(0, round(at.magnitude)))


def case_change(at: Planting) -> pl.DataFrame:
    """Turn a share of the texts into capitals; those in capitals already into small letters."""
    upper = _text(at).str.to_uppercase()
    return at.put(
        pl.select(pl.when(upper == _text(at)).then(upper.str.to_lowercase()).otherwise(upper)).to_series(), at.struck()
    )


def whitespace(at: Planting) -> pl.DataFrame:
    """Add a space to the end of a share of the texts."""
    return at.put(_text(at) + " ", at.struck())


def mojibake(at: Planting) -> pl.DataFrame:
    """Read a share of the texts, stored as UTF-8, as Latin-1."""
    distinct = _text(at).unique().drop_nulls().to_list()
    misread = [text.encode().decode("latin-1") for text in distinct]
    return at.put(_text(at).replace_strict(distinct, misread, default=None, return_dtype=pl.String), at.struck())


def lost_leading_zeros(at: Planting) -> pl.DataFrame:
    """Strip the leading zeros of a share of the texts, as a spreadsheet does."""
    return at.put(_text(at).str.strip_chars_start("0"), at.struck())


def category_rename(at: Planting) -> pl.DataFrame:
    """Rename the category whose share of the rows is nearest to the magnitude."""
    return at.put(_renamed(at, UNKNOWN), at.values == _category(at))


def merged_categories(at: Planting) -> pl.DataFrame:
    """Count the category whose share of the rows is nearest to the magnitude with the most frequent other one."""
    into = next(value for value in _by_frequency(at) if value != _category(at))
    return at.put(_constant(at, into), at.values == _category(at))


def encoding_swap(at: Planting) -> pl.DataFrame:
    """Exchange the category whose share is nearest to the magnitude with the rarest other one."""
    one = _category(at)
    two = next(value for value in reversed(_by_frequency(at)) if value != one)
    swapped = at.put(_constant(at, two), at.values == one)
    return put(swapped, at.column, _constant(at, one), at.values == two)


def new_category(at: Planting) -> pl.DataFrame:
    """Put a value never seen before into a share of the rows."""
    return at.put(_renamed(at, UNKNOWN), at.struck())


def lost_category(at: Planting) -> pl.DataFrame:
    """Lose all rows of the category whose share is nearest to the magnitude."""
    return at.frame.filter((at.values != _category(at)).fill_null(value=True))


def code_out_of_range(at: Planting) -> pl.DataFrame:
    """Put the code past the largest one into a share of the rows."""
    largest = int(str(at.values.max()))
    return at.put(_constant(at, largest + 1), at.struck())


def broken_key(at: Planting) -> pl.DataFrame:
    """Put keys into a share of the rows that no other table knows: beyond the largest, each another one."""
    if at.values.dtype.is_integer():
        past_all = pl.Series(range(at.frame.height)).cast(at.values.dtype) + int(str(at.values.max())) + 1
    else:
        past_all = pl.Series([f"{UNKNOWN}{row}" for row in range(at.frame.height)])
    return at.put(past_all, at.struck())


def _text(at: Planting) -> pl.Series:
    return at.values.cast(pl.String)


def _constant(at: Planting, value: object) -> pl.Series:
    return pl.Series([value], dtype=at.values.dtype).new_from_index(0, at.frame.height)


def _renamed(at: Planting, name: str) -> pl.Series:
    if at.values.dtype.is_integer():
        return _constant(at, int(str(at.values.max())) + 1)
    return pl.Series([name]).new_from_index(0, at.frame.height)


def _by_frequency(at: Planting) -> dict[object, float]:
    """Return the categories with their shares of the rows, the most frequent first."""
    named = at.values.drop_nulls().alias("category")  # the column itself may be called "count"
    counts = named.value_counts().sort("count", "category", descending=[True, False])
    if counts.height < 2:
        raise DeclarationError(f"column {at.column!r} holds {counts.height} categories, this defect needs two or more")
    return {name: count / at.frame.height for name, count in counts.iter_rows()}


def _category(at: Planting) -> object:
    """Return the category whose share is nearest to the magnitude; of equally near ones the most frequent."""
    shares = _by_frequency(at)
    return min(shares, key=lambda name: abs(shares[name] - at.magnitude))
