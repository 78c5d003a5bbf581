"""Each format on its own: what is read, what is refused and what the message says."""

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quality.contract import Column, Contract
from resources.errors import ContractError, PenstockError, SourceError
from resources.source import lines
from resources.source.jsonl_file import JsonBlock
from resources.source.lines import csv_cut
from tests.resources.ingesting import RIDES, Workplace, csv_text, hours, workplace

__all__ = ["workplace"]

PAIR = Contract(columns={"a": Column(type="int64"), "b": Column(type="string", nullable=True)}, max_rejected=0.9)


def test_csv_takes_delimiter_quote_null_values_and_names_from_the_options(workplace: Workplace):
    path = workplace.file("a.csv", "1;'x;y'\n2;NA\n3;'NA'\n")
    options = {"delimiter": ";", "quote": "'", "null_values": ["NA"], "columns": ["a", "b"]}
    done = workplace.ingest(path, PAIR, options=options)
    assert [row["b"] for row in workplace.rows(done)] == ["x;y", None, "NA"]


def test_csv_tells_a_missing_text_from_an_empty_one_by_its_quotes(workplace: Workplace):
    done = workplace.ingest(workplace.file("a.csv", 'a,b\n1,\n2,""\n'), PAIR)
    assert [row["b"] for row in workplace.rows(done)] == [None, ""]


def test_tab_separated_files_are_known_by_their_name(workplace: Workplace):
    assert workplace.rows(workplace.ingest(workplace.file("a.tsv", "a\tb\n1\tx,y\n"), PAIR)) == [{"a": 1, "b": "x,y"}]


def test_columns_may_come_in_any_order_and_extra_ones_be_dropped(workplace: Workplace):
    contract = PAIR.model_copy(update={"extra": "drop"})
    done = workplace.ingest(workplace.file("a.csv", "c,b,a\n9,x,1\n"), contract)
    assert workplace.rows(done) == [{"a": 1, "b": "x"}]


def test_a_csv_row_of_the_wrong_width_is_rejected_with_its_text(workplace: Workplace):
    done = workplace.ingest(workplace.file("a.csv", "a,b\n1,x\n2\n3,y,z\n4,w\n"), PAIR)
    assert workplace.reasons(done) == {2: "row: 1 columns, expected 2", 3: "row: 3 columns, expected 2"}
    assert [row["_text"] for row in workplace.rejected(done)] == ["2", "3,y,z"]
    assert [row["a"] for row in workplace.rows(done)] == [1, 4]


def test_line_breaks_between_quotes_do_not_end_a_record(workplace: Workplace):
    rows = "".join(f'{number},"line\nof ""{number}"""\n' for number in range(50))
    path = workplace.file("a.csv", "a,b\n" + rows)
    whole, parts = workplace.ingest(path, PAIR), workplace.ingest(path, PAIR, block_bytes=40)
    assert whole.ref == parts.ref
    assert workplace.rows(parts)[7] == {"a": 7, "b": 'line\nof "7"'}


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(workplace: Workplace):
    done = workplace.ingest(workplace.file("a.csv", b"\xef\xbb\xbfa,b\r\n1,x\r\n"), PAIR)
    assert workplace.rows(done) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize("text", ["\n\na,b\n1,x\n2,y\n", "a,b\r1,x\r2,y\r", "a,b\r1,x\n2,y\r\n"])
def test_no_row_is_lost_to_empty_lines_or_old_line_ends_at_the_head(workplace: Workplace, text: str):
    done = workplace.ingest(workplace.file("a.csv", text), PAIR)
    assert [row["b"] for row in workplace.rows(done)] == ["x", "y"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252"])
def test_a_declared_encoding_is_decoded(workplace: Workplace, encoding: str):
    path = workplace.file("a.csv", "a,b\n1,Café\n2,Œuvre\n".replace("Œ", "O").encode(encoding))
    done = workplace.ingest(path, PAIR, options={"encoding": encoding}, block_bytes=7)
    assert [row["b"] for row in workplace.rows(done)] == ["Café", "Ouvre"]


@pytest.mark.parametrize(
    ("pack", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2"), (lzma.compress, ".xz"), ("zstd", ".zst")]
)
def test_compressed_text_is_known_by_its_name_and_the_digest_is_of_the_file(
    workplace: Workplace, pack: Any, suffix: str
):
    text = csv_text(hours(2000)).encode()
    data = pa.compress(text, codec="zstd", asbytes=True) if pack == "zstd" else pack(text)
    plain = workplace.ingest(workplace.file("rides.csv", text))
    packed = workplace.ingest(workplace.file(f"rides.csv{suffix}", data))
    assert packed.ref.digest == plain.ref.digest
    assert packed.report.source_digest != plain.report.source_digest


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_text_that_only_its_name_calls_compressed_is_refused(workplace: Workplace, suffix: str):
    with pytest.raises(SourceError, match=r"truncated or damaged \(.*correct the end of its name"):
        workplace.ingest(workplace.file(f"rides.csv.{suffix}", csv_text(hours(3))))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_truncated_archive_is_refused(workplace: Workplace, pack: Any):
    data = pack(csv_text(hours(2000)).encode())
    suffix = {gzip.compress: "gz", bz2.compress: "bz2"}.get(pack, "xz")
    path = workplace.file(f"rides.csv.{suffix}", data[: len(data) // 2])
    with pytest.raises(SourceError, match="is truncated or damaged"):
        workplace.ingest(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n", "has columns but no rows"),
        ("a.csv", b"\n\n", "has no header line"),
        ("a.csv", b"a;b\n1;x\n", r"separated by ';', so declare options: \{delimiter: ';'\}"),
        ("a.csv", b"a,b\n1,x\n2", "ends in the middle of a row, after 1 of 2 columns: '2'"),
        ("a.csv", b'a,b\n1,x\n2,"y', "ends inside a quoted value"),
        ("a.csv", "a,b\n1,Café\n".encode("latin-1"), r"is not UTF-8: byte 0xe9 in b'a,b|is not UTF-8: byte 0xe9"),
        ("a.csv", "a,é\n1,x\n".encode("latin-1"), "is not UTF-8: byte 0xe9 .* in its header"),
        ("a.csv", "a,b\n1,x\n".encode("utf-16"), r"is not text but UTF-16 text: declare options: \{encoding: utf-16\}"),
        ("a.csv", "a,b\n1,x\n".encode("utf-16-le"), "is no UTF-8 text"),
        ("a.csv", "a,b\n1,x\n".encode("utf-32"), r"is not text but UTF-32 text: declare options: \{encoding: utf-32\}"),
        ("a.csv", gzip.compress(b"a,b\n1,x\n", mtime=0), "gzip data: end its name in .gz"),
        ("a.csv", b"PK\x03\x04....", r"a zip archive: name the member, zip://MEMBER::URL"),
        ("a.csv", b"PAR1....", "a Parquet file: declare format: parquet"),
        ("a.csv", b"b\nx\n", "'a' is missing"),
        ("a.csv", b"a,b,c\n1,x,2\n", "'c' not in the contract"),
        ("a.csv", b"a,b,a\n1,x,2\n", "'a' more than once"),
        ("a.csv", b"aa,b\n1,x\n", r"'a' is missing|renamed"),
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"[1, 2]\n", "has no JSON object among its first lines"),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', "'b' in no line"),
        ("a.jsonl", b'{"b": "x"}\n', "'a' is missing"),
        ("a.jsonl", b'{"a": 1, "b": "x", "c": 1}\n', "'c' not in the contract"),
        ("a.jsonl", b'{"a": 1, "b": "x"}\n{"a": 2, "b"', "ends in the middle of a row"),
        ("a.jsonl", '{"a": 1, "b": "é"}\n'.encode("latin-1"), "is not UTF-8: byte 0xe9"),
        ("a.jsonl", b'{"a": "1", "b": "x"}\n', "1 of 1 rows break the contract: a: not int64"),
        ("a.parquet", b"", "is empty"),
        ("a.parquet", b"PAR1 and nothing else", "is truncated, damaged, or of another format"),
        ("a.parquet", b"a,b\n1,x\n", "is truncated, damaged, or of another format"),
        ("a.arrow", b"", "is empty"),
        ("a.arrow", b"ARROW1\0\0 and nothing else", "is truncated, damaged, or of another format"),
        ("a.arrow", b"a,b\n1,x\n", "is truncated, damaged, or of another format"),
        ("a.xls", b"a,b\n1,x\n", "does not tell its format: declare format: csv, parquet, jsonl or arrow"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is_wrong_and_what_to_do(
    workplace: Workplace, name: str, content: bytes, message: str
):
    with pytest.raises(PenstockError, match=message) as error:
        workplace.ingest(workplace.file(name, content), PAIR)
    assert isinstance(error.value, SourceError | ContractError)
    assert list(workplace.scratch.iterdir()) == []


@pytest.mark.parametrize("rows", [0, 3])
def test_truncated_binary_files_are_refused_at_every_length(workplace: Workplace, rows: int):
    table = pa.table({"a": pa.array(range(rows), pa.int64()), "b": pa.array(["x"] * rows, pa.string())})
    pq.write_table(table, workplace.folder / "whole.parquet")
    with pa.ipc.new_file(workplace.folder / "whole.arrow", table.schema) as writer:
        writer.write_table(table)
    for kind in ("parquet", "arrow"):
        data = (workplace.folder / f"whole.{kind}").read_bytes()
        for length in range(1, len(data), 37):
            with pytest.raises(SourceError):
                workplace.ingest(workplace.file(f"cut.{kind}", data[:length]), PAIR)


def test_a_truncated_arrow_stream_is_refused(workplace: Workplace):
    table = pa.table({"a": pa.array(range(1000), pa.int64()), "b": pa.array(["x"] * 1000)})
    with pa.ipc.new_stream(workplace.folder / "whole.arrows", table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    data = (workplace.folder / "whole.arrows").read_bytes()
    with pytest.raises(SourceError, match="is truncated, damaged"):
        workplace.ingest(workplace.file("cut.arrows", data[: len(data) // 2 + 3]), PAIR)


def test_a_retyped_column_of_a_typed_format_is_refused_by_its_schema(workplace: Workplace):
    pq.write_table(pa.table({"a": ["1"], "b": ["x"]}), workplace.folder / "a.parquet")
    with pytest.raises(ContractError, match="'a' is string, the contract says int64"):
        workplace.ingest(workplace.folder / "a.parquet", PAIR)


def test_a_parquet_clock_without_zone_needs_a_declared_one(workplace: Workplace):
    pq.write_table(pa.table({"at": pa.array([0], pa.timestamp("us"))}), workplace.folder / "a.parquet")
    with pytest.raises(ContractError, match="'at' is a clock without a zone"):
        workplace.ingest(workplace.folder / "a.parquet", Contract(columns={"at": Column(type="timestamp[us, tz=UTC]")}))


MALFORMED = [
    (
        "ARROW-GH-41317",
        Column(type="timestamp[us]", timezone="UTC", nullable=True),
        "timestamp_us_no_tz",
        "footer says 5",
    ),
    ("ARROW-GH-41321", Column(type="int64", nullable=True), "int64", "bit_width 254"),
    ("ARROW-GH-45185", Column(type="int32"), "x", "the contract says int32"),
    ("ARROW-GH-47662", Column(type="binary"), "flba_field", "Unexpected end of stream"),
    ("ARROW-RS-GH-6229-DICTHEADER", Column(type="int32", nullable=True), "nation_key", "Invalid data"),
    ("ARROW-RS-GH-6229-LEVELS", Column(type="int32"), "outer", "the contract says int32"),
    ("PARQUET-1481", Column(type="int32"), "x", "Invalid physical column type"),
]


@pytest.mark.parametrize(("name", "column", "column_name", "message"), MALFORMED)
def test_parquet_files_known_to_crash_readers_are_refused(
    workplace: Workplace, shared_data: Path, name: str, column: Column, column_name: str, message: str
):
    contract = Contract(columns={column_name: column}, extra="drop")
    with pytest.raises((SourceError, ContractError), match=message):
        workplace.ingest(shared_data / "malformed_parquet" / f"{name}.parquet", contract)


def test_the_readable_one_among_the_malformed_files_is_read(workplace: Workplace, shared_data: Path):
    path = shared_data / "malformed_parquet" / "ARROW-GH-43605.parquet"
    contract = Contract(columns={"min_fl": Column(type="uint16", nullable=True)})
    assert workplace.ingest(path, contract).report.rows_kept == 21_186


@pytest.mark.slow
def test_damaged_files_never_end_the_process_they_are_read_in(tmp_path: Path):
    code = (Path(__file__).parent / "damage.py").read_text()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


csv_bytes = st.lists(st.sampled_from([b"a", b'"', b",", b"\n", b'""', b'"x,\n"', b"bc"]), max_size=60).map(b"".join)


def records_of(data: bytes) -> list[int]:
    """Return where records end: pyarrow's rules, spelled out one character at a time."""
    ends, at_start, quoted, place = [], True, False, 0
    while place < len(data):
        char = data[place : place + 1]
        if quoted:
            if data[place : place + 2] == b'""':
                place += 1
            elif char == b'"':
                quoted = False
        elif at_start and char == b'"':
            quoted = True
        elif char == b"\n":
            ends.append(place + 1)
        at_start = not quoted and char in (b",", b"\n")
        place += 1
    return ends


@settings(max_examples=400)
@given(data=csv_bytes)
@example(data=b'5" pipe,"x\n"\na')
@example(data=b'"a"b"c\n,"\n"')
def test_csv_is_cut_after_the_last_whole_record_however_quotes_stand(data: bytes):
    ends = records_of(data)
    assert csv_cut(",", '"')(data) == (ends[-1] if ends else 0)


def test_a_quote_that_never_closes_is_refused_before_memory_is_full(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lines, "LONGEST_RECORD_BYTES", 10_000)
    rows = "".join(f"{number},x\n" for number in range(50_000))
    with pytest.raises(SourceError, match="a quote that is never closed"):
        workplace.ingest(workplace.file("a.csv", 'a,b\n0,"' + rows), PAIR, block_bytes=1000)


JSON_TYPES = ("int8", "int64", "float64", "string", "bool", "date32", "timestamp[us, tz=UTC]")
json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False),
    st.sampled_from(["2011-01-01", "2011-01-01T00:00:00Z", "2011-01-01 00:00", "x", "1", "true", "é", "\ud83d"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["a", "z"]), st.integers(), max_size=1),
)
rows_of_json = st.dictionaries(st.sampled_from(["a", "b", "z"]), json_values, max_size=3).map(json.dumps)
odd_lines = st.sampled_from(
    [
        "null",
        "{}",
        '{"a": 1} {"a": 2}',
        '{"a": 1, "a": 2}',
        '{"z": 1, "z": 2, "a": 3}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": 01}',
        '{"a": 1',
        "[]",
        '{"a":\t1}\r',
        '{"a": "\\ud83d"}',
        " ",
        '{"a": 1.0}',
        '{"a": 1e2}',
        '{"a":1}null',
        '{"a": -Inf}',
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    line=st.one_of(rows_of_json, odd_lines), a=st.sampled_from(JSON_TYPES), extra=st.sampled_from(["refuse", "drop"])
)
def test_a_line_of_json_means_the_same_beside_good_and_beside_bad_lines(line: str, a: str, extra: Any):
    contract = Contract(
        columns={"a": Column(type=a, nullable=True), "b": Column(type="float64", nullable=True)}, extra=extra
    )
    if contract.extra == "refuse" and '"z"' in line:
        return
    alone, beside = (_json_outcome(text, contract) for text in (line, f"{line}\nnonsense"))
    assert alone == beside[: len(alone)]
    assert len(beside) == len(alone) + 1


def _json_outcome(text: str, contract: Contract) -> list[Any]:
    from resources.source.judging import Judge

    block = JsonBlock(data=f"{text}\n".encode(), last=True, url="x.jsonl", contract=contract)
    judge = Judge(contract=contract, schema=contract.schema(), event_time=None, span=None, own_file=False)
    judged = judge.judge(block)
    found: dict[int, Any] = dict(zip(judged.kept_records.tolist(), judged.kept.to_pylist(), strict=True))
    for record, why in zip(judged.rejects.records.tolist(), judged.rejects.reasons, strict=True):
        found[record] = [reason.rule for reason in why]
    return [found[record] for record in sorted(found)]


def test_json_values_of_the_wrong_kind_are_rejected_with_their_spelling(workplace: Workplace):
    rows = ['{"a": 1, "b": "x"}', '{"a": "1", "b": "x"}', '{"a": 2, "b": 5}', "null", '{"a": 3}', '{"a": 4, "b": null}']
    done = workplace.ingest(workplace.file("a.jsonl", "\n".join(rows) + "\n"), PAIR)
    assert [row["a"] for row in workplace.rows(done)] == [1, 3, 4]
    assert workplace.reasons(done) == {
        2: "a: the JSON value '\"1\"' is not int64",
        3: "b: the JSON value '5' is not string",
        4: "row: not one JSON object: NoneType instead of an object",
    }


def test_nested_json_is_rejected_as_it_is_spelled_and_however_deep(workplace: Workplace):
    deep = "[" * 900 + "]" * 900
    rows = ['{"a": 1, "b": "x"}', '{"a": 2, "b": {"c": [1.50, null]}}', f'{{"a": 3, "b": {deep}}}', '{"a": 4, "b": ""}']
    done = workplace.ingest(workplace.file("a.jsonl", "\n".join(rows) + "\n"), PAIR)
    assert [(row["_row"], row["b"]) for row in workplace.rejected(done)] == [(2, '{"c": [1.50, null]}'), (3, None)]
    assert workplace.reasons(done)[3] == "row: not one JSON object: values nested more than 100 deep"


def test_rides_in_json_lines_are_those_in_csv(workplace: Workplace):
    rows = hours(100)
    text = "".join(json.dumps(dict(zip(("at", "zone", "rides"), row, strict=True))) + "\n" for row in rows)
    jsonl = workplace.ingest(workplace.file("rides.jsonl", text), RIDES, block_bytes=333)
    assert jsonl.ref.digest == workplace.ingest(workplace.file("rides.csv", csv_text(rows))).ref.digest


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(max_size=8).filter(lambda text: "\0" not in text), min_size=1, max_size=20))
def test_any_text_written_as_csv_is_read_back(texts: list[str]):
    import csv
    import io

    sink = io.StringIO(newline="")
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([["a", "b"], *[[number, text] for number, text in enumerate(texts)]])
    with TemporaryDirectory() as folder:
        workplace = Workplace(Path(folder))
        try:
            data = sink.getvalue().encode()
        except UnicodeEncodeError:
            return
        path = workplace.file("a.csv", data)
        contract = Contract(columns={"a": Column(type="int64"), "b": Column(type="string")})
        done = workplace.ingest(path, contract, block_bytes=25)
        assert [row["b"] for row in workplace.rows(done)] == texts
