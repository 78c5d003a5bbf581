"""Owns the declaration of a data contract: which columns there are and what their values may be.

It is declared by people, in Python or YAML, and refuses nonsense when it is built. It reads no data:
`quality.contract.rows` and `quality.contract.columns` do.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import Field, StrictBool, StrictFloat, StrictInt, field_validator, model_validator

from quality.contract.types import (
    FLOATS,
    INTEGERS,
    TEXTS,
    UTC_CLOCK,
    arrow_type,
    clock_parts,
    polars_type,
    type_text,
    zone_name,
)
from resources.declaration import Declaration
from resources.errors import DeclarationError

if TYPE_CHECKING:
    import pyarrow as pa

Scalar = StrictBool | StrictInt | StrictFloat | str
_PARSED_BY_FORMAT = ("date32", "timestamp")


class Column(Declaration):
    """What the values of one column must be.

    Attributes:
        type: Arrow type as text (`int64`, `float64`, `string`, `bool`, `date32`, `timestamp[us, tz=UTC]`, ...) or a
            `pyarrow.DataType`. Clocks are stored as `timestamp[us, tz=UTC]` whatever type they are read with.
        nullable: Whether a value may be missing. NaN is a missing value too.
        minimum: Smallest allowed value; ISO 8601 text for dates and clocks (UTC where it has no zone).
        maximum: Largest allowed value.
        allowed: The only allowed values.
        pattern: Regular expression (RE2) that the whole text must match.
        format: strptime format of dates and clocks in text files, such as `%m/%d/%Y`; ISO 8601 without it.
        timezone: IANA zone of a clock that names none.
        description: Meaning and unit, for people.
    """

    type: str
    nullable: bool = False
    minimum: StrictInt | StrictFloat | str | None = None
    maximum: StrictInt | StrictFloat | str | None = None
    allowed: tuple[Scalar, ...] | None = None
    pattern: str | None = None
    format: str | None = None
    timezone: str | None = None
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_type_alone(cls, value: object) -> object:
        return value if isinstance(value, Mapping | Column) else {"type": value}

    @field_validator("type", mode="before")
    @classmethod
    def _canonical_type(cls, value: object) -> str:
        return type_text(value)

    @field_validator("minimum", "maximum", mode="before")
    @classmethod
    def _iso_text(cls, value: object) -> object:
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else zone_name(value)

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> "Column":
        self._check_pattern()
        self._check_clock()
        limits = [limit for limit in (self.lowest, self.highest) if limit is not None]
        if len(limits) == 2 and limits[0] > limits[1]:
            raise DeclarationError(f"minimum {self.minimum} is above maximum {self.maximum}")
        self._check_allowed()
        return self

    @property
    def lowest(self) -> Any:  # Any: int, float, date or datetime, as the type has it
        """`minimum` as a value of the column's type, or None."""
        return None if self.minimum is None else self._limit("minimum", self.minimum)

    @property
    def highest(self) -> Any:  # Any: as `lowest`
        """`maximum` as a value of the column's type, or None."""
        return None if self.maximum is None else self._limit("maximum", self.maximum)

    @property
    def is_naive_clock(self) -> bool:
        """Whether this is a clock of which nobody said in which zone it runs."""
        clock = clock_parts(self.type)
        return clock is not None and clock[1] is None and self.timezone is None

    @property
    def stored(self) -> str:
        """Type text with which the column is stored."""
        return UTC_CLOCK if clock_parts(self.type) and not self.is_naive_clock else self.type

    def _limit(self, field: str, value: Scalar) -> Any:  # Any: as `lowest`
        if self.type in INTEGERS:
            return _integer(self.type, field, value)
        if self.type in FLOATS or self.type.startswith("decimal"):
            if isinstance(value, str | bool) or math.isnan(value):
                raise DeclarationError(f"{field} of a {self.type} column must be a number, got {value!r}")
            return Decimal(str(value)) if self.type.startswith("decimal") else float(value)
        if clock_parts(self.type) or self.type == "date32":
            return self._instant(field, value)
        raise DeclarationError(f"{field} has no meaning for a {self.type} column: remove it")

    def _instant(self, field: str, value: Scalar) -> date | datetime:
        try:
            if self.type == "date32":
                return date.fromisoformat(str(value))
            instant = datetime.fromisoformat(str(value))
        except ValueError as error:
            raise DeclarationError(f"{field} of a {self.type} column is ISO 8601 text, got {value!r}") from error
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)

    def _check_pattern(self) -> None:
        if self.pattern is None:
            return
        if self.type not in TEXTS:
            raise DeclarationError(f"pattern has no meaning for a {self.type} column: remove it")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise DeclarationError(f"pattern {self.pattern!r} is no regular expression: {error}") from error

    def _check_clock(self) -> None:
        clock = clock_parts(self.type)
        if self.timezone is not None and (clock is None or clock[1] is not None):
            raise DeclarationError(
                f"timezone {self.timezone!r} is for clocks that name no zone, such as timestamp[us]; "
                f"this column is {self.type}"
            )
        if self.format is not None and not self.type.startswith(_PARSED_BY_FORMAT):
            raise DeclarationError(f"format {self.format!r} has no meaning for a {self.type} column: remove it")

    def _check_allowed(self) -> None:
        if self.allowed is None:
            return
        if not self.allowed:
            raise DeclarationError("allowed is empty: no value could ever pass; list the values or remove it")
        for value in self.allowed:
            if self.type in INTEGERS:
                _integer(self.type, "allowed value", value)
            elif not _is_one(self.type, value):
                raise DeclarationError(f"allowed value {value!r} is no {self.type}")


def _integer(type_name: str, field: str, value: Scalar) -> int:
    low, high = INTEGERS[type_name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise DeclarationError(
            f"{field} of a {type_name} column must be an integer from {low} to {high}, got {value!r}"
        )
    return value


def _is_one(type_name: str, value: Scalar) -> bool:
    if type_name in TEXTS:
        return isinstance(value, str)
    if type_name == "bool":
        return isinstance(value, bool)
    return type_name in FLOATS and isinstance(value, int | float) and not isinstance(value, bool)


class Contract(Declaration):
    """What rows of a source must be; rows that break it are rejected with a reason, and counted.

    Attributes:
        columns: Column name to its rules, in the order in which they are stored. A type alone is a rule too.
        extra: What to do with columns that the source has and the contract lacks.
        max_rejected: Largest share of rejected rows before the check blocks; 0 tolerates none.
        unique: Columns that together identify a row; all but the first row of a key are rejected.
    """

    columns: dict[str, Column] = Field(min_length=1)
    extra: Literal["refuse", "drop"] = "refuse"
    max_rejected: float = Field(default=0.0, ge=0, le=1)
    unique: tuple[str, ...] = ()

    @field_validator("columns")
    @classmethod
    def _own_names(cls, columns: dict[str, Column]) -> dict[str, Column]:
        taken = [name for name in columns if not name or name.startswith("_")]
        if taken:
            raise DeclarationError(f"column {taken[0]!r}: names must not be empty or begin with an underscore")
        return columns

    @model_validator(mode="after")
    def _unique_columns_exist(self) -> "Contract":
        for name in self.unique:
            if name not in self.columns:
                raise DeclarationError(f"unique: {name!r} is not in the contract; columns: {', '.join(self.columns)}")
        return self

    @classmethod
    def from_schema(cls, schema: "pa.Schema", **options: Any) -> "Contract":  # Any: fields of Contract
        """Return the contract that demands just `schema`: its types and nullability."""
        columns = {field.name: Column(type=type_text(field.type), nullable=field.nullable) for field in schema}
        return cls(columns=columns, **options)

    def schema(self) -> "pa.Schema":  # pyright: ignore[reportIncompatibleMethodOverride] (pydantic 1's, deprecated)
        """Return the Arrow schema with which rows are stored."""
        import pyarrow as pa

        return pa.schema(
            pa.field(name, arrow_type(column.stored), nullable=column.nullable) for name, column in self.columns.items()
        )

    def polars_schema(self) -> pl.Schema:
        """Return the Polars schema with which stored rows are read, without importing pyarrow."""
        return pl.Schema({name: polars_type(column.stored) for name, column in self.columns.items()})
