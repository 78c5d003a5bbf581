"""Columns and names that break what reads them: the rows of the matrices in `test_bad_input`."""

import struct
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl

ROWS = 6
PAYLOAD = struct.unpack("<d", struct.pack("<Q", 0x7FF8DEAD00BEEF00))[0]
INF, NAN = float("inf"), float("nan")
_OLD, _LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)
_VALUES = {
    "null type": ([None] * ROWS, pl.Null),
    "list": ([[1], [2, None], None, [], [1], [3]], pl.List(pl.Int64)),
    "array": ([[1, 2], [2, None], None, [0, 0], [1, 2], [3, 3]], pl.Array(pl.Int64, 2)),
    "struct": ([{"a": 1}, {"a": None}, None, {"a": 3}, {"a": 1}, {"a": 1}], pl.Struct({"a": pl.Int64})),
    "decimal": ([Decimal("1.50"), Decimal("-2.25"), None, Decimal(0), Decimal(1), Decimal(1)], pl.Decimal(10, 2)),
    "wide decimal": ([Decimal(10) ** 37, -(Decimal(10) ** 37), None, *[Decimal(1)] * 3], pl.Decimal(38, 0)),
    "binary": ([b"a", b"\xff\x00", None, b"", b"a", b"b"], pl.Binary),
    "category": (["a", "b", None, "", "a", "b"], pl.Categorical),
    "enum": (["a", "b", None, "a", "a", "b"], pl.Enum(["b", "a", "unused"])),
    "int64 ends": ([-(2**63), 2**63 - 1, 0, -(2**63), 2**63 - 1, 2**53 + 1], pl.Int64),
    "int64 ends and null": ([-(2**63), 2**63 - 1, None, 0, 1, 2**53 + 1], pl.Int64),
    "uint64": ([0, 2**64 - 1, 2**63, 2**64 - 1, 1, 5], pl.UInt64),
    "int128": ([0, 2**126, None, -(2**126), 1, 5], pl.Int128),
    "negative zero": ([-0.0, 0.0, -0.0, 1.0, 0.0, -1.0], pl.Float64),
    "NaN payloads": ([NAN, PAYLOAD, -NAN, 1.0, None, 2.0], pl.Float64),
    "only NaN": ([NAN] * ROWS, pl.Float64),
    "infinities": ([INF, -INF, INF, 1.0, 0.0, None], pl.Float64),
    "only infinities": ([INF] * ROWS, pl.Float64),
    "largest floats": ([1.7e308, -1.7e308, 1.7e308, 5e-324, 0.0, 1e308], pl.Float64),
    "float32": ([3.4e38, -3.4e38, 1e-45, 0.1, None, NAN], pl.Float32),
    "old dates": ([date(1, 1, 1), date(1969, 12, 31), None, date(9999, 12, 31), *[date(1970, 1, 1)] * 2], pl.Date),
    "old times": ([_OLD, datetime(1969, 12, 31, 23, 59, 59, 999_999), None, _LAST, _OLD, _OLD], pl.Datetime("us")),
    "zoned": ([datetime(2024, 3, 31, 1, 30, tzinfo=UTC), None] * 3, pl.Datetime("us", "UTC")),
    "time of day": ([time(0), time(23, 59, 59, 999_999), None, time(12), time(0), time(0)], pl.Time),
    "duration": ([timedelta(0), timedelta(-1), None, timedelta(10**6), timedelta(0), timedelta(1)], pl.Duration("us")),
    "NUL texts": (["a\0b", "\0", None, "", "a", "a\n\r\t"], pl.String),
    "odd texts": (["\u202e", "\ufeff", None, "e\u0301", "😀", "x" * 10_000], pl.String),
    "one value": ([1] * ROWS, pl.Int64),
    "boolean": ([True, False, None, True, True, False], pl.Boolean),
}
_FAR = {
    "far dates": ([-800_000, 2_932_897, None, 4_000_000, 0, 0], pl.Date),
    "far times": ([-(10**17), 4 * 10**17, None, 2**62, 0, 0], pl.Datetime("us")),
    "nanoseconds read as milliseconds": ([10**18, 1, None, 10**18 + 1, 0, 0], pl.Datetime("ms")),
}
_KINDS = (pl.Int64, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Datetime("us"), pl.Categorical, pl.List(pl.Int64))
_SHORT = ("int64 ends", "float32", "NUL texts", "boolean", "old times", "list", "decimal", "null type")

NAMES = [
    "", " ", "a.b", 'q"uote', "new\nline", "日本", "count", "value", "len", "index", "literal", "nul\0", "x" * 10_240,
    "position of the row", "row", "training", "serving", "{x}", "a/b", "<script>", "%s", "nulls 0", "name", "0",
]  # fmt: skip
"""Names of columns that must be of no harm."""
PATTERNS = ["*", "^a.*$", "^$"]
"""Names that stand for other columns in Polars."""


def far_columns():
    """Return the columns of dates and times that Python has not, by what they are."""
    held = {"far dates": pl.Int32}
    return {
        name: pl.Series("x", values, held.get(name, pl.Int64)).cast(kind).to_frame()
        for name, (values, kind) in _FAR.items()
    }


def columns():
    """Return tables of one column x, by what is bad about it; without far dates."""
    whole = {name: pl.Series("x", values, kind).to_frame() for name, (values, kind) in _VALUES.items()}
    void = {f"only null {kind}": pl.Series("x", [None] * ROWS, kind).to_frame() for kind in _KINDS}
    none = {f"no rows of {name}": whole[name].clear() for name in _SHORT}
    one = {f"one row of {name}": whole[name].head(1) for name in _SHORT}
    return {**whole, **void, **none, **one}


def objects():
    """Return a column of Python objects."""
    return pl.Series("x", [object(), {1}, None, 3, "x", 3], dtype=pl.Object).to_frame()
