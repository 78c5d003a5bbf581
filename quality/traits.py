"""Owns the traits of a column: shares of its values that a data defect moves and that a distribution test may not see.

Whole numbers tell of rounding, padded texts of an export, values equal to that of the row before of a stuck sensor.
Traits are numbers from 0 to 1, one set a partition, to be judged against the pipeline's own past; it judges nothing.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import polars as pl

from quality.readable import require_plain
from resources.errors import DeclarationError
from resources.names import unknown_name

FAR = 10.0
"""Values further from the median than this many interquartile ranges are far."""
NULL_WORDS = ("none", "null", "nan", "n/a", "na", "nil", "-", "unknown")
"""Texts, in small letters, that mean a missing value."""
_EXPRESSIONS = 500
"""Most expressions of one query: planning takes longer than linearly."""
_MISREAD = r"[\u00C2\u00C3][\u0080-\u00BF]"
"""UTF-8 read as Latin-1: every letter from U+0080 to U+00FF becomes one of these pairs (RFC 3629, section 3)."""


def traits(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Return the traits of each column, all shares of the rows or of the values, found in one query.

    ==============  ======================================================================================
    missing         rows without a value, of all rows; NaN counts
    nan             NaN, of all rows
    zero, negative  numbers that are 0, below 0
    whole, tenths   floats without a fraction; whose tenfold has none
    float32         floats that float32 holds as they are
    largest         numbers that equal the largest of the partition: clipped, saturated
    far             numbers further than `FAR` interquartile ranges from the median; the range of all, or of
                    those that are not the median where that is wider
    repeated        values equal to that of the row before
    empty, padded   texts without a character; with white space at an end
    capitals        texts without a small letter, with a letter
    misread         texts with UTF-8 read as Latin-1
    null_words      texts such as "None"
    zero_first      texts that begin with a 0
    longest         texts as long as the longest of the partition: cut
    whole_hours     times at a full hour
    ==============  ======================================================================================

    Args:
        frame: One partition, in the order in which it came.
        columns: Columns to look at; None takes all whose type has traits.

    Raises:
        DeclarationError: If a column is missing.
        ContractError: If the name of a column is a pattern.

    Returns:
        Column to trait to share; columns without any value have "missing" alone.

    >>> found = traits(pl.DataFrame({"x": [1.0, 2.5, 2.5, None]}))["x"]
    >>> found["missing"], round(found["whole"], 3), found["repeated"]
    (0.25, 0.333, 0.25)
    """
    names = frame.columns if columns is None else list(columns)
    for name in names:
        if name not in frame.columns:
            raise DeclarationError(unknown_name("column", name, frame.columns))
    require_plain("the partition", frame.schema, objects=True)
    wanted = {name: _expressions(pl.col(name), frame.schema[name]) for name in names}
    named = {f"{place} {key}": e for place, of in enumerate(wanted.values()) for key, e in of.items()}
    if frame.is_empty() or not named:
        return {name: {} for name in names}
    row: dict[str, Any] = {}
    for some in _batched(named, _EXPRESSIONS):
        row |= frame.lazy().select(**{key: named[key] for key in some}).collect().row(0, named=True)
    found = {name: {key: row[f"{place} {key}"] for key in of} for place, (name, of) in enumerate(wanted.items())}
    return {name: _known(of) for name, of in found.items()}


def _batched(names: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield names in lists of at most `size`."""
    rest = iter(names)
    while some := list(islice(rest, size)):
        yield some


def _known(found: Mapping[str, float | None]) -> dict[str, float]:
    return {key: float(share) for key, share in found.items() if share is not None and math.isfinite(share)}


def _expressions(column: pl.Expr, kind: pl.DataType) -> dict[str, pl.Expr]:
    missing = {"missing": column.is_null().mean()}
    repeated = {"repeated": (column == column.shift(1)).fill_null(value=False).mean()}
    if kind.is_float():
        values = column.fill_nan(None)
        nan = {"missing": values.is_null().mean(), "nan": column.is_nan().fill_null(value=False).mean()}
        return nan | repeated | _numbers(values.drop_nulls()) | _floats(values.drop_nulls())
    if kind.is_numeric():
        return missing | repeated | _numbers(column.drop_nulls().cast(pl.Float64))
    if isinstance(kind, (pl.String, pl.Categorical, pl.Enum)):
        return missing | repeated | _texts(column.drop_nulls().cast(pl.String))
    if isinstance(kind, pl.Datetime):
        clock = column.drop_nulls()
        return missing | repeated | {"whole_hours": (clock.dt.truncate("1h") == clock).mean()}
    return missing | repeated if isinstance(kind, (pl.Boolean, pl.Date)) else missing


def _numbers(values: pl.Expr) -> dict[str, pl.Expr]:
    distance = (values - values.median()).abs()
    # Of a column that is three quarters zeros a quartile is zero on one day and the smallest number on the next: then
    # the quartiles of the other numbers tell how far is far.
    own, others = (_between_quartiles(some) for some in (values, values.filter(values != values.median())))
    return {
        "zero": (values == 0).mean(),
        "negative": (values < 0).mean(),
        "largest": (values == values.max()).mean(),
        "far": ((distance > FAR * pl.max_horizontal(own, others)) & (own > 0)).mean(),
    }


def _between_quartiles(values: pl.Expr) -> pl.Expr:
    return values.quantile(0.75, "nearest") - values.quantile(0.25, "nearest")


def _floats(values: pl.Expr) -> dict[str, pl.Expr]:
    return {
        "whole": (values == values.floor()).mean(),
        # A tenth has no exact float: near enough is a tenth.
        "tenths": ((values * 10 - (values * 10).round()).abs() < 1e-6).mean(),
        "float32": (values == values.cast(pl.Float32).cast(pl.Float64)).mean(),
    }


def _texts(values: pl.Expr) -> dict[str, pl.Expr]:
    length = values.str.len_chars()
    small = values.str.to_lowercase()
    return {
        "empty": (length == 0).mean(),
        "padded": (values.str.strip_chars() != values).mean(),
        "capitals": ((values.str.to_uppercase() == values) & (small != values)).mean(),
        "misread": values.str.contains(_MISREAD).mean(),
        "null_words": small.is_in(NULL_WORDS).mean(),
        "zero_first": values.str.starts_with("0").mean(),
        "longest": (length == length.max()).mean(),
    }
