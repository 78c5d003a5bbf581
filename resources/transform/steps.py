"""Owns the named steps fitted on the training window: their declaration, their fitted state, their expressions.

A state is a JSON value that outlives an upgrade; `expressions` compiles it to Polars. Fitting sums with
`math.fsum`, which rounds once: the state does not depend on the order of rows, chunks or the number of cores
(Polars' own sums do). Row-wise columns are SQL text, see `expressions.py`.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from resources.declaration import Declaration
from resources.errors import TrainingError
from resources.names import name_error

State = dict[str, Any]  # Any: JSON values
Scalar = bool | int | float | str


class _StepBase(Declaration):
    columns: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        twice = sorted({column for column in self.columns if self.columns.count(column) > 1})
        if twice:
            raise ValueError(f"columns names {twice[0]!r} twice: name each column once")
        return self


class Impute(_StepBase):
    """Replace null and NaN by one value a column, learned on the training window or given.

    Attributes:
        columns: Columns to fill.
        strategy: What the value is.
        value: The value itself, for the strategy `constant` only.
    """

    kind: Literal["impute"] = "impute"
    strategy: Literal["mean", "median", "most_frequent", "constant"] = "median"
    value: Scalar | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if (self.strategy == "constant") != (self.value is not None):
            raise ValueError(f"strategy {self.strategy!r} with value {self.value!r}: give a value for 'constant' only")
        return self

    def fit(self, frame: pl.DataFrame) -> State:
        """Return ``{"values": {column: value}}``."""
        return {"values": {column: self._value_of(frame[column]) for column in self.columns}}

    def _value_of(self, series: pl.Series) -> Scalar:
        if self.strategy == "constant" and self.value is not None:
            return float(self.value) if series.dtype.is_float() else self.value
        if self.strategy == "most_frequent":
            counts = (
                _known(series, self.kind)
                .rename("value")
                .value_counts(name="rows")
                .sort("rows", "value", descending=[True, False])
            )
            return counts["value"][0]
        numbers = _numbers(series, self.kind)
        return _mean(numbers) if self.strategy == "mean" else _median(numbers)

    def expressions(self, state: State) -> list[pl.Expr]:
        """Return one expression a column that fills what is missing."""
        return [_filled(column, value) for column, value in state["values"].items()]


class Standardize(_StepBase):
    """Shift and scale columns to mean 0 and (population) standard deviation 1 on the training window.

    A column that never varies is only shifted.
    """

    kind: Literal["standardize"] = "standardize"

    def fit(self, frame: pl.DataFrame) -> State:
        """Return ``{"mean": {column: value}, "scale": {column: value}}``."""
        values = {column: _numbers(frame[column], self.kind) for column in self.columns}
        means = {column: _mean(values[column]) for column in self.columns}
        return {"mean": means, "scale": {column: _deviation(values[column], means[column]) for column in self.columns}}

    def expressions(self, state: State) -> list[pl.Expr]:
        """Return ``(x - mean) * (1 / scale)`` for each column."""
        # Not divided: Polars rounds a division by a constant differently for one row than for many.
        return [(_float(c) - state["mean"][c]) * (1 / state["scale"][c]) for c in state["mean"]]


class Clip(_StepBase):
    """Limit columns to quantiles of the training window.

    Attributes:
        columns: Columns to limit.
        lower_quantile: Share of training rows below the lower limit, 0 to 1.
        upper_quantile: Share of training rows below the upper limit, 0 to 1.
    """

    kind: Literal["clip"] = "clip"
    lower_quantile: float = Field(default=0.0, ge=0, le=1)
    upper_quantile: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _quantiles_are_ordered(self) -> Self:
        if self.lower_quantile >= self.upper_quantile:
            raise ValueError(f"lower_quantile {self.lower_quantile} must be below upper_quantile {self.upper_quantile}")
        return self

    def fit(self, frame: pl.DataFrame) -> State:
        """Return ``{"limits": {column: [lower, upper]}}``; each limit is a value that occurred."""
        return {"limits": {column: self._limits(frame[column]) for column in self.columns}}

    def _limits(self, series: pl.Series) -> list[float]:
        values = _numbers(series, self.kind).sort()
        return [values[round(q * (len(values) - 1))] for q in (self.lower_quantile, self.upper_quantile)]

    def expressions(self, state: State) -> list[pl.Expr]:
        """Return each column limited to its two values; null stays null."""
        return [_float(column).clip(low, high) for column, (low, high) in state["limits"].items()]


class Ordinal(_StepBase):
    """Replace categories by whole numbers 0, 1, 2... in the sort order of the training window's categories.

    The results are categorical features: a trainer that knows categories does not read an order into them.

    Attributes:
        columns: String, integer or boolean columns.
        unknown: Code of null and of every category that training did not see.
    """

    kind: Literal["ordinal"] = "ordinal"
    unknown: int = -1

    @model_validator(mode="after")
    def _unknown_is_free(self) -> Self:
        if self.unknown >= 0:
            raise ValueError(f"unknown={self.unknown} would be the code of a known category: give a negative number")
        return self

    def fit(self, frame: pl.DataFrame) -> State:
        """Return ``{"categories": {column: [text, ...]}}``; the code is the place in the list."""
        return {"categories": {column: _categories(frame[column], self.kind) for column in self.columns}}

    def expressions(self, state: State) -> list[pl.Expr]:
        """Return the code of each column as float64."""
        return [self._codes(column, texts) for column, texts in state["categories"].items()]

    def _codes(self, column: str, texts: list[str]) -> pl.Expr:
        codes = [float(code) for code in range(len(texts))]
        return (
            pl.col(column)
            .cast(pl.String)
            .replace_strict(texts, codes, default=float(self.unknown), return_dtype=pl.Float64)
            .fill_null(float(self.unknown))
            .alias(column)
        )


class OneHot(_StepBase):
    """Replace categories by one 0/1 column each, named ``column=category``.

    Null and every category that training did not see give zeros only.

    Attributes:
        columns: String, integer or boolean columns.
        max_categories: Most columns made of one; the most frequent categories are kept, ties in sort order.
    """

    kind: Literal["onehot"] = "onehot"
    max_categories: int = Field(default=20, ge=1)

    def fit(self, frame: pl.DataFrame) -> State:
        """Return ``{"categories": {column: [text, ...]}}``, in sort order."""
        return {"categories": {column: self._kept(frame[column]) for column in self.columns}}

    def _kept(self, series: pl.Series) -> list[str]:
        texts = _categories(series, self.kind)
        counts: dict[str, int] = dict(
            series.drop_nulls().cast(pl.String).rename("value").value_counts(name="rows").iter_rows()
        )
        frequent = sorted(texts, key=lambda text: -counts[text])[: self.max_categories]
        return [text for text in texts if text in set(frequent)]

    def expressions(self, state: State) -> list[pl.Expr]:
        """Return the 0/1 columns as float64."""
        return [
            pl.col(column).cast(pl.String).eq_missing(pl.lit(text)).cast(pl.Float64).alias(f"{column}={text}")
            for column, texts in state["categories"].items()
            for text in texts
        ]


Step = Annotated[Impute | Standardize | Clip | Ordinal | OneHot, Field(discriminator="kind")]
AnyStep = Impute | Standardize | Clip | Ordinal | OneHot
STEPS: dict[str, type[AnyStep]] = {
    "impute": Impute,
    "standardize": Standardize,
    "clip": Clip,
    "ordinal": Ordinal,
    "onehot": OneHot,
}


def outputs(step: AnyStep, state: State, column: str) -> tuple[str, ...]:
    """Return the names of the columns that `column` becomes after `step`."""
    if isinstance(step, OneHot) and column in step.columns:
        return tuple(f"{column}={text}" for text in state["categories"][column])
    return (column,)


def check_steps(field: str, steps: Sequence[AnyStep], columns: Sequence[str]) -> None:
    """Refuse steps that name a column that is not there when they run.

    Args:
        field: Name of the declared field, for the message.
        steps: Steps in the order they run.
        columns: Names of the row-wise columns.

    Raises:
        DeclarationError: If a step names an unknown column, or one that an earlier `onehot` step consumed.
    """
    known = list(columns)
    for place, step in enumerate(steps):
        for column in step.columns:
            if column not in known:
                raise name_error(f"{field}[{place}] ({step.kind})", "column", column, known)
        if isinstance(step, OneHot):
            known = [column for column in known if column not in step.columns]


def _known(series: pl.Series, kind: str) -> pl.Series:
    known = series.drop_nulls()
    known = known.drop_nans() if known.dtype.is_float() else known
    if known.is_empty():
        raise TrainingError(
            f"column {series.name!r} has no value in the training window, {kind} has nothing to learn from: "
            "drop the column, or train on a longer window"
        )
    return known


def _numbers(series: pl.Series, kind: str) -> pl.Series:
    known = _known(series, kind)
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise TrainingError(f"column {series.name!r} is {series.dtype}, {kind} needs numbers: encode or cast it first")
    values = known.cast(pl.Float64)
    if values.is_infinite().any():
        raise TrainingError(f"column {series.name!r} holds infinite values: guard its division with NULLIF(x, 0)")
    return values


def _mean(values: pl.Series) -> float:
    try:
        return math.fsum(values.to_list()) / len(values)
    except OverflowError:
        raise TrainingError(
            f"the values of column {values.name!r} are too large to add: scale its expression"
        ) from None


def _median(values: pl.Series) -> float:
    ordered, half = values.sort(), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _deviation(values: pl.Series, mean: float) -> float:
    distances = values - mean
    variance = _mean(distances * distances)
    if not math.isfinite(variance):
        raise TrainingError(f"the values of column {values.name!r} are too large to square: scale its expression")
    return math.sqrt(variance) or 1.0


def _categories(series: pl.Series, kind: str) -> list[str]:
    if not (isinstance(series.dtype, pl.String | pl.Boolean | pl.Categorical | pl.Enum) or series.dtype.is_integer()):
        raise TrainingError(
            f"column {series.name!r} is {series.dtype}, {kind} needs strings, integers or booleans: "
            "cast it in its expression, such as CAST(x AS VARCHAR)"
        )
    known = _known(series, kind)
    native = known if known.dtype.is_integer() else known.cast(pl.String)
    return native.unique().sort().cast(pl.String).to_list()


def _float(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64)


def _filled(column: str, value: Scalar) -> pl.Expr:
    if isinstance(value, float):
        return _float(column).fill_nan(value).fill_null(value)
    return pl.col(column).fill_null(pl.lit(value))
