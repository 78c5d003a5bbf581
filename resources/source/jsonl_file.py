"""Owns the reading of JSON Lines: one object a line, typed blocks, and, where a block does not type, line by line.

A key that a line lacks is a missing value. Dates and clocks are text. pyarrow 26 crashes on a line that is just
`null`, so only blocks in which every line looks like an object reach its parser.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from quality.contract import Column, Contract, check_columns
from quality.contract.arrow import array_of
from quality.contract.findings import Findings, Reason, shown
from quality.contract.types import FLOATS, INTEGERS, TEXTS, arrow_type
from resources.errors import ContractError, SourceError
from resources.source.lines import blocks, cut_lines
from resources.source.location import redacted
from resources.source.raw import PIECE_BYTES, not_utf8, open_raw, utf8_pieces
from resources.source.reading import Parsed, Reading, Room, Unparsed
from resources.source.spec import Source

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLED_LINES = 1000
_DEEPEST = 100
_SECOND_VALUE = re.compile(rb"\}[ \t\r]*[^,\]}\s]")
_NO_NUMBER = re.compile(rb"[:,\[][ \t]*-?(?:Inf|NaN)")
_MALFORMED = "row: not one JSON object"


class Number(str):
    """The text of a JSON number, as it stands in the file."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBlock:
    """Whole lines of a file; `last` tells that the file ends with them."""

    data: bytes
    last: bool
    url: str
    contract: Contract

    def parse(self) -> Parsed:
        """Return the rows, typed by the contract if all of them allow it, else line by line."""
        table = self._read() if _may_be_parsed_fast(self.data) else None
        if table is None:
            return self._parse_lines()
        return Parsed(table=table, texts=lambda rows: _texts(self._lines(), rows, self.contract))

    def _read(self) -> "pa.Table | None":
        import pyarrow as pa
        from pyarrow import json as arrow_json

        columns = self.contract.columns
        schema = pa.schema([(name, arrow_type(_read_type(column))) for name, column in columns.items()])
        extra = "error" if self.contract.extra == "refuse" else "ignore"
        try:
            table = arrow_json.read_json(
                pa.BufferReader(self.data),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(self.data) + 1),
                parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=extra),
            )
            table.validate(full=True)
        except pa.ArrowInvalid:
            return None
        lines = self.data.count(b"\n") + (not self.data.endswith(b"\n"))
        return table.select(list(columns)) if len(table) == lines else None

    def _lines(self) -> list[bytes]:
        return [line for line in self.data.split(b"\n") if line.strip(b" \t\r")]

    def _parse_lines(self) -> Parsed:
        lines = self._lines()
        rows: list[Row] = []
        unparsed: list[Unparsed] = []
        for record, line in enumerate(lines):
            found = self._row(line)
            if isinstance(found, Reason):
                unparsed.append(Unparsed(record, line.decode("utf-8", "replace"), found))
            else:
                rows.append(found)
        if unparsed and self.last and unparsed[-1].record == len(lines) - 1 and not self.data.endswith(b"\n"):
            raise SourceError(
                f"{redacted(self.url)} ends in the middle of a row, {shown(unparsed[-1].text)}: "
                "it is truncated, fetch it again"
            )
        columns = {name: _column(rows, name, column) for name, column in self.contract.columns.items()}
        texts = _table({name: [_spelled(row.get(name)) for row in rows] for name in self.contract.columns})
        return Parsed(
            table=_table({name: cells.texts for name, cells in columns.items()}),
            texts=lambda wanted: texts.take(array_of(list(wanted), pl.Int64())),
            unparsed=tuple(unparsed),
            unfit={name: cells.unfit for name, cells in columns.items() if cells.unfit},
        )

    def _row(self, line: bytes) -> "Row | Reason":
        try:
            row = parse_line(line)
        except UnicodeDecodeError as error:
            raise not_utf8(line, self.url, "in a line") from error
        except (ValueError, RecursionError) as error:
            return Reason(_MALFORMED, f"{_MALFORMED}: {error}")
        doubled = sorted(row.doubled & self.contract.columns.keys())
        if doubled:
            return Reason(_MALFORMED, f"row: {shown(doubled[0])} stands twice in it")
        gained = [name for name in row if name not in self.contract.columns]
        if gained and self.contract.extra == "refuse":
            return Reason(
                "row: has a key that is not in the contract", f"row: {shown(gained[0])} is not in the contract"
            )
        return row


class Row(dict[str, Any]):  # Any: JSON values
    """A JSON object, and which of its keys stand in it more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:  # Any: as above
        super().__init__(pairs)
        self.doubled = {name for name, times in Counter(name for name, _ in pairs).items() if times > 1}


def parse_line(line: bytes) -> Row:
    """Return the object on a line, its numbers as they are spelled.

    Raises:
        UnicodeDecodeError: If the line is not UTF-8.
        ValueError: If it holds anything but one object.
    """
    row = _DECODER.decode(line.decode("utf-8").strip(" \t\r"))
    if not isinstance(row, Row):
        raise ValueError(f"{type(row).__name__} instead of an object")
    if b"\\u" in line:  # half a surrogate pair is no text
        json.dumps(row, ensure_ascii=False).encode()
    if line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(row) > _DEEPEST:
        raise ValueError(f"values nested more than {_DEEPEST} deep")
    return row


def _depth(value: Any) -> int:  # Any: a JSON value
    """Return how deep lists and objects are nested in `value`, without recursion, which ends at some 1,000."""
    depth, level = 0, _items(value)
    while level:
        depth, level = depth + 1, list(chain.from_iterable(map(_items, level)))
    return depth


def _items(value: Any) -> list[Any]:  # Any: JSON values
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


@contextmanager
def open_jsonl(source: Source, url: str, contract: Contract, room: Room) -> Generator[Reading]:
    """Open a JSON Lines file and check the keys of its first lines."""
    with open_raw(url, scratch=room.scratch) as (raw, file):
        encoding = source.options.get("encoding")
        pieces = utf8_pieces(file, url, encoding, piece_bytes=min(PIECE_BYTES, room.block_bytes))
        texts = blocks(pieces, cut_lines, url, room.block_bytes)
        first, last = next(texts)
        late = _check_keys(first, url, contract)
        yield Reading(blocks=_blocks(chain([(first, last)], texts), url, contract, late), digest=raw.digest)


def _blocks(texts: Iterator[tuple[bytes, bool]], url: str, contract: Contract, late: set[str]) -> Iterator[JsonBlock]:
    """Return the blocks; at the end refuse a file in which no line had one of the columns `late`."""
    unseen = set(late)
    for data, last in texts:
        unseen -= {name for name in unseen if _holds_key(data, name)}
        yield JsonBlock(data=data, last=last, url=url, contract=contract)
    if unseen:
        names = ", ".join(repr(name) for name in sorted(unseen))
        raise ContractError(
            f"{redacted(url)} does not have the columns of the contract: {names} in no line "
            "(restore it, or remove it from the contract)"
        )


def _holds_key(data: bytes, name: str) -> bool:
    return json.dumps(name).encode() in data or json.dumps(name, ensure_ascii=False).encode() in data


class _Cells(NamedTuple):
    texts: list[str | None]
    unfit: Findings


def _column(rows: Sequence[Row], name: str, column: Column) -> _Cells:
    """Return the cells of one column as text; a cell of the wrong JSON kind is null and has a reason."""
    kinds = _kinds(column)
    texts: list[str | None] = []
    unfit: Findings = {}
    for number, row in enumerate(rows):
        value = row.get(name)
        fits = value is None or type(value) in kinds
        texts.append(_spelled(value) if fits else None)
        if not fits:
            text = f"{name}: the JSON value {shown(_json(value))} is not {column.type}"
            unfit[number] = [Reason(f"{name}: not {column.type}", text)]
    return _Cells(texts, unfit)


def _kinds(column: Column) -> tuple[type, ...]:
    if column.type in INTEGERS or column.type in FLOATS:
        return (Number,)
    if column.type == "bool":
        return (bool,)
    return (Number, str) if column.type.startswith("decimal") else (str,)


def _read_type(column: Column) -> str:
    """Return the type with which pyarrow reads a column; it is lax about zones, so dates and clocks are text."""
    plain = column.type in INTEGERS or column.type in FLOATS or column.type in TEXTS or column.type == "bool"
    return column.type if plain else "string"


def _may_be_parsed_fast(data: bytes) -> bool:
    """Return whether every line begins with an object and holds nothing after it."""
    if not data.startswith(b"{") or _SECOND_VALUE.search(data) or _NO_NUMBER.search(data):
        return False
    text = np.frombuffer(data, np.uint8)
    starts = np.flatnonzero(text == ord("\n")) + 1
    return bool((text[starts[starts < len(text)]] == ord("{")).all())


def _spelled(value: Any) -> str | None:  # Any: a JSON value
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return _json(value)


def _json(value: Any) -> str:  # Any: as above
    """Return a JSON value as text, its numbers as the file spells them."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        items: dict[str, Any] = value
        return (
            "{" + ", ".join([f"{json.dumps(name, ensure_ascii=False)}: {_json(items[name])}" for name in items]) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join([_json(item) for item in value]) + "]"
    return json.dumps(value, ensure_ascii=False)


def _texts(lines: Sequence[bytes], rows: Sequence[int], contract: Contract) -> "pa.Table":
    parsed = [parse_line(lines[row]) for row in rows]
    return _table({name: [_spelled(row.get(name)) for row in parsed] for name in contract.columns})


def _table(columns: dict[str, list[str | None]]) -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_arrays(
        [array_of(cells, pl.String()) for cells in columns.values()],
        schema=pa.schema([(name, pa.string()) for name in columns]),
    )


def _check_keys(first: bytes, url: str, contract: Contract) -> set[str]:
    """Refuse a file whose first lines lack a required column or have one too many; return columns not seen yet."""
    names: dict[str, None] = {}
    objects = 0
    for line in first.split(b"\n", _SAMPLED_LINES)[:_SAMPLED_LINES]:
        try:
            names.update(dict.fromkeys(parse_line(line)))
            objects += 1
        except (ValueError, RecursionError):  # judged with its block
            continue
    if not objects:
        if not _is_utf8(first):
            raise not_utf8(first, url, "in its first lines")
        raise SourceError(
            f"{redacted(url)} has no JSON object among its first lines, which begin {first[:60]!r}: "
            "JSON Lines has one object a line"
        )
    late = {name for name, column in contract.columns.items() if column.nullable and name not in names}
    check_columns([*names, *sorted(late)], contract, source=redacted(url))
    return late


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _number(text: str) -> Number:
    if math.isinf(float(text)):
        raise ValueError(f"{shown(text)} is too large a number")
    return Number(text)


_DECODER = json.JSONDecoder(object_pairs_hook=Row, parse_int=_number, parse_float=_number, parse_constant=Number)
