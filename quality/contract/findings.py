"""Owns the reasons for which rows are rejected: which rule, in which row, with which value.

A rule ("cnt: below minimum 0") is what is counted; a text ("cnt: -5 is below minimum 0") marks the row.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from quality.contract.arrow import compute, plain, to_series
from quality.contract.calendar import beyond_span, far_text, without

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST = 10_000
"""Most characters with which a value is written whole, such as that of a rejected row."""
_BEGINNING = 9_900
"""Of a longer one so many are; what says how long it is fits in beside them, so that nothing is cut twice."""
_SHOWN_LENGTH = 60


class Reason(NamedTuple):
    """Why one row is rejected: the rule it breaks, and the text that names its value too."""

    rule: str
    text: str


Findings = dict[int, list[Reason]]
"""Row index to its reasons; rows without a reason are not in it."""


def merge(into: Findings, more: Findings) -> None:
    """Add the reasons of `more` to `into`."""
    for row, reasons in more.items():
        into.setdefault(row, []).extend(reasons)


def count(reasons: Iterable[Sequence[Reason]]) -> dict[str, int]:
    """Return how many rows break each rule, most frequent first; a row may break several."""
    counted = Counter(rule for of_row in reasons for rule in {reason.rule for reason in of_row})
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def shown(text: str | None) -> str:
    """Return a value's text as messages show it: quoted, and cut where it is long.

    >>> shown("x"), shown(None)
    ("'x'", 'null')
    """
    return "null" if text is None else repr(cut(text))


def cut(text: str) -> str:
    """Return a text as messages show it: its beginning where it is long."""
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def texts_of(values: "pa.Array") -> list[str | None]:
    """Return each value as text: numbers as short as they read back, clocks in ISO 8601."""
    known = plain(values)
    far = beyond_span(known)
    texts = as_text(_as_series(known if far is None else without(known, far))).to_list()
    for row in () if far is None else rows_where(far):
        texts[row] = far_text(known, row)
    return texts


def _as_series(values: "pa.Array") -> pl.Series:
    """Return values as Polars knows them: decimals of 256 bits as text, clocks of a zone that it lacks in UTC."""
    import pyarrow as pa

    if pa.types.is_decimal256(values.type):
        return to_series(values.cast(pa.string()))
    try:
        return to_series(values)
    except pl.exceptions.ComputeError:
        if not pa.types.is_timestamp(values.type):
            raise
        return to_series(values.cast(pa.timestamp(values.type.unit, "UTC")))


def as_text(values: pl.Series) -> pl.Series:
    """Return each value as text likewise, of texts and bytes longer than `LONGEST` their beginning and their length.

    Dates and clocks must be within the calendar.
    """
    if values.dtype.is_temporal():
        return values.dt.to_string("iso")
    if isinstance(values.dtype, pl.Binary):
        sizes, heads = values.bin.size(), values.bin.head(_BEGINNING // 2).bin.encode("hex")
        long, unit = sizes > LONGEST // 2, "bytes"
        texts = values.bin.head(LONGEST // 2).bin.encode("hex")
    else:
        texts = values.cast(pl.String)
        if not (texts.str.len_bytes() > LONGEST).any():
            return texts
        sizes, heads = texts.str.len_chars(), texts.str.head(_BEGINNING)
        long, unit = sizes > LONGEST, "characters"
    return (heads + "… (" + sizes.cast(pl.String) + f" {unit})").zip_with(long.fill_null(False), texts)


def rows_where(mask: "pa.Array") -> list[int]:
    """Return the row numbers where `mask` is true."""
    return compute().indices_nonzero(mask).to_pylist()
