"""Owns what an SQL expression may say: its tokens, its functions, and why some are refused.

A feature must be the same in training and in scoring, in any batch, on any day. So clocks and random numbers are
refused, and so is what looks at rows that are not there yet: aggregates without `OVER (ORDER BY ...)`, `LEAD`,
descending windows, frames that reach forward. Compiling to Polars is in `expressions.py`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from resources.errors import DeclarationError
from resources.names import name_error


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SCALAR_FUNCTIONS = _words(
    """ABS ACOS ASIN ATAN ATAN2 ATAN2D ATAND ACOSD ASIND BIT_AND BIT_COUNT BIT_LENGTH BIT_OR BIT_XOR CAST CBRT CEIL
    CEILING CHARACTER_LENGTH CHAR_LENGTH COALESCE CONCAT CONCAT_WS COS COSD COT COTD DATE_PART DAY DEGREES DIV
    ENDS_WITH EXP EXTRACT FLOOR GREATEST HOUR IF IFNULL INITCAP LEAST LEFT LENGTH LN LOG LOG10 LOG1P LOG2 LOWER LPAD
    LTRIM MINUTE MOD MONTH NORMALIZE NULLIF OCTET_LENGTH PI POSITION POW POWER QUARTER RADIANS REGEXP_LIKE
    REGEXP_REPLACE REPLACE REVERSE RIGHT ROUND RPAD RTRIM SECOND SIGN SIN SIND SPLIT_PART SQRT STARTS_WITH STRFTIME
    STRPOS STRPTIME SUBSTR SUBSTRING TAN TAND TRIM TRUNC TRUNCATE TRY_CAST UPPER WEEK YEAR"""
)
WINDOW_FUNCTIONS = _words("AVG COUNT DENSE_RANK FIRST_VALUE LAG LAST_VALUE MAX MIN RANK ROW_NUMBER SUM")
FUNCTIONS = SCALAR_FUNCTIONS | WINDOW_FUNCTIONS

_CLOCKS = _words(
    """CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP NOW TODAY GETDATE SYSDATE UTC_DATE
    UTC_TIMESTAMP CLOCK_TIMESTAMP"""
)
_BARE_CLOCKS = _words("CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP")
_RANDOM = _words("RANDOM RAND RANDN UUID NEWID GEN_RANDOM_UUID SETSEED SHUFFLE SAMPLE")
_STATEMENTS = _words("SELECT WITH VALUES EXISTS UNION INSERT UPDATE DELETE CREATE DROP")
_AHEAD = _words("LEAD NTILE PERCENT_RANK CUME_DIST NTH_VALUE")
_AGGREGATES = _words("MEDIAN STDDEV STD STDEV VAR VARIANCE QUANTILE_CONT QUANTILE_DISC CORR COVAR FIRST LAST")
_NOT_FUNCTIONS = _words(
    """ALL AND ANY AS BETWEEN BY CASE DISTINCT ELSE FILTER FROM ILIKE IN IS LIKE NOT ON OR OVER RLIKE THEN WHEN
    WHERE XOR"""
)
_TOKEN = re.compile(
    r"""(?P<comment>--|/\*|\#)|(?P<string>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*"|`[^`]*`)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<word>[^\W\d]\w*)|(?P<space>\s+)
    |(?P<sign>::|[^\s])""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """One word, name, number, text or sign of an expression; `word` is in upper case for words and quoted names."""

    kind: str
    word: str


def check_text(field: str, text: str) -> None:
    """Refuse text that is unsafe, not deterministic, or calls a function that is not allowed.

    Raises:
        DeclarationError: Naming `field`, the text, what is allowed and the nearest valid name.
    """
    tokens = list(_tokens(field, text))
    for place, token in enumerate(tokens):
        _check_word(field, text, token)
        if token.kind in ("word", "quoted") and _is_call(tokens, place):
            _check_function(field, text, token.word)
            if token.word in WINDOW_FUNCTIONS:
                _check_window(field, text, token.word, _window_of(tokens, place + 1))


def is_row_wise(text: str) -> bool:
    """Return whether a row's value depends on that row alone, which windows do not.

    >>> is_row_wise("hr * 2"), is_row_wise("LAG(cnt, 168) OVER (ORDER BY ts)")
    (True, False)
    """
    return not any(token == Token("word", "OVER") for token in _tokens("expression", text))


def with_float_literals(text: str) -> str:
    """Return `text` with every decimal literal written as a float, as `0.5` to `0.5e0`.

    Polars reads `0.5` beside integers as a decimal and keeps six digits of a quotient: `10 / 7.3` would be 1.369863.

    >>> with_float_literals("hr * 0.5 + LENGTH('1.5')")
    "hr * 0.5e0 + LENGTH('1.5')"
    """
    return _TOKEN.sub(_as_float, text)


def refused(field: str, text: str, reason: str) -> DeclarationError:
    """Return the error that says why `text` is refused."""
    return DeclarationError(f"{field}: {text!r} {reason}")


def _as_float(match: re.Match[str]) -> str:
    found = match.group()
    return f"{found}e0" if match.lastgroup == "number" and "." in found and "e" not in found.lower() else found


def _tokens(field: str, text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        kind, found = str(match.lastgroup), match.group()
        if kind == "comment":
            raise refused(field, text, f"holds a comment ({found}): write what it says into the description")
        if kind == "quoted":
            yield Token(kind, found[1:-1].upper())
        elif kind != "space":
            yield Token(kind, found.upper() if kind == "word" else found)


def _check_word(field: str, text: str, token: Token) -> None:
    if token.kind == "sign" and token.word in ";$?@":
        raise refused(field, text, f"holds {token.word!r}: write one plain SQL expression over columns")
    if token.kind == "sign" and token.word in "'\"`":
        raise refused(field, text, f"has an opening {token.word} without its end: close the quotation")
    if token.kind != "word":
        return
    if token.word in _BARE_CLOCKS:
        raise refused(field, text, f"reads the clock ({token.word}): use the event-time column")
    if token.word in _STATEMENTS:
        raise refused(field, text, f"holds {token.word}: write an expression over columns, not a query")


def _is_call(tokens: Sequence[Token], place: int) -> bool:
    token = tokens[place]
    if place + 1 == len(tokens) or tokens[place + 1].word != "(" or tokens[place + 1].kind != "sign":
        return False
    if token.kind == "word" and token.word in _NOT_FUNCTIONS:
        return False
    before = tokens[place - 1].word if place else ""
    return before not in ("AS", "::")  # a type with a length, such as VARCHAR(10)


def _check_function(field: str, text: str, name: str) -> None:
    if name in FUNCTIONS:
        return
    if name in _CLOCKS:
        raise refused(field, text, f"reads the clock ({name}): use the event-time column")
    if name in _RANDOM:
        raise refused(field, text, f"calls {name}, which gives another value each time: features must be repeatable")
    if name in _AHEAD:
        raise refused(field, text, f"calls {name}, which looks at later rows: a feature may use LAG, never the future")
    if name in _AGGREGATES:
        raise refused(
            field,
            text,
            f"calls {name}, whose value depends on which rows are in the batch: "
            "use a fitted step such as impute, standardize or clip",
        )
    raise name_error(f"{field}: {text!r}", "function", name, FUNCTIONS)


def _window_of(tokens: Sequence[Token], opening: int) -> Sequence[Token] | None:
    after = _closing(tokens, opening) + 1
    if after < len(tokens) and tokens[after].word == "FILTER":
        after = _closing(tokens, after + 1) + 1
    if after < len(tokens) and tokens[after].word == "OVER":
        return tokens[after + 1 : _closing(tokens, after + 1) + 1]
    return None


def _closing(tokens: Sequence[Token], opening: int) -> int:
    depth = 0
    for place in range(opening, len(tokens)):
        if tokens[place].kind == "sign":
            depth += {"(": 1, ")": -1}.get(tokens[place].word, 0)
        if depth <= 0:
            return place
    return len(tokens)


def _check_window(field: str, text: str, name: str, window: Sequence[Token] | None) -> None:
    words = {token.word for token in window or () if token.kind == "word"}
    if "ORDER" not in words:
        raise refused(
            field,
            text,
            f"calls {name} without OVER (ORDER BY time): its value would depend on which rows are in the batch",
        )
    for word in ("DESC", "FOLLOWING"):
        if word in words:
            raise refused(field, text, f"looks at later rows ({name} with {word}): a feature may use the past only")
