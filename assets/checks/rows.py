"""Owns the rows that a check sees: whatever an I/O manager hands over as a Polars frame, and files one a partition."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from resources.errors import DeclarationError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

Rows: TypeAlias = Callable[[str | None], Any]  # Any: a frame of pandas, Polars or Arrow
"""Partition key, or None, to rows."""


def frame_of(value: object, *, of: str) -> pl.DataFrame:
    """Return rows as a Polars frame.

    Args:
        value: A Polars frame (lazy ones are collected), a pandas frame, an Arrow table, batch or reader, or anything
            with the Arrow stream interface.
        of: What they are the rows of, for the message.

    Raises:
        DeclarationError: If it is none of these.
        SourceError: If a lazy frame cannot be read.
    """
    if isinstance(value, pl.DataFrame):
        return value
    if isinstance(value, pl.LazyFrame):
        return collected(value, of=of)
    if type(value).__module__.partition(".")[0] == "pandas" and type(value).__name__ == "DataFrame":
        return pl.from_pandas(value)  # pyright: ignore[reportArgumentType,reportCallIssue] # a DataFrame by its name
    if hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__"):
        return pl.DataFrame(value)  # pyright: ignore[reportArgumentType] # by the interface
    raise DeclarationError(
        f"{of}: {type(value).__name__} is no table; a check reads frames of Polars or pandas and Arrow tables. "
        f"Give rows=..., a function of the partition key, such as rows_at('data/{{partition}}.parquet')"
    )


def collected(frame: pl.LazyFrame, *, of: str) -> pl.DataFrame:
    """Return the rows of a lazy frame.

    Raises:
        SourceError: If they cannot be read.
    """
    try:
        return frame.collect(engine="streaming")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        told = str(error).strip().splitlines()
        raise SourceError(
            f"{of}: the rows cannot be read: {told[0] if told else type(error).__name__}; mend the files or the query"
        ) from error


def table_of(frame: pl.DataFrame) -> "pa.Table":
    """Return the rows as an Arrow table with plain strings."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def rows_at(
    url: str, *, times: tuple[str, ...] = (), delimiter: str | None = None
) -> Callable[[str | None], pl.DataFrame]:
    """Return the function that reads a file; `{partition}` in its path or fsspec URL is the key of the partition.

    Args:
        url: Parquet, Arrow, CSV or JSON Lines.
        times: Columns of times, which are text in CSV and JSON Lines.
        delimiter: Column separator of a CSV file.
    """

    def rows(partition: str | None) -> pl.DataFrame:
        from resources.source.location import file_url
        from resources.tables import opened_table

        place = file_url(url, partition)
        with (
            tempfile.TemporaryDirectory(prefix="penstock-") as scratch,
            opened_table(place, scratch=Path(scratch), times=times, delimiter=delimiter) as frame,
        ):
            return frame.collect()

    return rows
