"""Owns the reading of CSV: the header, typed blocks, and, where a block does not type, its rows as text.

Missing values are empty and unquoted unless `null_values` says otherwise; a quoted empty text is a text.
"""

import csv
import io
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from quality.contract import Column, Contract, check_columns
from quality.contract.arrow import empty_table, take
from quality.contract.findings import Reason, shown
from quality.contract.types import FLOATS, INTEGERS, TEXTS, arrow_type, clock_parts
from resources.errors import ContractError, SourceError
from resources.source.lines import blocks, csv_cut
from resources.source.location import redacted
from resources.source.raw import PIECE_BYTES, not_utf8, open_raw, utf8_pieces
from resources.source.reading import Parsed, Reading, Room, Unparsed
from resources.source.spec import Source, guess_delimiter

if TYPE_CHECKING:
    import pyarrow as pa

_OTHER_DELIMITERS = ";\t|,"
_LINE_END = re.compile(rb"\r\n?|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvLayout:
    """How the text of one file is read.

    Attributes:
        url: The file.
        names: Its columns.
        contract: Which of them are read, and as what.
        delimiter: One character.
        quote: One character.
        null_values: Unquoted texts that mean a missing value.
    """

    url: str
    names: tuple[str, ...]
    contract: Contract
    delimiter: str
    quote: str
    null_values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvBlock:
    """Whole records of a CSV file; `last` tells that the file ends with them."""

    data: bytes
    last: bool
    layout: CsvLayout

    def parse(self) -> Parsed:
        """Return the rows, typed by the contract if all of them allow it, else as text."""
        import pyarrow as pa

        if not self.data.strip():
            return Parsed(table=_no_rows(self.layout), texts=lambda rows: take(_no_rows(self.layout), rows))
        if self.last:
            self._check_end()
        try:
            table = _read(self.data, self.layout, typed=True)
        except pa.ArrowInvalid:
            table, broken = self._read_texts()
            return Parsed(table=table, texts=lambda rows: take(table, rows), unparsed=broken)
        return Parsed(table=table, texts=lambda rows: take(self._read_texts()[0], rows))

    def _read_texts(self) -> "tuple[pa.Table, tuple[Unparsed, ...]]":
        import pyarrow as pa

        broken: list[Any] = []  # Any: pyarrow's InvalidRow

        def skip(row: Any) -> str:  # Any: as above
            broken.append(row)
            return "skip"

        try:
            table = _read(self.data, self.layout, typed=False, handler=skip)
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise not_utf8(self.data, self.layout.url, "in a column of the contract") from error
            raise SourceError(f"{redacted(self.layout.url)} cannot be parsed as CSV: {error}") from error
        if (
            broken
            and self.last
            and not self.data.endswith(b"\n")
            and self._is_cut_off(broken[-1], len(table) + len(broken))
        ):
            raise SourceError(
                f"{redacted(self.layout.url)} ends in the middle of a row, after {broken[-1].actual_columns} of "
                f"{broken[-1].expected_columns} columns: {shown(broken[-1].text)}: it is truncated, fetch it again"
            )
        return table, tuple(_unparsed(row) for row in broken)

    @staticmethod
    def _is_cut_off(row: Any, records: int) -> bool:  # Any: as above
        return row.number == records and row.actual_columns < row.expected_columns

    def _check_end(self) -> None:
        whole = self.data if self.data.endswith(b"\n") else self.data + b"\n"
        cut = csv_cut(self.layout.delimiter, self.layout.quote)
        if self.layout.quote.encode() in whole and cut(whole) != len(whole):
            start = whole[cut(whole) :][:60]
            raise SourceError(
                f"{redacted(self.layout.url)} ends inside a quoted value, in the record that begins {start!r}: "
                "it is truncated, fetch it again, or close the quote"
            )


@contextmanager
def open_csv(source: Source, url: str, contract: Contract, room: Room) -> Generator[Reading]:
    """Open a CSV file and check its header."""
    _check_types(contract)
    options = source.options
    delimiter: str = options.get("delimiter") or guess_delimiter(url)
    quote: str = options.get("quote", '"')
    with open_raw(url, scratch=room.scratch) as (raw, file):
        cut = csv_cut(delimiter, quote)
        pieces = utf8_pieces(file, url, options.get("encoding"), piece_bytes=min(PIECE_BYTES, room.block_bytes))
        texts = blocks(pieces, cut, url, room.block_bytes)
        first, last = next(texts)
        names, first = _header(first, url, options.get("columns"), delimiter, quote)
        _check_header(names, contract, url, delimiter)
        layout = CsvLayout(
            url=url,
            names=names,
            contract=contract,
            delimiter=delimiter,
            quote=quote,
            null_values=tuple(options.get("null_values", ("",))),
        )
        yield Reading(blocks=_blocks(chain([(first, last)], texts), layout), digest=raw.digest)


def _blocks(texts: Iterable[tuple[bytes, bool]], layout: CsvLayout) -> Iterator[CsvBlock]:
    for data, last in texts:
        yield CsvBlock(data=data, last=last, layout=layout)


def _read(
    data: bytes, layout: CsvLayout, *, typed: bool, handler: "Callable[[Any], str] | None" = None
) -> "pa.Table":  # Any: pyarrow's InvalidRow
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    columns = layout.contract.columns
    types = {name: arrow_type(_read_type(column)) if typed else pa.string() for name, column in columns.items()}
    return arrow_csv.read_csv(
        pa.BufferReader(data),
        read_options=arrow_csv.ReadOptions(
            use_threads=False, column_names=list(layout.names), block_size=len(data) + 1
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=layout.delimiter,
            quote_char=layout.quote,
            newlines_in_values=layout.quote.encode() in data,
            invalid_row_handler=handler,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types,
            include_columns=list(columns),
            null_values=list(layout.null_values),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _read_type(column: Column) -> str:
    """Return the type with which pyarrow reads a column; what its CSV reader types differently is read as text."""
    plain = (
        column.type in INTEGERS or column.type in FLOATS or column.type in TEXTS or column.type in ("bool", "date32")
    )
    return column.type if column.format is None and (plain or clock_parts(column.type)) else "string"


def _unparsed(row: Any) -> Unparsed:  # Any: pyarrow's InvalidRow
    rule = f"row: not {row.expected_columns} columns"
    text = f"row: {row.actual_columns} columns, expected {row.expected_columns}"
    return Unparsed(record=row.number - 1, text=row.text, reason=Reason(rule, text))


def _header(
    data: bytes, url: str, given: Sequence[str] | None, delimiter: str, quote: str
) -> tuple[tuple[str, ...], bytes]:
    """Return the column names and the text after them."""
    if given is not None:
        return tuple(given), data
    data = data.lstrip(b"\r\n")
    end = 0
    while True:
        line_end = _LINE_END.search(data, end)
        end = line_end.end() if line_end else len(data)
        if end == len(data) or data.count(quote.encode(), 0, end) % 2 == 0:
            break
    try:
        line = data[:end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(data[:end], url, "in its header") from error
    rows = csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, quotechar=quote)
    names = next((tuple(row) for row in rows if row), ())
    if not names:
        raise SourceError(f"{redacted(url)} has no header line: add one, or declare options: {{columns: [...]}}")
    return names, data[end:]


def _check_header(names: tuple[str, ...], contract: Contract, url: str, delimiter: str) -> None:
    if len(names) == 1 and len(contract.columns) > 1:
        for other in _OTHER_DELIMITERS.replace(delimiter, ""):
            if other in names[0]:
                raise ContractError(
                    f"{redacted(url)} has one column, {names[0]!r}: it is separated by {other!r}, "
                    f"so declare options: {{delimiter: {other!r}}}"
                )
    check_columns(names, contract, source=redacted(url))


def _check_types(contract: Contract) -> None:
    for name, column in contract.columns.items():
        if column.type == "binary":
            raise ContractError(f"column {name!r} is binary, which CSV cannot hold: declare it as string")


def _no_rows(layout: CsvLayout) -> "pa.Table":
    import pyarrow as pa

    return empty_table(pa.schema([(name, pa.string()) for name in layout.contract.columns]))
