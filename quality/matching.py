"""Owns what two tables must agree on before their rows are matched: keys of one type, clocks of one kind.

It says as which type two columns are matched, or why they cannot be, and joins nothing.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager

import polars as pl

from resources.errors import ContractError
from resources.names import unknown_name

Frame = pl.DataFrame | pl.LazyFrame
Schema = Mapping[str, pl.DataType]
_TEXTS = (pl.String, pl.Categorical, pl.Enum)


def schema_of(frame: Frame) -> dict[str, pl.DataType]:
    """Return the types of the columns of `frame`."""
    return dict(frame.collect_schema())


def require(what: str, names: Iterable[str], schema: Schema) -> None:
    """Refuse a table that lacks a column.

    Args:
        what: Name of the table, for the message.
        names: Columns that it must have.
        schema: Columns that it has.

    Raises:
        ContractError: Naming the column and the nearest one that is there.
    """
    for name in names:
        if name not in schema:
            raise ContractError(f"{what}: {unknown_name('column', name, schema)}")


def key_type(name: str, types: Sequence[pl.DataType], tables: Sequence[str]) -> pl.DataType:
    """Return the type as which two key columns are matched.

    Args:
        name: Name of the key.
        types: Its type on either side.
        tables: Names of the two tables, for the message.

    Raises:
        ContractError: If values of the two types are never surely equal: text and number, floats, lists.
    """
    one, two = types
    if all(kind.is_integer() for kind in types):
        return one if one == two else pl.Int128() if pl.UInt64 in types else pl.Int64()
    if all(isinstance(kind, _TEXTS) for kind in types):
        return pl.String()
    if all(isinstance(kind, pl.Date | pl.Datetime) for kind in types):
        return clock_type([(f"{table}.{name}", kind) for table, kind in zip(tables, types, strict=True)])
    if one == two and isinstance(one, pl.Boolean | pl.Binary | pl.Time):
        return one
    if one == two and (one.is_float() or one.is_nested()):
        raise ContractError(f"key {name!r} is {one}, whose values are no exact names of rows: cast it, or drop the key")
    raise ContractError(
        f"key {name!r} is {one} in {tables[0]} and {two} in {tables[1]}: cast one of them to the type of the other"
    )


def clock_type(clocks: Sequence[tuple[str, pl.DataType]]) -> pl.Datetime:
    """Return the type as which times are compared: the finest unit among them, in UTC where they have a zone.

    Args:
        clocks: Name of each column, for the message, and its type.

    Raises:
        ContractError: If one is no time, or some have a zone and others none.
    """
    for name, kind in clocks:
        if not isinstance(kind, pl.Date | pl.Datetime):
            raise ContractError(f"time {name!r} is {kind}, no date or time: parse it first, such as by str.to_datetime")
    zoned = {getattr(kind, "time_zone", None) is not None: name for name, kind in reversed(clocks)}
    if len(zoned) > 1:
        raise ContractError(
            f"time {zoned[True]!r} has a time zone and {zoned[False]!r} has none: "
            f"say in which zone {zoned[False]!r} is, by dt.replace_time_zone"
        )
    units = {kind.time_unit for _, kind in clocks if isinstance(kind, pl.Datetime)}
    return pl.Datetime("ns" if "ns" in units else "ms" if units == {"ms"} else "us", "UTC" if True in zoned else None)


def cast_to(kind: pl.DataType, name: str) -> pl.Expr:
    """Return the column `name` as `kind`; a value that does not fit fails, see `plain_casts`."""
    return pl.col(name).cast(kind, strict=True)


@contextmanager
def plain_casts(what: str) -> Generator[None]:
    """Turn the failure of a cast, such as of the year 2500 to nanoseconds, into a `ContractError`."""
    try:
        yield
    except pl.exceptions.InvalidOperationError as error:
        brief = str(error).partition("\n")[0][:200]
        raise ContractError(f"{what}: values do not fit the type of the other side ({brief}): cast one side") from None
