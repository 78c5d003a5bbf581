"""The data contract: what may be declared, how cells are typed, which rows are rejected and with which reason."""

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv

from quality.contract import Column, Contract, check_columns, check_schema, conform, split
from quality.contract.types import arrow_type, polars_type, type_text
from resources.errors import ContractError, DeclarationError


def strings(**columns: list[str | None]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def reasons(table: pa.Table, contract: Contract) -> list[str]:
    return split(table, contract).rejected["_reason"].to_pylist()


@pytest.mark.parametrize(
    ("given_type", "text"),
    [
        ("int64", "int64"),
        ("double", "float64"),
        (pa.float32(), "float32"),
        (pa.timestamp("ns", tz="Europe/Berlin"), "timestamp[ns, tz=Europe/Berlin]"),
        (pa.date32(), "date32"),
        (pa.decimal128(9, 2), "decimal128(9, 2)"),
    ],
)
def test_a_type_is_given_as_text_or_as_an_arrow_type(given_type: Any, text: str):
    assert Column(type=given_type).type == text


@pytest.mark.parametrize("text", ["int8", "uint64", "float32", "bool", "string", "date32", "timestamp[us, tz=UTC]"])
def test_arrow_and_polars_types_of_a_text_are_the_same(text: str):
    empty = pa.table({"x": pa.array([], arrow_type(text))})
    frame = pl.from_arrow(empty)
    assert isinstance(frame, pl.DataFrame)
    assert frame.schema["x"] == polars_type(text)


def test_float_alone_is_refused_because_it_means_32_bits_to_arrow_and_64_to_people():
    with pytest.raises(DeclarationError, match="did you mean 'float64'"):
        type_text("float")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "int63"}, "'int63' is no column type; did you mean 'int64'"),
        ({"type": "int64", "minimum": 5, "maximum": 1}, "minimum 5 is above maximum 1"),
        ({"type": "int8", "maximum": 300}, "must be an integer from -128 to 127, got 300"),
        ({"type": "string", "minimum": 1}, "minimum has no meaning for a string column"),
        ({"type": "date32", "minimum": "1/9/2011"}, "is ISO 8601 text, got '1/9/2011'"),
        ({"type": "int64", "pattern": "x"}, "pattern has no meaning for a int64 column"),
        ({"type": "string", "pattern": "("}, "is no regular expression"),
        ({"type": "int64", "allowed": ("a",)}, "allowed value of a int64 column must be an integer"),
        ({"type": "int64", "allowed": ()}, "allowed is empty"),
        ({"type": "timestamp[us]", "timezone": "Mars/Olympus"}, "'Mars/Olympus' is no IANA time zone"),
        ({"type": "timestamp[us, tz=UTC]", "timezone": "UTC"}, "is for clocks that name no zone"),
        ({"type": "int64", "format": "%Y"}, "format '%Y' has no meaning for a int64 column"),
        ({"type": "int64", "minimun": 5}, "minimun"),
    ],
)
def test_a_column_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str):
    with pytest.raises(DeclarationError) as error:
        Column(**fields)
    assert message in str(error.value)


def test_a_type_alone_declares_a_column():
    contract = Contract(columns={"hr": "int64"})  # type: ignore[dict-item]
    assert contract.columns["hr"] == Column(type="int64")


def test_unique_names_columns_of_the_contract():
    with pytest.raises(DeclarationError, match="unique: 'hour' is not in the contract"):
        Contract(columns={"hr": Column(type="int64")}, unique=("hour",))


def test_a_contract_reads_back_from_its_json():
    contract = Contract(columns={"at": Column(type="date32", minimum=date(2011, 1, 1))}, unique=("at",))
    assert Contract(**contract.model_dump(mode="json")) == contract


def test_the_stored_schema_has_every_clock_in_utc_microseconds():
    clock = Column(type="timestamp[s]", timezone="America/New_York")
    contract = Contract(columns={"at": clock, "x": Column(type="int64", nullable=True)})
    assert contract.schema() == pa.schema(
        [pa.field("at", pa.timestamp("us", tz="UTC"), False), pa.field("x", pa.int64(), True)]
    )


def test_a_contract_from_a_schema_demands_just_that_schema():
    schema = pa.schema([pa.field("a", pa.int32(), False), pa.field("b", pa.string())])
    assert Contract.from_schema(schema, extra="drop").schema() == schema


def test_rows_that_fit_are_typed_and_keep_their_order():
    table = strings(n=["3", " 1", "2"], x=["0.5", "1e3", "-.5"], ok=["1", "false", "True"])
    contract = Contract(columns={"n": Column(type="int8"), "x": Column(type="float64"), "ok": Column(type="bool")})
    result = split(table, contract)
    assert result.kept.to_pydict() == {"n": [3, 1, 2], "x": [0.5, 1000.0, -0.5], "ok": [True, False, True]}
    assert result.rejected.num_rows == 0
    assert result.reasons == {}


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        (Column(type="int64"), "x", "c: 'x' is not int64"),
        (Column(type="int64"), "1.0", "c: '1.0' is not int64"),
        (Column(type="int8"), "300", "c: '300' is not int8"),
        (Column(type="int64"), None, "c: null"),
        (Column(type="int64", minimum=0), "-5", "c: -5 is below minimum 0"),
        (Column(type="float64", maximum=1), "1.5", "c: 1.5 is above maximum 1"),
        (Column(type="float64"), "nan", "c: null"),
        (Column(type="int64", allowed=(1, 2)), "3", "c: 3 is not one of 1, 2"),
        (Column(type="string", allowed=("a", "b")), "A", "c: 'A' is not one of a, b"),
        (Column(type="string", pattern="[0-9]{5}"), "123456", "c: '123456' is not of the form [0-9]{5}"),
        (Column(type="bool"), "yes", "c: 'yes' is not bool"),
        (Column(type="date32"), "2011-02-30", "c: '2011-02-30' is not date32"),
        (Column(type="date32", format="%m/%d/%Y"), "13/1/2011", "c: '13/1/2011' is not date32"),
        (Column(type="date32", minimum="2011-01-01"), "2010-12-31", "c: 2010-12-31 is below minimum 2011-01-01"),
        (Column(type="time64[us]"), "25:00", "c: '25:00' is not time64[us]"),
        (Column(type="decimal128(4, 2)"), "123.45", "c: '123.45' is not decimal128(4, 2)"),
        (
            Column(type="timestamp[us, tz=UTC]"),
            "2011-01-01 10:00",
            "c: '2011-01-01 10:00' is not timestamp[us, tz=UTC]",
        ),
        (
            Column(type="timestamp[us]", timezone="America/New_York"),
            "2011-03-13 02:30",
            "c: 2011-03-13 02:30:00 does not exist in America/New_York",
        ),
        (
            Column(type="timestamp[us]", timezone="America/New_York"),
            "2011-11-06 01:30",
            "c: 2011-11-06 01:30:00 is ambiguous in America/New_York",
        ),
    ],
)
def test_a_cell_that_does_not_fit_rejects_its_row_with_the_value_and_the_rule(
    column: Column, text: str | None, reason: str
):
    assert reasons(strings(c=[text]), Contract(columns={"c": column})) == [reason]


def test_a_rejected_row_keeps_its_texts_its_number_and_all_its_reasons():
    table = strings(hr=["1", "x", "3"], cnt=["4", "-5", "6"])
    contract = Contract(columns={"hr": Column(type="int64"), "cnt": Column(type="int64", minimum=0)})
    result = split(table, contract, first_row=100)
    assert result.rejected.to_pylist() == [
        {"hr": "x", "cnt": "-5", "_reason": "hr: 'x' is not int64; cnt: -5 is below minimum 0", "_row": 101}
    ]
    assert result.reasons == {"cnt: below minimum 0": 1, "hr: not int64": 1}


def test_missing_values_and_nan_are_kept_as_null_where_they_may_be():
    contract = Contract(columns={"x": Column(type="float64", nullable=True, minimum=0)})
    table = pa.table({"x": pa.array([1.0, float("nan"), None, 0.0])})
    assert split(table, contract).kept["x"].to_pylist() == [1.0, None, None, 0.0]


def test_nan_does_not_hide_a_value_out_of_range():
    contract = Contract(columns={"x": Column(type="float64", nullable=True, minimum=0)})
    table = pa.table({"x": pa.array([float("nan"), -1.0])})
    assert reasons(table, contract) == ["x: -1.0 is below minimum 0"]


def test_typed_columns_are_cast_without_loss_or_their_rows_rejected():
    contract = Contract(columns={"small": Column(type="int8"), "whole": Column(type="int64")})
    table = pa.table({"small": pa.array([1, 200, 3], pa.int64()), "whole": pa.array([1.0, 2.0, 2.5])})
    result = split(table, contract)
    assert result.kept.to_pydict() == {"small": [1], "whole": [1]}
    assert result.rejected["_reason"].to_pylist() == ["small: '200' is not int8", "whole: '2.5' is not int64"]


def test_local_times_become_utc():
    contract = Contract(columns={"at": Column(type="timestamp[s]", timezone="America/New_York")})
    kept = split(strings(at=["2011-01-01 12:00:00", "2011-07-01 12:00:00"]), contract).kept
    assert kept["at"].to_pylist() == [datetime(2011, 1, 1, 17, tzinfo=UTC), datetime(2011, 7, 1, 16, tzinfo=UTC)]


def test_dates_of_a_format_are_read_by_it():
    contract = Contract(columns={"day": Column(type="date32", format="%m/%d/%Y")})
    kept = split(strings(day=["1/9/2011", "12/31/2012"]), contract).kept
    assert kept["day"].to_pylist() == [date(2011, 1, 9), date(2012, 12, 31)]


def test_decimals_and_times_are_read_exactly():
    contract = Contract(columns={"usd": Column(type="decimal128(6, 2)"), "at": Column(type="time64[us]")})
    kept = split(strings(usd=["1234.50"], at=["10:20:30.25"]), contract).kept
    assert kept["usd"].to_pylist() == [Decimal("1234.50")]
    assert str(kept["at"].to_pylist()[0]) == "10:20:30.250000"


def test_dictionary_columns_are_read_like_plain_ones():
    contract = Contract(columns={"kind": Column(type="string", allowed=("a",))})
    table = pa.table({"kind": pa.array(["a", "b", "a"]).dictionary_encode()})
    result = split(table, contract)
    assert result.kept["kind"].to_pylist() == ["a", "a"]
    assert result.rejected["kind"].to_pylist() == ["b"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["hr"], "'count' is missing"),
        (["hr", "counts"], r"'count' is missing \(the source has 'counts': renamed\?\)"),
        (["hr", "count", "temp"], "'temp' not in the contract"),
        (["hr", "count", "hr"], "'hr' more than once"),
    ],
)
def test_columns_that_are_lost_gained_or_doubled_are_named(names: list[str], message: str):
    contract = Contract(columns={"hr": Column(type="int64"), "count": Column(type="int64")})
    with pytest.raises(ContractError, match=message):
        check_columns(names, contract, source="hour.csv")


def test_extra_columns_may_be_dropped():
    contract = Contract(columns={"hr": Column(type="int64")}, extra="drop")
    check_columns(["hr", "temp"], contract)
    assert split(strings(hr=["1"], temp=["2"]), contract).kept.column_names == ["hr"]


@pytest.mark.parametrize(
    ("found", "declared", "message"),
    [
        (pa.string(), "int64", "'c' is string, the contract says int64"),
        (pa.int64(), "bool", "'c' is int64, the contract says bool"),
        (pa.int64(), "string", "'c' is int64, the contract says string"),
        (pa.timestamp("us"), "timestamp[us, tz=UTC]", "'c' is a clock without a zone"),
        (pa.timestamp("us", tz="UTC"), "timestamp[us]", "'c' is a clock with a zone"),
        (pa.list_(pa.int64()), "int64", "the contract says int64"),
    ],
)
def test_a_retyped_column_is_refused(found: pa.DataType, declared: str, message: str):
    contract = Contract(columns={"c": Column(type=declared)})
    with pytest.raises(ContractError, match=message):
        check_schema(pa.schema([("c", found)]), contract)


def test_conform_returns_typed_rows_without_the_label():
    contract = Contract(columns={"hr": Column(type="int8"), "cnt": Column(type="int64")})
    typed = conform(pl.DataFrame({"hr": [1, 2], "cnt": [5, 6]}), contract, without={"cnt"})
    assert typed.schema == {"hr": pl.Int8}
    assert conform(pl.DataFrame({"hr": [1]}), contract, without={"cnt"})["hr"].to_list() == [1]


def test_conform_names_counts_and_the_first_rows_that_do_not_fit():
    contract = Contract(columns={"hr": Column(type="int64", maximum=23)})
    with pytest.raises(ContractError) as error:
        conform(pl.DataFrame({"hr": [1, 24, 25]}), contract)
    assert str(error.value) == (
        "2 of 3 rows break the contract: hr: above maximum 23 (2 rows). "
        "First: row 2: hr: 24 is above maximum 23, row 3: hr: 25 is above maximum 23. Correct or remove these rows"
    )


TEXT_TYPES = (
    "int8",
    "int64",
    "uint16",
    "float32",
    "float64",
    "date32",
    "timestamp[us]",
    "timestamp[ms, tz=UTC]",
    "bool",
)
number_like = st.text("0123456789+-.eExnaifNAIF \t", max_size=12)
time_like = st.builds(
    "{}-{}-{}{}{}:{}{}".format,
    st.sampled_from(["2011", "1", "9999", "0001", "-001"]),
    st.sampled_from(["01", "12", "13", "1"]),
    st.sampled_from(["01", "30", "31", "32"]),
    st.sampled_from([" ", "T", "", "  "]),
    st.sampled_from(["00", "23", "24", "7"]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from(["", ":00", ":59.5", ":00.1234567", "Z", ":00Z", "+01:00", " "]),
)
any_text = st.one_of(
    number_like, time_like, st.sampled_from(["true", "TRUE", "tRue", "0", "1", "F"]), st.text(max_size=6)
)


@given(text=any_text.filter(lambda text: "\0" not in text), type_name=st.sampled_from(TEXT_TYPES))
def test_text_is_understood_exactly_as_the_csv_reader_of_pyarrow_does(text: str, type_name: str):
    quoted = '"' + text.replace('"', '""') + '"\n'
    options = csv.ConvertOptions(column_types={"c": arrow_type(type_name)}, null_values=[])
    try:
        expected = csv.read_csv(
            pa.BufferReader(quoted.encode()),
            read_options=csv.ReadOptions(column_names=["c"], use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=options,
        )["c"]
    except pa.ArrowInvalid:
        expected = None
    contract = Contract(columns={"c": Column(type=type_name, nullable=True)})
    result = split(strings(c=[text]), contract)
    if expected is None:
        assert result.rejected.num_rows == 1
    else:
        wanted = pl.Series(expected).cast(polars_type(contract.columns["c"].stored))
        wanted = wanted.fill_nan(None) if wanted.dtype.is_float() else wanted
        assert pl.Series(result.kept["c"]).equals(wanted, null_equal=True)


cells = st.one_of(st.none(), st.integers(-300, 300).map(str), st.sampled_from(["x", "", "1.5", "2", " 7"]))


@given(rows=st.lists(st.tuples(cells, cells), max_size=40), at=st.integers(0, 40))
def test_each_row_is_judged_alone_whatever_rows_are_around_it(rows: list[tuple[str | None, str | None]], at: int):
    contract = Contract(columns={"a": Column(type="int8"), "b": Column(type="float64", nullable=True, minimum=0)})
    table = strings(a=[row[0] for row in rows], b=[row[1] for row in rows])
    whole = split(table, contract)
    parts = [split(table.slice(0, at), contract), split(table.slice(at), contract, first_row=1 + min(at, len(rows)))]
    assert pa.concat_tables([part.kept for part in parts]).equals(whole.kept)
    assert pa.concat_tables([part.rejected for part in parts]).equals(whole.rejected)
    assert whole.kept.num_rows + whole.rejected.num_rows == len(rows)


def test_the_declaration_imports_no_pyarrow_and_the_judgement_no_pandas():
    code = """
import sys
from quality.contract import Column, Contract, split
Contract(columns={"a": Column(type="int64", minimum=0), "b": Column(type="string", allowed=("x",))})
assert "pyarrow" not in sys.modules
import polars as pl
table = pl.DataFrame({"a": ["1", "x", "-1"], "b": ["x", "x", "y"]}).to_arrow(compat_level=pl.CompatLevel.oldest())
contract = Contract(columns={"a": Column(type="int64", minimum=0), "b": Column(type="string", allowed=("x",))})
assert split(table, contract).rejected.num_rows == 2
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
