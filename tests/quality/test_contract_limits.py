"""Limits and allowed values at the edges of what types hold: refused when declared, or judged by what they say."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.contract import Column, Contract, split
from quality.contract.splitting import Splitter
from quality.contract.types import polars_type
from resources.errors import DeclarationError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FIRST_DAY, LAST_DAY = date.min.toordinal() - 719_163, date.max.toordinal() - 719_163
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def kept_by_both(column: Column, values: pl.Series) -> list[bool]:
    """Return which values are kept, asking row by row and by whole columns, which must agree."""
    frame = pl.DataFrame({"row": range(len(values)), "c": values})
    contract = Contract(columns={"row": Column(type="int64"), "c": column})
    rows = split(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), contract).kept["row"].to_pylist()
    splitter = Splitter(contract, frame.schema)
    assert splitter.take(splitter.judge(frame))["row"].to_list() == rows
    return [row in rows for row in range(len(values))]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "timestamp[ns]", "minimum": "1600-01-01"}, "must lie from 1677-09-21T00:12:43.145225 to 2262"),
        ({"type": "timestamp[ns]", "maximum": "9999-12-31"}, "remove it, or declare timestamp[us]"),
        ({"type": "timestamp[ns]", "maximum": "2020-01-01T00:00:00.123456789"}, "is told to the microsecond"),
        ({"type": "timestamp[us]", "minimum": "0001-01-01T00:00+05:00"}, "within the years 1 to 9999 of UTC"),
        ({"type": "timestamp[s]", "minimum": "9999-12-31T23:59:59.5"}, "within the years 1 to 9999 of UTC"),
        ({"type": "float64", "minimum": float("nan")}, "must be a finite number that 64 bits hold, got nan"),
        ({"type": "float64", "maximum": float("inf")}, "must be a finite number that 64 bits hold, got inf"),
        ({"type": "float64", "maximum": 10**400}, "must be a finite number that 64 bits hold"),
        ({"type": "float32", "maximum": 1e300}, "must be a finite number that 32 bits hold, got 1e+300"),
        ({"type": "decimal128(4, 2)", "maximum": 100}, "must be a number from -99.99 to 99.99, got 100"),
        ({"type": "decimal128(4, 2)", "maximum": float("inf")}, "must be a number from -99.99 to 99.99, got inf"),
        ({"type": "decimal128(4, 2)", "maximum": "much"}, "must be a number from -99.99 to 99.99, got 'much'"),
        ({"type": "decimal128(38, 0)", "minimum": -(10**400)}, f"must be a number from -{10**38 - 1} to"),
        ({"type": "decimal128(4, 2)", "minimum": 0.001, "maximum": 0.009}, "no decimal128(4, 2) lies between"),
        ({"type": "float64", "allowed": (1.0, float("nan"))}, "allowed value of a float64 column must be a finite"),
        ({"type": "float32", "allowed": (1e39,)}, "allowed value of a float32 column must be a finite"),
        ({"type": "date32", "allowed": ("2020-01-01",)}, "allowed has no meaning for a date32 column"),
        ({"type": "string", "allowed": (1,)}, "allowed value 1 is no string"),
        ({"type": "bool", "allowed": (1,)}, "allowed value 1 is no bool"),
        ({"type": "string", "allowed": ("\ud800",)}, "half of a surrogate pair"),
        ({"type": "string", "pattern": "\ud800"}, "half of a surrogate pair"),
        ({"type": "string", "pattern": "(?=a)"}, "is no regular expression of RE2"),
        ({"type": "string", "pattern": "a)|(b"}, "is no regular expression of RE2"),
        ({"type": "string", "pattern": "a{1001}"}, "is no regular expression of RE2"),
        ({"type": "timestamp[us]", "timezone": "Factory"}, "'Factory' is no IANA time zone"),
    ],
)
def test_what_no_value_of_the_type_can_be_held_to_is_refused(fields: dict[str, Any], message: str):
    with pytest.raises(DeclarationError) as error:
        Column(**fields)
    assert message in str(error.value)


def test_a_column_whose_name_cannot_be_stored_is_refused():
    with pytest.raises(DeclarationError, match="half of a surrogate pair"):
        Contract(columns={"\ud800": Column(type="int64")})


def test_a_pattern_of_re2_that_python_does_not_know_is_taken():
    kept = kept_by_both(Column(type="string", pattern=r"\p{L}+"), pl.Series(["aé", "a1"]))
    assert kept == [True, False]


def test_a_decimal_limit_is_told_exactly_as_text_or_decimal():
    for told in ("123456789012345678.91", Decimal("123456789012345678.91")):
        column = Column(type="decimal128(20, 2)", maximum=told)  # type: ignore[arg-type]
        assert column.highest == Decimal("123456789012345678.91")
        assert Column(**column.model_dump(mode="json")) == column


@pytest.mark.parametrize("type_text", ["float32", "float64"])
@pytest.mark.parametrize("zero", [0.0, -0.0, 0])
def test_both_zeros_are_the_same_allowed_value(type_text: str, zero: float):
    column = Column(type=type_text, allowed=(1.5, zero))
    values = pl.Series([0.0, -0.0, 1.5, 5e-45, -1.5], dtype=polars_type(type_text))
    assert kept_by_both(column, values) == [True, True, True, False, False]


def test_both_zeros_are_the_same_limit():
    values = pl.Series([0.0, -0.0])
    for zero in (0.0, -0.0):
        assert kept_by_both(Column(type="float64", minimum=zero, maximum=zero), values) == [True, True]


def test_reasons_stay_short_whatever_the_contract_lists():
    texts = tuple(f"{number}{'x' * 100_000}" for number in range(100))
    contract = Contract(
        columns={"a": Column(type="string", allowed=texts), "b": Column(type="large_string", pattern="y" * 1_000)}
    )
    table = pa.table({"a": ["z" * 100_000], "b": pa.array(["z" * 100_000], pa.large_string())})
    [reason] = split(table, contract).rejected["_reason"].to_pylist()
    assert "and 80 more" in reason
    assert len(reason) < 3_000


integers = {
    name: (2 ** (int(name.lstrip("uint")) - (name[0] == "i")) - 1)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}


@st.composite
def integer_cases(draw: st.DrawFn) -> tuple[str, Any, list[Any], list[Fraction], Fraction]:
    name = draw(st.sampled_from(list(integers)))
    low, high = (-integers[name] - 1 if name[0] == "i" else 0), integers[name]
    near = st.one_of(st.integers(low, high), st.sampled_from([low, low + 1, 0, high - 1, high]))
    values = draw(st.lists(near, min_size=1, max_size=5))
    limit = draw(st.one_of(near, st.sampled_from(values), st.sampled_from([low - 1, high + 1])))
    return name, limit, values, [Fraction(value) for value in values], Fraction(limit)


@st.composite
def decimal_cases(draw: st.DrawFn) -> tuple[str, Any, list[Any], list[Fraction], Fraction]:
    precision = draw(st.sampled_from([1, 4, 18, 19, 38]))
    scale = draw(st.integers(0, precision))
    most = 10**precision - 1
    units = st.one_of(st.integers(-most, most), st.sampled_from([-most, most, 0, 1, -1]))
    values = [Decimal(f"{unit}e-{scale}") for unit in draw(st.lists(units, min_size=1, max_size=5))]
    finer = st.builds(lambda unit, tail: f"{unit}{tail}e-{scale + 2}", units, st.sampled_from(["00", "01", "50", "99"]))
    limit = draw(st.one_of(finer, st.builds("{}e-{}".format, st.integers(-most * 11, most * 11), st.just(scale))))
    return f"decimal128({precision}, {scale})", limit, values, [Fraction(value) for value in values], Fraction(limit)


@st.composite
def clock_cases(draw: st.DrawFn) -> tuple[str, Any, list[Any], list[Fraction], Fraction]:
    unit = draw(st.sampled_from(list(TICKS)))
    low, high = FIRST_DAY * 86_400 * TICKS[unit], (LAST_DAY + 1) * 86_400 * TICKS[unit] - 1
    low, high = max(low, -(2**63)), min(high, 2**63 - 1)
    near = st.one_of(st.integers(low, high), st.sampled_from([low, low + 1, -1, 0, 1, high - 1, high]))
    values = draw(st.lists(near, min_size=1, max_size=5))
    microseconds = st.one_of(
        st.sampled_from(values).flatmap(
            lambda tick: st.integers(-2, 2).map(lambda by: tick * 10**6 // TICKS[unit] + by)
        ),
        st.integers(FIRST_DAY * 86_400 * 10**6, (LAST_DAY + 1) * 86_400 * 10**6 - 1),
    ).filter(lambda time: FIRST_DAY * 86_400 * 10**6 <= time < (LAST_DAY + 1) * 86_400 * 10**6)
    limit = draw(microseconds)
    told = (EPOCH + timedelta(microseconds=limit)).isoformat()
    return (
        f"timestamp[{unit}]",
        told,
        values,
        [Fraction(value, TICKS[unit]) for value in values],
        Fraction(limit, 10**6),
    )


@st.composite
def date_cases(draw: st.DrawFn) -> tuple[str, Any, list[Any], list[Fraction], Fraction]:
    near = st.one_of(st.integers(FIRST_DAY, LAST_DAY), st.sampled_from([FIRST_DAY, -1, 0, LAST_DAY]))
    values = draw(st.lists(near, min_size=1, max_size=5))
    limit = draw(st.one_of(near, st.sampled_from(values)))
    return "date32", date.fromordinal(limit + 719_163), values, [Fraction(value) for value in values], Fraction(limit)


@st.composite
def float_cases(draw: st.DrawFn) -> tuple[str, Any, list[Any], list[Fraction], Fraction]:
    width = draw(st.sampled_from([32, 64]))
    real = st.floats(allow_nan=False, allow_infinity=False, width=width)
    values = draw(st.lists(real, min_size=1, max_size=5))
    wide = st.floats(allow_nan=False, allow_infinity=False, min_value=-LARGEST_FLOAT32, max_value=LARGEST_FLOAT32)
    limit = draw(st.one_of(real, wide if width == 32 else real, st.sampled_from(values), st.integers(-(2**70), 2**70)))
    rounded = float(np.float32(limit)) if width == 32 else float(limit)
    return f"float{width}", limit, values, [Fraction(value) for value in values], Fraction(rounded)


def series_of(type_text: str, values: list[Any]) -> pl.Series:
    dtype = polars_type(type_text)
    if type_text == "timestamp[s]":  # Polars has none: `split` and `Splitter` see milliseconds
        return pl.Series([value * 1_000 for value in values], dtype=pl.Int64).cast(pl.Datetime("ms"))
    if dtype.is_temporal():
        return pl.Series(values, dtype=pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    return pl.Series(values, dtype=dtype)


@settings(max_examples=300, deadline=None)
@given(case=st.one_of(integer_cases(), decimal_cases(), clock_cases(), date_cases(), float_cases()))
def test_limits_mean_what_they_say_at_the_edges_of_every_type(
    case: tuple[str, Any, list[Any], list[Fraction], Fraction],
):
    type_text, limit, values, exact, bound = case
    for end, fits in (("minimum", lambda value: value >= bound), ("maximum", lambda value: value <= bound)):
        try:
            column = Column(type=type_text, **{end: limit})
        except DeclarationError:
            assert not holds(type_text, bound, end)
            continue
        assert kept_by_both(column, series_of(type_text, values)) == [fits(value) for value in exact]


def holds(type_text: str, bound: Fraction, end: str) -> bool:
    """Return whether a limit lies within the values of the type, and not past the last of them as it is moved."""
    if type_text in integers:
        return (-integers[type_text] - 1 if type_text[0] == "i" else 0) <= bound <= integers[type_text]
    if type_text.startswith("decimal"):
        precision, scale = map(int, type_text[11:-1].split(", "))
        return abs(bound) <= Fraction(10**precision - 1, 10**scale)
    if type_text == "timestamp[ns]":
        return -(2**63) <= bound * 10**9 <= 2**63 - 1
    if type_text.startswith("timestamp"):
        last = (LAST_DAY + 1) * 86_400 - Fraction(1, TICKS[type_text[10:-1]])
        return end == "maximum" or bound <= last
    return True


@settings(max_examples=100, deadline=None)
@given(
    width=st.sampled_from([32, 64]),
    listed=st.lists(st.one_of(st.integers(-3, 3), st.sampled_from([0.1, -0.0, 2.5, 16_777_217, 1e-46])), min_size=1),
    values=st.lists(st.sampled_from([0.1, 0.0, -0.0, 1.0, 2.5, 16_777_216.0, -3.0, 1e30, float("inf")]), min_size=1),
)
def test_allowed_floats_are_compared_as_numbers_of_the_type(width: int, listed: list[float], values: list[float]):
    rounded = np.float32 if width == 32 else np.float64
    column = Column(type=f"float{width}", allowed=tuple(listed))
    known = [float(rounded(value)) for value in listed]
    expected = [any(float(rounded(value)) == one for one in known) for value in values]
    assert kept_by_both(column, pl.Series(values, dtype=polars_type(column.type))) == expected
