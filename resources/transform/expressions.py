"""Owns the way from SQL expression text to Polars expressions, and the checks of a declared expression.

What text may say is in `sql_text.py`. The text is what is declared, stored and shown; Polars' own
serialization is not stable across versions and is never kept.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

import polars as pl
import polars.selectors as cs

from resources.errors import ContractError, PenstockError
from resources.names import name_error
from resources.transform.sql_text import check_text, is_row_wise, refused, with_float_literals

_ENGINE_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, TypeError)


def compile_expression(text: str, *, field: str = "expression") -> pl.Expr:
    """Return the Polars expression of SQL `text`.

    Raises:
        DeclarationError: If `text` is no SQL expression, unsafe, not deterministic, or calls an unknown function.

    >>> print(compile_expression("hr + 1"))
    [(col("hr")) + (dyn int: 1)]
    """
    check_text(field, text)
    try:
        return _compiled(text)
    except _ENGINE_ERRORS as error:
        raise refused(field, text, f"is no valid SQL expression: {_first_line(error)}") from None


def columns_of(text: str, *, field: str = "expression") -> tuple[str, ...]:
    """Return the names of the columns that `text` reads, sorted."""
    return tuple(sorted(set(compile_expression(text, field=field).meta.root_names())))


def check_expression(field: str, text: str, columns: Collection[str]) -> None:
    """Refuse an expression that cannot give a feature.

    Args:
        field: Name of the declared field, for the message.
        text: SQL expression.
        columns: Names of the columns that it may read.

    Raises:
        DeclarationError: Naming the field, the text, what is allowed and the nearest valid name.
    """
    roots = columns_of(text, field=field)
    for name in roots:
        if name not in columns:
            raise name_error(f"{field}: {text!r}", "column", name, columns)
    if not roots:
        raise refused(field, text, "reads no column: a constant is no feature")


def check_types(
    field: str, columns: Mapping[str, str], types: Mapping[str, str | pl.DataType]
) -> dict[str, pl.DataType]:
    """Return the type of each computed column.

    Args:
        field: Name of the declared field, for the message.
        columns: Name to SQL expression.
        types: Column that may be read to its type: Arrow text such as `int64` or `timestamp[us, tz=UTC]`, or Polars'.

    Raises:
        DeclarationError: If an expression does not fit the types of what it reads.
    """
    empty = pl.LazyFrame(schema={n: polars_type(kind) if isinstance(kind, str) else kind for n, kind in types.items()})
    found: dict[str, pl.DataType] = {}
    for name, text in columns.items():
        check_expression(f"{field}.{name}", text, types)
        try:
            # Computed over no rows, not only resolved: a comparison of a number with text fails no earlier.
            found[name] = _selected(empty, {name: text}, ()).collect(engine="in-memory").schema[name]
        except _ENGINE_ERRORS as error:
            raise refused(f"{field}.{name}", text, f"does not fit its columns' types: {_first_line(error)}") from None
    return found


def apply_columns(frame: pl.LazyFrame, columns: Mapping[str, str], *, keep: Iterable[str] = ()) -> pl.LazyFrame:
    """Return the columns `keep` of `frame` and one column for each expression, in that order, computed.

    Every expression reads `frame`, never another expression's result. A row-wise expression gives a row the same bits
    in any batch.

    Raises:
        ContractError: If `frame` lacks a column, or a value cannot be computed.
    """
    kept = [name for name in keep if name not in columns]
    needed = sorted({*kept, *(name for text in columns.values() for name in columns_of(text))})
    rows = collect(frame.select(needed), doing="features", error=ContractError)
    single = rows.height == 1 and all(map(is_row_wise, columns.values()))
    plain = _plain(rows, twice=single).lazy()
    made = collect(_selected(plain, columns, kept), doing="features", error=ContractError)
    return (made.head(1) if single else made).lazy()


def collect(frame: pl.LazyFrame, *, doing: str, error: type[PenstockError]) -> pl.DataFrame:
    """Return the rows of `frame`, computed in memory, with Polars' failures in plain words.

    The streaming engine is not used: it cuts rows into pieces by the number of cores, see `_plain`.

    Raises:
        error: If Polars cannot compute the frame, such as a CAST of text that is no number.
    """
    try:
        return frame.collect(engine="in-memory")
    except _ENGINE_ERRORS as found:
        raise error(f"{doing}: {_first_line(found)}") from None


def polars_type(text: str) -> pl.DataType:
    """Return the Polars type of an Arrow type text; a type not known here becomes `Null`, which fits everything.

    >>> polars_type("timestamp[us, tz=UTC]")
    Datetime(time_unit='us', time_zone='UTC')
    """
    if text.startswith("timestamp["):
        unit, _, zone = text.removeprefix("timestamp[").removesuffix("]").partition(", tz=")
        return pl.Datetime("ms" if unit in ("s", "ms") else "ns" if unit == "ns" else "us", zone or None)
    return _TYPES.get(text, pl.Null())


def _plain(rows: pl.DataFrame, *, twice: bool) -> pl.DataFrame:
    """Return `rows` as one chunk of plain arrays, each row twice on demand.

    Polars divides by a constant where a column has one row, or one value that it keeps as a scalar, and multiplies by
    the reciprocal elsewhere, which rounds differently. Only the second is left here.
    """
    columns = rows.get_columns()
    return pl.DataFrame([pl.concat([column] * (1 + twice)).rechunk() for column in columns])


def _selected(frame: pl.LazyFrame, columns: Mapping[str, str], keep: Sequence[str]) -> pl.LazyFrame:
    computed = [compile_expression(text, field=name).alias(name) for name, text in columns.items()]
    selected = frame.select(*keep, *computed)
    return selected.with_columns((cs.by_name(*columns) & cs.decimal()).cast(pl.Float64)) if columns else selected


@lru_cache(maxsize=4096)
def _compiled(text: str) -> pl.Expr:
    return pl.sql_expr(with_float_literals(text))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


_TYPES: dict[str, pl.DataType] = {
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
    "halffloat": pl.Float32(),
    "float": pl.Float32(),
    "float32": pl.Float32(),
    "double": pl.Float64(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
    "string": pl.String(),
    "large_string": pl.String(),
    "utf8": pl.String(),
    "binary": pl.Binary(),
    "date32": pl.Date(),
    "date32[day]": pl.Date(),
    "date64": pl.Datetime("ms"),
    "duration[us]": pl.Duration("us"),
    "time64[us]": pl.Time(),
}
