"""Owns what people say of the form of texts: patterns, which are RE2's, and strptime formats, which are Polars'."""

import re
from datetime import UTC, datetime

import polars as pl

from resources.errors import DeclarationError

_NANOSECONDS = re.compile(r"(?<!%)(?:%%)*%f")
_SOME_TIME = datetime(2001, 2, 3, 16, 5, 6, 123456, tzinfo=UTC)


def whole_match(pattern: str) -> str:
    """Return the expression that only texts match which `pattern` matches from end to end."""
    return rf"\A(?:{pattern})\z"


def check_pattern(pattern: str) -> None:
    """Refuse what is no regular expression of RE2; only it can tell, so this imports pyarrow.

    Raises:
        DeclarationError: With its reason.
    """
    import pyarrow as pa

    from quality.contract.arrow import compute

    texts = pa.nulls(1, pa.string()).fill_null("")
    try:
        for expression in (pattern, whole_match(pattern)):  # `a)|(b` is one only within, `\Q` only without
            compute().match_substring_regex(texts, expression)
    except pa.ArrowInvalid as error:
        raise DeclarationError(f"pattern {pattern!r} is no regular expression of RE2: {error}") from error


def check_format(form: str, kind: pl.Date | pl.Datetime) -> None:
    """Refuse a strptime format by which no date or clock can be read.

    Raises:
        DeclarationError: With the reason.
    """
    if _NANOSECONDS.search(form):
        raise DeclarationError(
            f"format {form!r}: %f reads a number of nanoseconds; write %.f for a fraction of a second"
        )
    try:
        texts = pl.Series([_SOME_TIME]).dt.to_string(form.replace("%#z", "%z"))  # which is for reading only
        unread = "%" not in form or texts.str.strptime(kind, form, strict=False).null_count()
    except (pl.exceptions.ComputeError, UnicodeEncodeError) as error:
        raise DeclarationError(f"format {form!r} is no strptime format: {str(error).partition(chr(10))[0]}") from error
    if unread:
        raise DeclarationError(f"format {form!r}: nothing can be read by it; give one such as %m/%d/%Y")
