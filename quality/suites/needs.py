"""Owns what an expectation may ask of the rows: values that are equal under one key are found once for the whole suite.

An expectation is a generator: it asks for needs, gets their values, may ask again, and returns its outcome. All that
expectations ask for in one round becomes one query (`quality.suites.engine`).
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

FEW = 20
"""Examples that Great Expectations shows of a failure."""
MANY = 200
"""Values that it keeps of a failure in the result format COMPLETE."""


Parts = tuple[Any, ...]  # Any: whatever the column holds


@dataclass(frozen=True, slots=True)
class Fold:
    """How a value of all rows comes of values of stretches of them, in the order of the rows.

    Attributes:
        parts: Expressions that are evaluated over each stretch.
        merge: Joins the parts of some rows and those of the rows after them.
        finish: Makes the value of the parts of all rows.
    """

    parts: tuple[pl.Expr, ...]
    merge: Callable[[Parts, Parts], Parts]
    finish: Callable[[Parts], Any]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value, of an expression that aggregates.

    Attributes:
        key: What it is; equal keys are equal values.
        expression: The expression.
        known: Its value, if it is known already.
        apart: Whether it looks at neighbouring rows, and so has a query of its own.
        fold: How it comes of stretches of the rows, or None where only all of them tell.
        examples: The rows that will be asked for if the value, a count of them, is not 0.
    """

    key: Hashable
    expression: pl.Expr = field(compare=False)
    known: Any = field(default=None, compare=False)  # Any: whatever the column holds
    apart: bool = field(default=False, compare=False)
    fold: Fold | None = field(default=None, compare=False)
    examples: "Rows | None" = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows that fail: a list of tuples of values, and the positions of all or of those rows.

    Attributes:
        key: What they are.
        values: Expressions of the values to show.
        failing: Mask of the rows, aligned with `among`.
        among: Mask of the rows that are looked at before `failing` is evaluated, where it looks at neighbours.
        limit: How many rows to show.
        all_positions: Whether to give the position of every failing row.
        decides: Column whose value alone decides whether a row fails, if `failing` takes long to evaluate.
    """

    key: Hashable
    values: tuple[pl.Expr, ...] = field(compare=False)
    failing: pl.Expr = field(compare=False)
    among: pl.Expr | None = field(default=None, compare=False)
    limit: int = FEW
    all_positions: bool = False
    decides: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Order:
    """Values of certain ranks: an `OrderStatistics`.

    Attributes:
        key: What it is.
        value: Expression of the values; nulls have no rank.
        quantiles: The shares of the values around which ranks will be asked for.
    """

    key: Hashable
    value: pl.Expr = field(compare=False)
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Distinct:
    """How many different values there are, nulls left out."""

    key: Hashable
    value: pl.Expr = field(compare=False)


@dataclass(frozen=True, slots=True)
class Smallest:
    """How many different values pass a mask, and the smallest of them: a pair of a count and a list."""

    key: Hashable
    value: pl.Expr = field(compare=False)
    mask: pl.Expr = field(compare=False)
    limit: int = FEW


@dataclass(frozen=True, slots=True)
class Repeated:
    """The rows whose values other rows have as well: a pair of their count and a `Rows` answer.

    Attributes:
        key: What they are.
        values: Expressions of the values that are compared and shown; nulls are equal to each other.
        mask: Rows that are looked at.
        limit: How many rows to show.
        all_positions: Whether to give the position of each such row.
    """

    key: Hashable
    values: tuple[pl.Expr, ...] = field(compare=False)
    mask: pl.Expr = field(compare=False)
    limit: int = FEW
    all_positions: bool = False


@dataclass(frozen=True, slots=True)
class Modes:
    """The most frequent values, smallest first."""

    key: Hashable
    value: pl.Expr = field(compare=False)


Need = Scalar | Rows | Order | Distinct | Smallest | Repeated | Modes
Answers = Mapping[Need, Any]  # Any: what each kind of need says of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Failing rows.

    Attributes:
        rows: Values of the first ones.
        positions: Positions of the same rows, or of all failing rows if those were asked for.
    """

    rows: Sequence[tuple[Any, ...]]  # Any: whatever the columns hold
    positions: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an expectation comes to: Great Expectations' `success` and `result`."""

    success: bool
    result: Mapping[str, Any]  # Any: values of the columns


class Unsettled(Exception):
    """An expectation cannot be judged as the pandas engine would: that engine shall do it."""


Judged = Generator[Sequence[Need], Answers, Outcome]
