"""SQL text becomes Polars expressions, and wrong text is refused with its remedy."""

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from resources.errors import ContractError, DeclarationError
from resources.transform.expressions import (
    apply_columns,
    check_expression,
    check_types,
    columns_of,
    compile_expression,
    polars_type,
)
from resources.transform.sql_text import FUNCTIONS, SCALAR_FUNCTIONS, WINDOW_FUNCTIONS, is_row_wise

COLUMNS = ("cnt", "ts", "hr", "temp", "name")
ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = {
    "CAST": "x AS DOUBLE", "TRY_CAST": "x AS DOUBLE", "EXTRACT": "hour FROM t", "POSITION": "'a' IN s", "PI": "",
    "DATE_PART": "'hour', t", "STRFTIME": "t, '%Y'", "STRPTIME": "s, '%Y-%m-%d'", "IF": "x > 1, 1, 2", "ROUND": "x, 1",
    "SPLIT_PART": "s, 'a', 1", "REPLACE": "s, 'a', 'b'", "REGEXP_REPLACE": "s, 'a', 'b'", "REGEXP_LIKE": "s, 'a'",
    "LPAD": "s, 3, 'x'", "RPAD": "s, 3, 'x'", "CONCAT_WS": "'-', s, s", "CONCAT": "s, s", "SUBSTR": "s, 1",
    "SUBSTRING": "s, 1", "STARTS_WITH": "s, 'a'", "ENDS_WITH": "s, 'a'", "STRPOS": "s, 'a'", "LEFT": "s, 1",
    "RIGHT": "s, 1", "BIT_COUNT": "n", "BIT_AND": "n, n", "BIT_OR": "n, n", "BIT_XOR": "n, n",
}  # fmt: skip
TWO_ARGUMENTS = "ATAN2 ATAN2D COALESCE DIV GREATEST IFNULL LEAST LOG MOD NULLIF POW POWER"
TEXTS = (
    "BIT_LENGTH CHARACTER_LENGTH CHAR_LENGTH INITCAP LENGTH LOWER LTRIM NORMALIZE OCTET_LENGTH REVERSE RTRIM TRIM UPPER"
)
CLOCKS = "DAY HOUR MINUTE MONTH QUARTER SECOND WEEK YEAR"


@pytest.mark.parametrize("name", sorted(SCALAR_FUNCTIONS))
def test_every_allowed_function_gives_each_row_its_value_whatever_the_batch(name: str):
    times = [datetime(2011, 1, 1, tzinfo=UTC), datetime(2012, 5, 7, 9, tzinfo=UTC)]
    frame = pl.LazyFrame({"x": [0.5, 0.25], "n": [1, 2], "s": ["2011-01-01", "2012-05-07"], "t": times})
    default = (
        "x, x"
        if name in TWO_ARGUMENTS.split()
        else "s"
        if name in TEXTS.split()
        else "t"
        if name in CLOCKS.split()
        else "x"
    )
    text = f"{name}({ARGUMENTS.get(name, default)})" + (" + x" if name == "PI" else "")
    together = apply_columns(frame, {"y": text}).collect()
    assert together.height == 2
    assert_frame_equal(together, pl.concat(apply_columns(frame.slice(i, 1), {"y": text}).collect() for i in range(2)))


@pytest.mark.parametrize("name", sorted(WINDOW_FUNCTIONS))
def test_every_allowed_window_needs_an_order(name: str):
    call = f"{name}()" if name in ("DENSE_RANK", "RANK", "ROW_NUMBER") else f"{name}(cnt)"
    check_expression("f", f"{call} OVER (ORDER BY ts)", COLUMNS)
    with pytest.raises(DeclarationError, match=r"without OVER \(ORDER BY"):
        check_expression("f", call, COLUMNS)


def test_a_lag_window_looks_back_in_time_order_and_keeps_the_row_order():
    start = datetime(2011, 1, 1, tzinfo=UTC)
    times = [start + timedelta(hours=hour) for hour in (3, 0, 2, 1)]
    frame = pl.LazyFrame({"ts": times, "cnt": [30, 0, 20, 10]})
    lagged = apply_columns(frame, {"last": "LAG(cnt, 2) OVER (ORDER BY ts)"}, keep=["cnt"]).collect()
    assert lagged.rows() == [(30, 10), (0, None), (20, 0), (10, None)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tmep * 2", ["features.columns.x", "tmep * 2", "unknown column 'tmep'", "did you mean 'temp'", "cnt, hr"]),
        ("SQRTT(temp)", ["unknown function 'SQRTT'", "did you mean 'SQRT'", "ABS"]),
        ("hr +", ["is no valid SQL expression"]),
        ("", ["is no valid SQL expression"]),
        ("'abc", ["opening '"]),
        ("NOW()", ["reads the clock (NOW)", "event-time"]),
        ("current_timestamp", ["reads the clock"]),
        ('"now"()', ["reads the clock"]),
        ("RANDOM() + hr", ["RANDOM", "repeatable"]),
        ("AVG(cnt)", ["which rows are in the batch"]),
        ("cnt - MAX(cnt) OVER (PARTITION BY hr)", ["which rows are in the batch"]),
        ("MEDIAN(cnt)", ["fitted step"]),
        ("LEAD(cnt) OVER (ORDER BY ts)", ["later rows"]),
        ("LAG(cnt) OVER (ORDER BY ts DESC)", ["LAG with DESC", "past only"]),
        ("SUM(cnt) OVER (ORDER BY ts ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING)", ["SUM with FOLLOWING"]),
        ("(SELECT 1)", ["not a query"]),
        ("hr; DROP TABLE t", ["';'"]),
        ("hr -- note", ["comment"]),
        ("1 + 1", ["reads no column"]),
        ("read_csv('/etc/passwd')", ["unknown function 'READ_CSV'"]),
        ("COLUMNS('.*')", ["unknown function 'COLUMNS'"]),
    ],
)
def test_a_wrong_expression_is_refused_with_field_text_and_remedy(text: str, words: list[str]):
    with pytest.raises(DeclarationError) as refusal:
        check_expression("features.columns.x", text, COLUMNS)
    assert [word for word in words if word not in str(refusal.value)] == []


@pytest.mark.parametrize(
    "text",
    [
        "name = 'NOW() and RANDOM()'",
        "CAST(name AS VARCHAR(10))",
        "CASE WHEN hr IN (7, 8) AND (cnt > 1) THEN 'rush' ELSE 'calm' END",
        "AVG(cnt) OVER (PARTITION BY hr ORDER BY ts ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)",
        "cnt / 7.3 + 0.5 * hr",
        "SUM(cnt) FILTER (WHERE hr > 1) OVER (ORDER BY ts)",
        "DATE_PART('dow', ts) * 24 + hr",
    ],
)
def test_ordinary_sql_is_accepted(text: str):
    check_expression("f", text, COLUMNS)


@given(
    st.text(max_size=40) | st.lists(st.sampled_from([*COLUMNS, *FUNCTIONS, *"()+-*/,'\"", "1", "OVER"])).map(" ".join)
)
def test_any_text_is_compiled_or_refused_but_never_breaks(text: str):
    with suppress(DeclarationError):
        assert isinstance(compile_expression(text), pl.Expr)


def test_an_expression_that_does_not_fit_the_types_is_refused_when_declared():
    with pytest.raises(DeclarationError, match=r"features.columns.bad: 'name \+ 1' does not fit"):
        check_types("features.columns", {"bad": "name + 1"}, {"name": "string"})


def test_the_types_of_computed_columns_are_known_without_rows():
    types = {"hr": "int64", "ts": "timestamp[us, tz=UTC]", "odd": "struct<a: int8>"}
    found = check_types("f", {"half": "hr * 0.5", "later": "ts", "big": "hr > 3"}, types)
    assert found == {"half": pl.Float64(), "later": pl.Datetime("us", "UTC"), "big": pl.Boolean()}
    assert polars_type("struct<a: int8>") == pl.Null()


def test_decimal_literals_are_floats_with_all_their_digits():
    made = apply_columns(pl.LazyFrame({"n": [1, 10]}), {"x": "n / 7.3", "y": "0.5 * n"}).collect()
    assert_frame_equal(made, pl.DataFrame({"x": [1 / 7.3, 10 / 7.3], "y": [0.5, 5.0]}))


def test_decimal_columns_become_floats():
    frame = pl.LazyFrame({"price": ["1.25", "3.50"]}, schema={"price": pl.Decimal(10, 2)})
    assert apply_columns(frame, {"price": "price"}).collect()["price"].to_list() == [1.25, 3.5]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12),
    st.floats(0.1, 1e3).map(lambda number: f"{number:.6f}"),
    st.integers(1, 11),
)
@settings(deadline=None)
def test_a_division_by_a_constant_gives_the_same_bits_in_any_batch(values: list[float], divisor: str, size: int):
    columns, frame = {"y": f"x / {divisor}"}, pl.LazyFrame({"x": values})
    together = apply_columns(frame, columns).collect()["y"].to_list()
    batches = [apply_columns(frame.slice(start, size), columns).collect() for start in range(0, len(values), size)]
    assert pl.concat(batches)["y"].to_list() == together
    scattered = pl.concat([pl.DataFrame({"x": [value]}) for value in values], rechunk=False)
    assert apply_columns(scattered.lazy(), columns).collect()["y"].to_list() == together
    constant = frame.select(x=pl.lit(values[0])).select("x", z=1)
    assert set(apply_columns(constant, columns).collect()["y"].to_list()) == {together[0]}


def test_expressions_read_the_input_and_never_each_other():
    made = apply_columns(pl.LazyFrame({"a": [1], "b": [10]}), {"a": "b", "c": "a + 1"}).collect()
    assert made.rows() == [(10, 2)]


def test_a_value_that_cannot_be_computed_is_told_in_plain_words():
    with pytest.raises(ContractError, match="features: conversion from `str` to `i64` failed in column 'name'"):
        apply_columns(pl.LazyFrame({"name": ["x"]}), {"number": "CAST(name AS BIGINT)"})


def test_a_frame_without_a_needed_column_is_refused():
    with pytest.raises(ContractError, match='features: unable to find column "hr"'):
        apply_columns(pl.LazyFrame({"name": ["x"]}), {"number": "hr + 1"})


def test_only_windows_are_not_row_wise():
    assert is_row_wise("hr + 'OVER'")
    assert not is_row_wise("lag(cnt) over (order by ts)")


def test_the_columns_that_an_expression_reads_are_known():
    assert columns_of("hr + LAG(cnt) OVER (PARTITION BY name ORDER BY ts)") == ("cnt", "hr", "name", "ts")


def test_windows_give_the_same_bits_on_any_number_of_threads():
    script = (
        "import numpy as np, polars as pl\n"
        "from resources.transform.expressions import apply_columns\n"
        "r = np.random.default_rng(0); n = 50_000\n"
        "f = pl.LazyFrame({'x': r.normal(size=n), 't': r.permutation(n), 'g': r.integers(0, 7, n)})\n"
        "q = {'a': 'SUM(x) OVER (ORDER BY t)', 'b': 'AVG(x) OVER (PARTITION BY g ORDER BY t)',"
        " 'c': 'AVG(x) OVER (ORDER BY t ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)'}\n"
        "import hashlib; print(hashlib.sha256(apply_columns(f, q).collect().to_numpy().tobytes()).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"POLARS_MAX_THREADS": threads, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "3", "8")
    }
    assert len(found) == 1
