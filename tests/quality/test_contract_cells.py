"""Cells at the edges of what types hold: kept exactly, or rejected with their value; never wrapped, never a panic."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.contract import Column, Contract, split
from quality.contract.rows import Split
from quality.contract.splitting import Splitter
from quality.contract.types import arrow_type
from resources.errors import DeclarationError

TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
LAST = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(seconds=1) + 86_399
LARGEST = 2**63 - 1


def stored(values: pa.Array, column: Column) -> Split:
    return split(pa.table({"c": values}), Contract(columns={"c": column}))


def ticks(values: list[int], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64() if kind.bit_width == 64 else pa.int32()).view(kind)


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_a_time_beyond_the_day_is_rejected(unit: str):
    day = 86_400 * TICKS[unit]
    table = ticks([0, day - 1, day, -1, LARGEST], pa.time64(unit))
    result = stored(table, Column(type=f"time64[{unit}]"))
    assert result.kept["c"].cast(pa.int64()).to_pylist() == [0, day - 1]
    assert result.rejected["_reason"].to_pylist() == [
        f"c: '{number} {unit}' is beyond the 24 hours of a day" for number in (day, -1, LARGEST)
    ]


def test_a_duration_that_milliseconds_do_not_hold_is_rejected():
    most = LARGEST // 1_000
    result = stored(ticks([most, -most, most + 1, -(2**63)], pa.duration("s")), Column(type="duration[s]"))
    assert result.kept["c"].cast(pa.int64()).to_pylist() == [most, -most]
    assert result.rejected["_reason"].to_pylist()[1] == f"c: '{-(2**63)} s' is beyond 292 million years"


def test_decimals_of_256_bits_are_cast_or_rejected():
    values = pa.array([Decimal("1.50"), Decimal(10) ** 50], pa.decimal256(76, 2))
    result = stored(values, Column(type="decimal128(10, 2)"))
    assert result.kept["c"].to_pylist() == [Decimal("1.50")]
    assert result.rejected["c"].to_pylist() == [f"{10**50}.00"]


def test_times_of_a_zone_that_only_their_writer_knows_are_rejected_in_utc():
    values = ticks([0, -1], pa.timestamp("us", "Mars"))
    result = stored(values, Column(type="timestamp[us, tz=UTC]", minimum="1970-01-01"))
    assert result.kept["c"].to_pylist() == [EPOCH]
    assert result.rejected["c"].to_pylist() == ["1969-12-31 23:59:59.999999+00:00"]


@pytest.mark.parametrize(("unit", "kept"), [("ns", ["2020-01-01"]), ("s", ["1500-01-01", "2020-01-01", "9999-12-31"])])
def test_texts_of_a_format_that_the_unit_does_not_hold_are_rejected(unit: str, kept: list[str]):
    texts = ["1500-01-01", "2020-01-01", "9999-12-31"]
    column = Column(type=f"timestamp[{unit}]", format="%Y-%m-%d")
    result = stored(pa.array(texts), column)
    assert result.rejected["c"].to_pylist() == [text for text in texts if text not in kept]
    half = stored(pa.array(["2020-01-01 00:00:00.5"]), Column(type=f"timestamp[{unit}]", format="%Y-%m-%d %H:%M:%S%.f"))
    assert half.kept.num_rows == (unit == "ns")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("%Q", "is no strptime format"),
        ("%Y-%m-%d %H", "is no strptime format"),
        ("%Y\ud800", "is no strptime format"),
        ("", "nothing can be read by it"),
        ("noon", "nothing can be read by it"),
        ("%Y-%m-%d %H:%M:%S.%f", "write %.f for a fraction of a second"),
    ],
)
def test_a_format_by_which_nothing_is_read_rightly_is_refused(form: str, message: str):
    with pytest.raises(DeclarationError, match=message):
        Column(type="timestamp[us]", format=form)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S%z", "%d/%m/%y", "%s", "%FT%T%.f", "%FT%T%#z", "100%% %Y-%j", "%c"])
def test_formats_are_taken(form: str):
    assert Column(type="timestamp[us]", format=form).format == form


units = st.sampled_from(list(TICKS))
numbers = st.one_of(
    st.sampled_from([0, -1, 1, LARGEST, -LARGEST, -LARGEST - 1]),
    st.integers(-LARGEST, LARGEST),
    st.builds(
        lambda second, unit, by: max(-LARGEST, min(LARGEST, second * TICKS[unit] + by)),
        st.one_of(st.sampled_from([FIRST, LAST + 1, FIRST + 86_400, LAST - 86_399]), st.integers(FIRST, LAST)),
        units,
        st.integers(-2, 2),
    ),
)


def microseconds(number: int, found: str, declared: str) -> int | None:
    """Return what a clock is stored as, or None if the declared unit does not hold it or the calendar lacks it."""
    scaled, rest = divmod(number * TICKS[declared], TICKS[found])
    if rest or not -(2**63) <= scaled < 2**63 or not FIRST <= scaled // TICKS[declared] <= LAST:
        return None
    return scaled * 10**6 // TICKS[declared]


@settings(max_examples=150, deadline=None)
@given(values=st.lists(numbers, min_size=1, max_size=6), found=units, declared=units)
def test_clocks_of_any_unit_are_kept_exactly_or_rejected(values: list[int], found: str, declared: str):
    expected = [time for time in (microseconds(value, found, declared) for value in values) if time is not None]
    for zone in ("", ", tz=UTC"):
        column = Column(type=f"timestamp[{declared}{zone}]")
        result = stored(ticks(values, arrow_type(f"timestamp[{found}{zone}]")), column)
        kept = result.kept["c"].cast(pa.int64()).to_pylist()
        unit = "us" if zone else declared
        assert [value * 10**6 // TICKS[unit] for value in kept] == expected
        assert len(kept) + result.rejected.num_rows == len(values)


@settings(max_examples=100, deadline=None)
@given(values=st.lists(numbers, min_size=1, max_size=6), unit=units, zone=st.sampled_from(["Asia/Tokyo", "Etc/GMT+5"]))
def test_local_clocks_of_any_unit_become_utc_or_are_rejected(values: list[int], unit: str, zone: str):
    expected: list[int] = []
    for local in (microseconds(value, unit, unit) for value in values):
        moved = None if local is None else in_utc(local, zone)
        expected += [] if moved is None else [moved]
    result = stored(ticks(values, pa.timestamp(unit)), Column(type=f"timestamp[{unit}]", timezone=zone))
    assert result.kept["c"].cast(pa.int64()).to_pylist() == expected
    assert len(expected) + result.rejected.num_rows == len(values)


def in_utc(local: int, zone: str) -> int | None:
    clock = (EPOCH + timedelta(microseconds=local)).replace(tzinfo=ZoneInfo(zone))
    early, late = clock.utcoffset(), clock.replace(fold=1).utcoffset()
    if early is None or early != late:
        return None
    moved = local - early // timedelta(microseconds=1)
    return moved if FIRST <= moved // 10**6 <= LAST else None


def test_of_long_texts_and_bytes_a_rejected_row_shows_the_beginning():
    columns = {
        "n": Column(type="int8"),
        "text": Column(type="large_string"),
        "bytes": Column(type="binary", nullable=True),
    }
    table = pa.table(
        {
            "n": [1_000, 1_000],
            "text": pa.array(["é" * 10_000, "é" * 10_001], pa.large_string()),
            "bytes": [b"\xff" * 5_001, None],
        }
    )
    whole = split(table, Contract(columns=columns))
    frame = pl.DataFrame(table)
    batches: list[pa.Table] = []
    splitter = Splitter(Contract(columns=columns), frame.schema, reject=batches.append)
    splitter.take(splitter.judge(frame))
    for rejected in (whole.rejected, batches[0]):
        assert rejected["text"].to_pylist() == ["é" * 10_000, "é" * 9_900 + "… (10001 characters)"]
        assert rejected["bytes"].to_pylist() == ["ff" * 4_950 + "… (5001 bytes)", None]


@pytest.mark.parametrize("kind", [pa.string_view(), pa.dictionary(pa.int32(), pa.string_view()), pa.binary_view()])
def test_rows_of_views_are_rejected_as_they_are_found(kind: pa.DataType):
    binary = "binary" in str(kind)
    values = pa.array(["a", "b", None]).cast(pa.binary() if binary else pa.string())
    if pa.types.is_dictionary(kind):
        encoded = values.dictionary_encode()
        found = pa.DictionaryArray.from_arrays(encoded.indices, encoded.dictionary.cast(kind.value_type))
    else:
        found = values.cast(kind)
    result = stored(found, Column(type="binary" if binary else "string", allowed=None if binary else ("a",)))
    assert result.rejected["c"].to_pylist() == ([None] if binary else ["b", None])
    assert result.kept["c"].to_pylist() == ([b"a", b"b"] if binary else ["a"])


def test_narrow_decimals_are_cast_or_rejected():
    values = pa.array([Decimal("1.50"), Decimal("1.00"), None], pa.decimal32(5, 2))
    result = stored(values, Column(type="int8"))
    assert result.kept["c"].to_pylist() == [1]
    assert result.rejected["_reason"].to_pylist() == ["c: '1.50' is not int8", "c: null"]


def test_dates_of_a_dictionary_beyond_the_calendar_are_rejected():
    found = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), ticks([0, 2**31 - 1], pa.date32()))
    assert stored(found, Column(type="date32")).rejected["c"].to_pylist() == ["5881580-07-11"]
