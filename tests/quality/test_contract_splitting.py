"""The split of batches: columns judged whole, in threads, say of every row what is said of it alone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.contract import Column, Contract, split
from quality.contract.membership import Allowed
from quality.contract.screening import screens
from quality.contract.splitting import Splitter

NAN, INF = float("nan"), float("inf")
TENTH = float(np.float32(0.1))
BEFORE_TENTH = float(np.nextafter(np.float32(0.1), np.float32(0)))
FIRST, LAST = date.min.toordinal() - date(1970, 1, 1).toordinal(), date.max.toordinal() - date(1970, 1, 1).toordinal()
DAY = 86_400_000_000
NEW_YEAR = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
TWELVE = "a" * 12

# Column: its rules, the type in which it is found, a value that fits, and others.
CASES = {
    "any": (Column(type="int32"), pl.Int32, 7, [-(2**31), 2**31 - 1, None]),
    "small": (Column(type="int8", nullable=True, minimum=-5, maximum=5), pl.Int8, -5, [5, 6, -6, -128, 127, None]),
    "large": (Column(type="uint64", minimum=2**63), pl.UInt64, 2**63, [2**63 - 1, 2**64 - 1, 0, None]),
    "full": (Column(type="int64", maximum=2**63 - 1), pl.Int64, 2**63 - 1, [-(2**63), None]),
    "code": (Column(type="int16", allowed=(1, -3)), pl.Int16, -3, [1, 2, 32_767, None]),
    "number": (Column(type="float64", nullable=True), pl.Float64, -0.0, [0.0, NAN, INF, -INF, None]),
    "there": (Column(type="float64"), pl.Float64, INF, [-INF, NAN, 5e-324, None]),
    "share": (
        Column(type="float64", nullable=True, minimum=0.0, maximum=1),
        pl.Float64,
        1.0,
        [-0.0, 0.0, -5e-324, 1.0000000000000002, NAN, INF, -INF, None],
    ),
    "short": (
        Column(type="float32", minimum=0.1, maximum=2.5),
        pl.Float32,
        TENTH,
        [BEFORE_TENTH, 2.5, 2.75, -0.0, NAN, INF, -INF, None],
    ),
    "step": (Column(type="float64", allowed=(0, 0.5)), pl.Float64, 0.5, [0.0, -0.0, 1.0, NAN, None]),
    "yes": (Column(type="bool"), pl.Boolean, False, [True, None]),
    "true": (Column(type="bool", nullable=True, allowed=(True,)), pl.Boolean, True, [False, None]),
    "word": (
        Column(type="string", nullable=True, allowed=("", "a", "Ä", TWELVE)),
        pl.String,
        TWELVE,
        ["", "a", "Ä", "b", "a\0", TWELVE + "a", "a" * 11, "\0", "A" * 90, None],
    ),
    "words": (
        Column(type="string", allowed=("a", TWELVE + "b")),
        pl.String,
        TWELVE + "b",
        ["a", TWELVE, TWELVE + "c", "", None],
    ),
    "wide": (Column(type="large_string", allowed=("x", "y")), pl.String, "x", ["y", "z", None]),
    "form": (Column(type="string", nullable=True, pattern="[a-z]+"), pl.String, "ab", ["a\n", "", "ä", "zz", None]),
    "free": (Column(type="string"), pl.String, "", ["\n", None]),
    "bytes": (Column(type="binary"), pl.Binary, b"", [b"\xff\0", None]),
    "day": (
        Column(type="date32", nullable=True, minimum="0001-01-02", maximum="2020-01-01"),
        pl.Date,
        18_262,
        [FIRST + 1, FIRST, FIRST - 1, 18_263, LAST, LAST + 1, -(2**31), 2**31 - 1, None],
    ),
    "free_day": (Column(type="date32"), pl.Date, LAST, [FIRST, FIRST - 1, LAST + 1, None]),
    "clock": (
        Column(type="timestamp[us]"),
        pl.Datetime("us"),
        (LAST + 1) * DAY - 1,
        [FIRST * DAY, FIRST * DAY - 1, (LAST + 1) * DAY, 2**63 - 1, -(2**63), None],
    ),
    "milli": (
        Column(type="timestamp[ms]", minimum="2020-01-01"),
        pl.Datetime("ms"),
        NEW_YEAR * 1_000,
        [NEW_YEAR * 1_000 - 1, (LAST + 1) * DAY // 1_000 - 1, (LAST + 1) * DAY // 1_000, None],
    ),
    "nano": (
        Column(type="timestamp[ns]", maximum="2020-01-01"),
        pl.Datetime("ns"),
        NEW_YEAR * 10**9,
        [NEW_YEAR * 10**9 + 1, -(2**63) + 1, 2**63 - 1, None],
    ),
    "utc": (
        Column(type="timestamp[us, tz=UTC]", nullable=True, minimum="2020-01-01T01:00+01:00"),
        pl.Datetime("us", "UTC"),
        NEW_YEAR * 10**6,
        [NEW_YEAR * 10**6 - 1, (LAST + 1) * DAY, None],
    ),
    "berlin": (
        Column(type="timestamp[us]", timezone="Europe/Berlin"),
        pl.Datetime("us"),
        NEW_YEAR * 10**6,
        [int(datetime(2020, 3, 29, 2, 30, tzinfo=UTC).timestamp()) * 10**6, (LAST + 1) * DAY, None],
    ),
    "time": (Column(type="time64[ns]"), pl.Time, 0, [DAY * 1_000 - 1, None]),
    "time_us": (Column(type="time64[us]"), pl.Time, 1_000, [1, None]),
    "took": (Column(type="duration[us]", nullable=True), pl.Duration("us"), -1, [2**62, None]),
    "price": (
        Column(type="decimal128(6, 2)", minimum=0.5),
        pl.Decimal(6, 2),
        Decimal("0.50"),
        [Decimal("0.49"), Decimal("-9999.99"), None],
    ),
    "sum": (Column(type="decimal128(6, 2)", nullable=True), pl.Decimal(6, 2), Decimal("-0.50"), [None]),
    "text": (
        Column(type="int8", nullable=True, minimum=0),
        pl.String,
        " 5",
        ["-1", "128", "x", "A" * 90, "", None],
    ),
    "narrow": (Column(type="int8", maximum=9), pl.Int64, 9, [10, 128, 2**62, None]),
}  # fmt: skip
CONTRACT = Contract(columns={name: case[0] for name, case in CASES.items()})
EDITS = st.lists(
    st.sampled_from(list(CASES)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(CASES[name][3]))),
    max_size=3,
)


def frame_of(edits):
    """Return rows that fit but for some cells, given by row and column."""
    rows = [{**{name: case[2] for name, case in CASES.items()}, **dict(of_row)} for of_row in edits]
    return pl.DataFrame([column_of(name, [row[name] for row in rows]) for name in CASES])


def column_of(name, cells):
    dtype = pl.Series(dtype=CASES[name][1]).dtype
    if not dtype.is_temporal():
        return pl.Series(name, cells, dtype)
    return pl.Series(name, cells, pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)


def row_by_row(frame, contract=CONTRACT):
    """Return what is said of each row where it is alone."""
    alone = [frame[row : row + 1].to_arrow(compat_level=pl.CompatLevel.oldest()) for row in range(frame.height)]
    parts = [split(table, contract, first_row=row) for row, table in enumerate(alone, start=1)]
    reasons = {}
    for part in parts:
        for rule, rows in part.reasons.items():
            reasons[rule] = reasons.get(rule, 0) + rows
    kept = [pl.DataFrame(part.kept) for part in parts if part.kept.num_rows]
    return kept, [pl.DataFrame(part.rejected) for part in parts if part.rejected.num_rows], reasons


def batches_of(frame, ends):
    """Return the rows in batches that end there, each in two pieces where it has two rows."""
    borders = sorted({0, *(min(end, frame.height) for end in ends), frame.height})
    batches = [frame[start:end] for start, end in pairwise(borders)]
    return [pl.concat([batch[:1], batch[1:]], rechunk=False) if batch.height > 1 else batch for batch in batches]


def assert_same(frame, batches, contract=CONTRACT):
    kept, rejected = [], []
    splitter = Splitter(contract, frame.schema, keep=kept.append, reject=rejected.append)
    with ThreadPoolExecutor(2) as pool:
        returned = [splitter.take(judged) for judged in pool.map(splitter.judge, batches)]
    wanted, refused, reasons = row_by_row(frame, contract)
    empty = pl.DataFrame(schema=contract.polars_schema())
    ours, theirs = pl.concat([empty, *kept]), pl.concat([empty, *wanted])
    assert ours.equals(theirs)
    assert repr(ours.select(pl.col(pl.Float64)).rows()) == repr(theirs.select(pl.col(pl.Float64)).rows())  # -0.0
    assert ours.equals(pl.concat([empty, *returned]))
    assert [row for part in rejected for row in part.to_pylist()] == [
        row for part in refused for row in part.to_dicts()
    ]
    assert splitter.reasons == reasons
    assert sum(map(len, splitter.bad)) == sum(part.height for part in refused)
    again = splitter.again(frame.lazy()).collect()
    assert again.equals(ours)


@settings(max_examples=40, deadline=None)
@given(edits=st.lists(EDITS, max_size=9), ends=st.lists(st.integers(0, 9), max_size=3))
def test_batches_are_split_as_each_row_alone(edits, ends):
    frame = frame_of(edits)
    assert_same(frame, batches_of(frame, ends))


def test_every_value_of_every_column_is_judged_as_it_is_alone():
    cells = [(name, value) for name, case in CASES.items() for value in case[3]]
    every = [[(name, case[3][row % len(case[3])]) for name, case in CASES.items()] for row in range(9)]
    frame = frame_of([[], *([cell] for cell in cells), [], *every])
    assert_same(frame, [frame[:5], frame[5:]])


def test_an_empty_batch_and_no_batch_are_split_into_nothing():
    frame = frame_of([])
    assert_same(frame, [frame])
    assert_same(frame, [])


def test_few_and_many_rejected_rows_leave_the_others_in_order():
    contract = Contract(columns={"id": Column(type="int64", minimum=0), "x": Column(type="float64", nullable=True)})
    rows = 40_000
    for bad in ([0], [rows - 1], [0, 1, 2, 9_000, 9_001, rows - 1], [*range(0, rows, 100)], [*range(rows)]):
        ids = np.arange(rows)
        ids[bad] = -1
        frame = pl.DataFrame({"id": ids, "x": np.where(ids % 7 == 0, NAN, ids / 3)})
        splitter = Splitter(contract, frame.schema)
        kept = splitter.take(splitter.judge(frame))
        assert kept["id"].to_list() == sorted(set(range(rows)) - set(bad))
        assert kept["x"].to_list() == [None if number % 7 == 0 else number / 3 for number in kept["id"].to_list()]
        assert splitter.bad[0].tolist() == bad


def test_columns_stored_as_found_are_screened_and_no_others():
    found = frame_of([]).schema
    others = {"form", "berlin", "time_us", "price", "text", "narrow"}
    assert set(CASES) - set(screens(CONTRACT, found)) == others


@pytest.mark.parametrize("allowed", [("a", "b"), tuple(f"t{number}" for number in range(3_000)), ("x" * 13, "a")])
def test_texts_are_told_apart_in_pieces_of_any_length(allowed):
    texts = pl.Series([*allowed, None, "?", *allowed, "a ", ""] * (60_000 // len(allowed) // 2))
    pieces = pl.concat([texts[3:50], texts[:20], texts], rechunk=False)
    known = {None, *allowed}
    expected = [row for row, text in enumerate(pieces) if text not in known]
    assert Allowed.of(allowed, pl.String()).strangers(pieces).tolist() == expected
