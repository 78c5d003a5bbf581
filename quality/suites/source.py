"""Owns what a suite is run on: a lazy frame, how many rows and nulls it has, and how pandas would see its columns.

It opens no files: whoever knows them gives the lazy frame and the Parquet footers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import polars as pl

from quality.readable import damage_told, require_plain
from quality.suites.footers import Footers
from resources.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

Kind = Literal["int", "float", "bool", "str", "time", "date", "decimal", "other"]
"""What values of a column are, after the conversion to pandas: integers with nulls are floats there."""

LARGE_ROWS = 1_000_000
"""Up to so many rows, values of a column are held in memory as they are."""
_INTEGERS = tuple(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_SAMPLE_ROWS, _SAMPLE_PLACES = 65_536, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as the pandas engine sees it.

    Attributes:
        name: Its name.
        kind: What its values are.
        dtype: Name of the pandas dtype.
        value: Expression of its values, in which everything that pandas takes for missing is null.
        polars: Its type in the lazy frame.
    """

    name: str
    kind: Kind
    dtype: str
    value: pl.Expr
    polars: pl.DataType

    @property
    def single(self) -> bool:
        """Whether the values are 32-bit floats."""
        return self.dtype == "float32"

    @property
    def as_float(self) -> pl.Expr:
        """Values as 64-bit floats, of a column of numbers or booleans."""
        return self.value.cast(pl.Float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assured:
    """What is certain of the values of a column that are not missing: none is NaN, and they keep to these rules.

    Attributes:
        lowest: No value is below it.
        highest: No value is above it.
        allowed: The only values that there can be.
    """

    lowest: Any = None  # Any: whatever the column holds
    highest: Any = None
    allowed: tuple[Any, ...] | None = None

    def within(self, low: float | None, high: float | None) -> bool:
        """Return whether all values, numbers, lie from `low` to `high`."""
        above = low is None or (_exact(self.lowest) and self.lowest >= low)
        return above and (high is None or (_exact(self.highest) and self.highest <= high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows to judge.

    Attributes:
        frame: The rows; each pass over them must give the same rows in the same order.
        schema: Column to type.
        rows: How many they are.
        nulls: Null counts that are known.
        footers: What the Parquet footers say, where there are any.
        assured: What is certain of some columns.
        held: The rows, if they are in memory.
    """

    frame: pl.LazyFrame
    schema: Mapping[str, pl.DataType]
    rows: int
    nulls: Mapping[str, int]
    footers: Footers | None = None
    assured: Mapping[str, Assured] = field(default_factory=dict[str, Assured])
    held: pl.DataFrame | None = None

    @classmethod
    def of(
        cls, data: "pl.DataFrame | pl.LazyFrame | pa.Table", *, footers: "Sequence[FileMetaData] | None" = None
    ) -> Self:
        """Return the source of `data`.

        Args:
            data: The rows. Of a lazy frame, nulls of integers and booleans that no footer tells are counted first:
                they decide what pandas makes of such columns.
            footers: Footers of all Parquet files that the lazy frame scans, in its order. They are believed.

        Raises:
            ContractError: If a column holds Python objects, or its name is a pattern.
            SourceError: If the data cannot be read.
        """
        with damage_told(data):
            return cls._of(data, footers)

    @classmethod
    def _of(cls, data: "pl.DataFrame | pl.LazyFrame | pa.Table", footers: "Sequence[FileMetaData] | None") -> Self:
        frame = _polars(data)
        require_plain("the data", frame.collect_schema())
        if isinstance(frame, pl.DataFrame):
            nulls = {name: frame[name].null_count() for name in frame.columns}
            return cls(frame=frame.lazy(), schema=frame.schema, rows=frame.height, nulls=nulls, held=frame)
        schema = frame.collect_schema()
        told = None if footers is None else Footers.of(footers)
        nulls = {} if told is None else told.nulls(schema)
        changing = [name for name, kind in schema.items() if kind.is_integer() or kind == pl.Boolean]
        doubtful = [name for name in changing if name not in nulls]
        if told is not None and not doubtful:
            return cls(frame=frame, schema=schema, rows=told.rows, nulls=nulls, footers=told)
        counts = [pl.col(name).null_count().alias(f"nulls {place}") for place, name in enumerate(doubtful)]
        counted = frame.select(pl.len(), *counts).collect(engine="streaming").row(0)
        nulls |= dict(zip(doubtful, counted[1:], strict=True))
        return cls(frame=frame, schema=schema, rows=counted[0], nulls=nulls, footers=told)

    @property
    def large(self) -> bool:
        """Whether values of a whole column may be too many to hold."""
        return self.rows > LARGE_ROWS

    def column(self, name: str) -> Column:
        """Return the column `name` as pandas sees it."""
        kind = self.schema[name]
        value = pl.col(name)
        if kind.is_integer() and str(kind) in _INTEGERS:
            if self.nulls.get(name, 1):
                return _column(name, "float", "float64", value.cast(pl.Float64), kind)
            return _column(name, "int", str(kind).lower(), value, kind)
        if kind.is_float() and str(kind) != "Float16":
            value = value if name in self.assured else value.fill_nan(None)
            return _column(name, "float", f"float{str(kind)[5:]}", value, kind)
        if kind == pl.Boolean:
            return _column(name, "bool", "object" if self.nulls.get(name, 1) else "bool", value, kind)
        if kind == pl.String:
            return _column(name, "str", "str", value, kind)
        if isinstance(kind, pl.Datetime):
            zone = f", {kind.time_zone}" if kind.time_zone else ""
            plain = kind.time_zone is None or not kind.time_zone.startswith(("+", "-"))
            return _column(name, "time" if plain else "other", f"datetime64[{kind.time_unit}{zone}]", value, kind)
        if kind == pl.Date:
            return _column(name, "date", "object", value, kind)
        if kind == pl.Decimal:
            return _column(name, "decimal", "object", value, kind)
        return _column(name, "other", "object", value, kind)

    def sample(self, expressions: Iterable[pl.Expr]) -> list[pl.DataFrame]:
        """Return the expressions over runs of rows at places all over the source: about 65,536 rows."""
        places = min(_SAMPLE_PLACES, self.rows)
        starts = self.footers.starts(places) if self.footers else [self.rows * k // places for k in range(places)]
        length = max(1, _SAMPLE_ROWS // max(1, len(starts)))
        wanted = list(expressions)
        parts = [self.frame.slice(start, length).select(wanted) for start in starts]
        return pl.collect_all(parts, engine="streaming")


def _exact(limit: object) -> bool:
    """Return whether a limit is a number that compares as a float as it does itself."""
    return isinstance(limit, (int, float)) and abs(limit) < 2**53


def _column(name: str, kind: Kind, dtype: str, value: pl.Expr, polars: pl.DataType) -> Column:
    return Column(name=name, kind=kind, dtype=dtype, value=value, polars=polars)


def _polars(data: Any) -> pl.DataFrame | pl.LazyFrame:  # Any: an Arrow table, without importing pyarrow
    if isinstance(data, (pl.DataFrame, pl.LazyFrame)):
        return data
    if not hasattr(data, "__arrow_c_stream__") or isinstance(data, pl.Series):
        raise SourceError(f"the data are {type(data).__name__}: give a Polars frame, an Arrow table or a Source")
    return pl.DataFrame(data)
