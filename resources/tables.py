"""Owns the reading of tables that no contract describes, lazily: Parquet, Arrow, CSV and JSON Lines, of unknown origin.

Parquet and Arrow are read by pyarrow, batch by batch and validated in full: Polars panics on some malformed files.
What a contract describes is read by `resources.source`, what the store holds by `resources.storage.datasets`.
"""

import re
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

from resources.errors import SourceError
from resources.source.location import local_path, plain_errors, redacted
from resources.source.parquet_file import copied, damage_errors
from resources.source.spec import COMPRESSIONS, check_option, guess_delimiter, guess_format

if TYPE_CHECKING:
    import pyarrow as pa

Batches = Callable[[list[str] | None], "Iterator[pa.RecordBatch]"]
_BATCH_ROWS = 131_072
_OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


@contextmanager
def opened_table(
    url: str, *, scratch: Path, times: Collection[str] = (), delimiter: str | None = None
) -> Generator[pl.LazyFrame]:
    """Yield the rows of a file as a lazy frame that may be collected, more than once, until the context is left.

    Args:
        url: A path or fsspec URL: .parquet, .arrow, .feather, .ipc, .csv, .tsv or .jsonl, compressed or not.
        scratch: Folder for a copy of what is remote or compressed.
        times: Columns that hold times: text of CSV and JSON Lines is parsed there.
        delimiter: Column separator of a CSV file; None takes that of its suffix.

    Raises:
        SourceError: If the file is missing, empty, of an unknown format or malformed, now or while it is collected.
    """
    if delimiter is not None:
        check_option("delimiter", delimiter)
    form = guess_format(url)
    if form is None:
        raise SourceError(f"{redacted(url)} does not tell its format: end its name in .parquet, .arrow, .csv or .jsonl")
    with ExitStack() as stack:
        path = stack.enter_context(_local(url, scratch))
        if form in ("parquet", "arrow"):
            yield stack.enter_context(_arrow_frame(path, url, form))
        else:
            yield stack.enter_context(_text_frame(path, url, form, times, delimiter or guess_delimiter(url)))


@contextmanager
def _local(url: str, scratch: Path) -> Generator[Path]:
    path = local_path(url)
    if path is None or path.suffix in COMPRESSIONS:
        with copied(url, scratch) as (copy, _):
            yield copy
        return
    with plain_errors(url), path.open("rb") as file:
        if not file.read(1):
            raise SourceError(f"{redacted(url)} is empty: put the rows there, or name another file")
    yield path


@contextmanager
def _arrow_frame(path: Path, url: str, form: str) -> Generator[pl.LazyFrame]:
    with damage_errors(url):
        schema, batches = (_parquet if form == "parquet" else _ipc)(path)
        empty = _polars(schema.empty_table().cast(_in_utc(schema)))
    failed: list[SourceError] = []

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        try:
            with damage_errors(url):
                for batch in batches(columns):
                    batch.validate(full=True)
                    frame = _polars(batch.cast(_in_utc(batch.schema)))
                    frame = frame if rows is None else frame.head(rows)
                    rows = None if rows is None else rows - frame.height
                    yield frame if predicate is None else frame.filter(predicate)
                    if rows == 0:
                        return
        except SourceError as error:  # Polars would wrap it into an error of its own
            failed.append(error)
            raise

    try:
        yield register_io_source(read, schema=empty.schema, validate_schema=False)
    except pl.exceptions.PanicException as error:  # no `Exception`: nobody else would catch it
        raise SourceError(f"{redacted(url)} has a column that Polars cannot read ({error}): cast it") from None
    except pl.exceptions.PolarsError:
        if failed:
            raise failed[0] from None
        raise


def _in_utc(schema: "pa.Schema") -> "pa.Schema":
    """Return `schema` with times of a fixed offset, at which Polars panics, as the same instants in UTC."""
    import pyarrow as pa

    return pa.schema(
        [
            field.with_type(pa.timestamp(field.type.unit, "UTC"))
            if pa.types.is_timestamp(field.type) and _OFFSET.search(field.type.tz or "")
            else field
            for field in schema
        ]
    )


def _parquet(path: Path) -> "tuple[pa.Schema, Batches]":
    from pyarrow import parquet

    def batches(columns: list[str] | None) -> "Iterator[pa.RecordBatch]":
        with parquet.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=columns)

    with parquet.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
        return file.schema_arrow, batches


def _ipc(path: Path) -> "tuple[pa.Schema, Batches]":
    import pyarrow as pa

    def opened(file: "pa.OSFile") -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        try:
            found = pa.ipc.open_file(file)
        except pa.ArrowInvalid:  # a stream has no magic bytes
            file.seek(0)
            stream = pa.ipc.open_stream(file)
            return stream.schema, iter(stream)
        return found.schema, (found.get_batch(number) for number in range(found.num_record_batches))

    def batches(columns: list[str] | None) -> "Iterator[pa.RecordBatch]":
        with pa.OSFile(str(path)) as file:
            for batch in opened(file)[1]:
                yield batch if columns is None else batch.select(columns)

    with pa.OSFile(str(path)) as file:
        return opened(file)[0], batches


def _polars(rows: "pa.Table | pa.RecordBatch") -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


@contextmanager
def _text_frame(path: Path, url: str, form: str, times: Collection[str], delimiter: str) -> Generator[pl.LazyFrame]:
    try:
        if form == "csv":
            frame = pl.scan_csv(path, separator=delimiter, try_parse_dates=True, infer_schema_length=None)
        else:
            frame = pl.scan_ndjson(path, infer_schema_length=None)
        schema = frame.collect_schema()
        texts = [name for name in times if schema.get(name) == pl.String]
        yield frame.with_columns(_parsed(frame, name) for name in texts)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, UnicodeDecodeError, SourceError) as error:
        if isinstance(error, SourceError) and not isinstance(error.__cause__, pl.exceptions.PolarsError):
            raise  # else it is Polars' own, told by whoever collected the frame
        brief = str(error).strip().partition("\n")[0][:200]
        raise SourceError(
            f"{redacted(url)} is no {form} that can be read ({brief}): mend it, or give --delimiter"
        ) from None


def _parsed(frame: pl.LazyFrame, name: str) -> pl.Expr:
    first = frame.select(pl.col(name).drop_nulls().first()).collect().item()
    zone = "UTC" if isinstance(first, str) and _OFFSET.search(first) else None
    return pl.col(name).str.to_datetime(time_unit="us", time_zone=zone)
