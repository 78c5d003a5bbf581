"""Owns the declaration of a data contract: which columns there are and what their values may be.

It is declared by people, in Python or YAML, and refuses nonsense when it is built. It reads no data:
`quality.contract.rows` and `quality.contract.columns` do.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import Field, StrictBool, StrictFloat, StrictInt, ValidationInfo, field_validator, model_validator

from quality.contract.limits import Plain, allowed_value, is_unicode, limit
from quality.contract.patterns import check_format, check_pattern
from quality.contract.types import (
    TEXTS,
    UTC_CLOCK,
    arrow_type,
    clock_parts,
    decimal_parts,
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
        minimum: Smallest allowed value, one that the type can hold; ISO 8601 text for dates and clocks (UTC where it
            has no zone), a number or its text for decimals. Floats are compared with it as the type rounds it.
        maximum: Largest allowed value likewise.
        allowed: The only allowed values, of integers, floats, texts and booleans; -0.0 is 0.0.
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
    def _plain_text(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, Decimal) and decimal_parts(str(info.data.get("type"))):
            return str(value)
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else zone_name(value)

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> "Column":
        self._check_pattern()
        self._check_clock()
        lowest, highest = self.lowest, self.highest
        if lowest is not None and highest is not None and lowest > highest:
            raise DeclarationError(
                f"minimum {self.minimum} is above maximum {self.maximum}, or no {self.type} lies between them"
            )
        self._check_allowed()
        return self

    @property
    def lowest(self) -> Any:  # Any: int, float, Decimal, date or datetime, as the type has it
        """Smallest value of the stored type that is not below `minimum`, or None."""
        return None if self.minimum is None else limit("minimum", self.minimum, self.type, self.stored)

    @property
    def highest(self) -> Any:  # Any: as `lowest`
        """Largest value of the stored type that is not above `maximum`, or None."""
        return None if self.maximum is None else limit("maximum", self.maximum, self.type, self.stored)

    @property
    def members(self) -> tuple[Plain, ...] | None:
        """`allowed` as values of the column's type, or None."""
        return None if self.allowed is None else tuple(allowed_value(value, self.type) for value in self.allowed)

    @property
    def is_naive_clock(self) -> bool:
        """Whether this is a clock of which nobody said in which zone it runs."""
        clock = clock_parts(self.type)
        return clock is not None and clock[1] is None and self.timezone is None

    @property
    def stored(self) -> str:
        """Type text with which the column is stored."""
        return UTC_CLOCK if clock_parts(self.type) and not self.is_naive_clock else self.type

    def _check_pattern(self) -> None:
        if self.pattern is None:
            return
        if self.type not in TEXTS:
            raise DeclarationError(f"pattern has no meaning for a {self.type} column: remove it")
        if not is_unicode(self.pattern):
            raise DeclarationError(f"pattern {self.pattern!r}: UTF-8 has no half of a surrogate pair; remove it")
        check_pattern(self.pattern)

    def _check_clock(self) -> None:
        clock = clock_parts(self.type)
        if self.timezone is not None and (clock is None or clock[1] is not None):
            raise DeclarationError(
                f"timezone {self.timezone!r} is for clocks that name no zone, such as timestamp[us]; "
                f"this column is {self.type}"
            )
        if self.format is not None and not self.type.startswith(_PARSED_BY_FORMAT):
            raise DeclarationError(f"format {self.format!r} has no meaning for a {self.type} column: remove it")
        if self.format is not None:
            check_format(self.format, pl.Date() if clock is None else pl.Datetime("us"))

    def _check_allowed(self) -> None:
        if self.allowed is None:
            return
        if not self.allowed:
            raise DeclarationError("allowed is empty: no value could ever pass; list the values or remove it")
        for value in self.allowed:
            allowed_value(value, self.type)


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
        for name in columns:
            if not name or name.startswith("_"):
                raise DeclarationError(f"column {name!r}: names must not be empty or begin with an underscore")
            if not is_unicode(name):
                raise DeclarationError(f"column {name!r}: UTF-8 has no half of a surrogate pair: rename the column")
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
