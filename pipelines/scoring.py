"""Owns batch scoring: a file of raw rows in, the same rows with a prediction each out.

They go through the bundle's own transform, typed and checked exactly as ingest does. What the model does not read, such
as the label, may be missing.
"""

import os
import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from quality.contract import Contract
from resources.errors import ContractError, StoreError
from resources.names import choose
from resources.source import EventTime, Source
from resources.source.spec import OPTIONS, guess_format
from resources.training.bundle import Bundle

PREDICTION = "prediction"
WRITERS: Mapping[str, Callable[[pl.DataFrame, Path], Any]] = {  # Any: writers return nothing of use
    ".parquet": lambda frame, path: frame.write_parquet(path),
    ".csv": lambda frame, path: frame.write_csv(path),
    ".jsonl": lambda frame, path: frame.write_ndjson(path),
    ".arrow": lambda frame, path: frame.write_ipc(path),
}
"""Suffix of the output to what writes it."""


def score(bundle: Bundle, url: str, *, scratch: Path, delimiter: str | None = None) -> pl.DataFrame:
    """Return the rows of the file at `url`, typed, with the column `prediction` beside them.

    Args:
        bundle: The model; it tells how a raw file is read and when a row happened.
        url: A file of raw rows: CSV, Parquet, JSON Lines or Arrow IPC. Windows such as `LAG` see its rows only.
        scratch: Folder for a copy, where the format needs one.
        delimiter: Column separator of a CSV file, where it is not that of the training data.

    Raises:
        SourceError: If the file is missing or unreadable.
        ContractError: If columns are missing that the model reads, or rows break the contract: counts and first rows.
    """
    from resources.source.ingest import read_table

    source = _source(bundle, url, delimiter)
    present = columns_of_file(source)
    event_time = _event_time(bundle, present)
    contract = contract_for(bundle, present, event_time)
    table = read_table(url, contract, scratch=scratch, source=source, event_time=event_time)
    rows = pl.from_arrow(table)
    frame = rows if isinstance(rows, pl.DataFrame) else rows.to_frame()
    if PREDICTION in frame.columns:
        raise ContractError(f"{url} has a column {PREDICTION!r} already: rename it")
    in_order = sorted(frame.columns, key=lambda name: present.index(name) if name in present else len(present))
    return frame.select(in_order).with_columns(
        pl.Series(PREDICTION, bundle.predict_raw(frame.lazy()) if frame.height else [], pl.Float64)
    )


def contract_for(bundle: Bundle, present: Collection[str], event_time: EventTime | None) -> Contract:
    """Return what scoring demands: what the model reads must be there, what else the contract knows must fit if it is.

    Args:
        bundle: The model.
        present: Columns of the file.
        event_time: When a row happened; what its expression reads must be there too.
    """
    from resources.transform.expressions import columns_of

    contract = Contract.model_validate(bundle.contract)
    needed = set(bundle.transform.reads)
    if event_time is not None:
        needed |= set(columns_of(event_time.expression)) if event_time.expression else {event_time.column}
    kept = {name: column for name, column in contract.columns.items() if name in needed or name in present}
    return contract.model_copy(update={"columns": kept, "unique": ()})


def columns_of_file(source: Source) -> tuple[str, ...]:
    """Return the column names at the head of a file; none where it cannot be read, which the reader explains better."""
    form = guess_format(source.url)
    with suppress(Exception):  # whatever is wrong with the file, reading it in full raises the error that tells
        if form == "parquet":
            from pyarrow import parquet

            return tuple(parquet.read_schema(source.url).names)
        if form == "arrow":
            return _arrow_columns(source.url)
        return _text_columns(source.url, form, source.options)
    return ()


def _source(bundle: Bundle, url: str, delimiter: str | None) -> Source:
    """Return the file as a source, written like the training data as far as its format has such options."""
    form = guess_format(url)
    known = {name: value for name, value in bundle.recipe.options.items() if form and name in OPTIONS[form]}
    return Source(url=url, options=known | ({"delimiter": delimiter} if delimiter else {}))


def _event_time(bundle: Bundle, present: Collection[str]) -> EventTime | None:
    """Return when a row happened, where that is asked for: the model reads it, or the file holds its clock."""
    found = bundle.recipe.event_time
    if found is None or found.column in bundle.transform.reads:
        return found
    return found if found.expression is None and found.column in present else None


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write `frame` to `path` in the format of its suffix, atomically.

    Raises:
        DeclarationError: If the suffix names no format.
        StoreError: If it cannot be written.
    """
    writer = WRITERS[check_output(path)]
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        writer(frame, aside)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; choose another --output") from error
    finally:
        aside.unlink(missing_ok=True)


def check_output(path: Path) -> str:
    """Return the suffix of `path`, refusing one that names no format."""
    return choose("--output", path.suffix.lower(), WRITERS)


def _arrow_columns(url: str) -> tuple[str, ...]:
    import pyarrow as pa

    with pa.memory_map(url) as file:
        try:
            return tuple(pa.ipc.open_file(file).schema.names)
        except pa.ArrowInvalid:
            file.seek(0)
            return tuple(pa.ipc.open_stream(file).schema.names)


def _text_columns(url: str, form: str | None, options: Mapping[str, Any]) -> tuple[str, ...]:  # Any: source options
    import csv
    import json
    from itertools import chain

    from resources.source.raw import open_raw, utf8_pieces
    from resources.source.spec import guess_delimiter

    if options.get("columns"):
        return tuple(options["columns"])
    with open_raw(url) as (_, file):
        first = next(utf8_pieces(file, url, options.get("encoding"))).decode("utf-8", errors="ignore")
    if form == "jsonl":
        lines = [json.loads(line) for line in first.splitlines()[:100] if line.strip().endswith("}")]
        return tuple(dict.fromkeys(chain.from_iterable(lines)))
    delimiter = options.get("delimiter") or guess_delimiter(url)
    return tuple(next(csv.reader(first.splitlines(), delimiter=delimiter, quotechar=options.get("quote", '"'))))
