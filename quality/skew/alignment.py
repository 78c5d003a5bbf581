"""Owns how two columns of one name are laid beside each other: as which type, or why they cannot be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from quality.matching import Frame, clock_type, key_type, require, schema_of
from quality.skew.rule import SkewRule
from resources.errors import ContractError

TABLES = ("training", "serving")
_TEXTS = (pl.String, pl.Categorical, pl.Enum)
_CLOCKS = (pl.Date, pl.Datetime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How the columns of both sides are compared.

    Attributes:
        keys: Column that names a row, to the type as which it is matched.
        columns: Compared column to the type as which it is compared.
        types: Compared column to its types as text, in training and serving.
        apart: Column that cannot be compared, to the reason and remedy.
        changed: Columns whose types differ by more than how wide or how they are kept.
        alone: Columns that training and serving alone have.
    """

    keys: Mapping[str, pl.DataType]
    columns: Mapping[str, pl.DataType]
    types: Mapping[str, tuple[str, str]]
    apart: Mapping[str, str]
    changed: Sequence[str]
    alone: tuple[tuple[str, ...], tuple[str, ...]]


def align(training: Frame, serving: Frame, rule: SkewRule) -> Alignment:
    """Return how the columns of both sides are compared.

    Raises:
        ContractError: If a column that names a row or is to be compared is missing, or keys cannot be matched.
    """
    left, right = schema_of(training), schema_of(serving)
    for what, schema in zip(TABLES, (left, right), strict=True):
        require(what, (*rule.named_by, *(rule.columns or ())), schema)
    require("training", [rule.arrived] if rule.arrived else [], left)
    keys = {name: key_type(name, (left[name], right[name]), TABLES) for name in rule.named_by}
    if rule.time:
        clocks = [(f"{table}.{rule.time}", side[rule.time]) for table, side in zip(TABLES, (left, right), strict=True)]
        keys[rule.time] = clock_type(clocks)
        if rule.arrived:
            clock_type([*clocks, (f"training.{rule.arrived}", left[rule.arrived])])
    left_out = {*rule.named_by, *([rule.arrived] if rule.arrived else [])}
    shared = [name for name in rule.columns or left if name in right and name not in left_out]
    columns: dict[str, pl.DataType] = {}
    apart: dict[str, str] = {}
    for name in shared:
        try:
            columns[name] = _compared_as(name, left[name], right[name])
        except ContractError as error:
            apart[name] = str(error)
    if not shared:
        raise ContractError(
            f"training and serving share no column but {', '.join(sorted(left_out))}: "
            "there is no feature to compare; rename the columns of one side"
        )
    return Alignment(
        keys=keys,
        columns=columns,
        types={name: (str(left[name]), str(right[name])) for name in shared},
        apart=apart,
        changed=[name for name in columns if not _alike(left[name], right[name])],
        alone=(
            tuple(name for name in left if name not in right and name not in left_out),
            tuple(name for name in right if name not in left and name not in left_out),
        ),
    )


def _compared_as(name: str, one: pl.DataType, two: pl.DataType) -> pl.DataType:
    """Return the type as which both are compared; numbers of two types as the one that holds both, else as text."""
    for kind in (one, two):
        if isinstance(kind, pl.Object | pl.Unknown):
            raise ContractError(f"column {name!r} is {kind}, which has no values to compare: cast or drop it")
    if isinstance(one, pl.Null) or isinstance(two, pl.Null):
        return two if isinstance(one, pl.Null) else one
    numbers = [kind.is_numeric() or isinstance(kind, pl.Boolean) for kind in (one, two)]
    if all(numbers):
        return _number(one, two)
    if isinstance(one, _CLOCKS) and isinstance(two, _CLOCKS):
        return clock_type([(f"training.{name}", one), (f"serving.{name}", two)])
    if one == two and not isinstance(one, _TEXTS):
        return one
    if one.is_nested() or two.is_nested() or isinstance(one, pl.Binary) or isinstance(two, pl.Binary):
        raise ContractError(f"column {name!r} is {one} in training and {two} in serving: cast one of them")
    return pl.String()


def _number(one: pl.DataType, two: pl.DataType) -> pl.DataType:
    if one == two:
        return one
    whole = [kind.is_integer() or isinstance(kind, pl.Boolean) for kind in (one, two)]
    if all(whole):
        return pl.Int128() if pl.UInt64 in (one, two) else pl.Int64()
    return pl.Float64()


def _alike(one: pl.DataType, two: pl.DataType) -> bool:
    if one == two or isinstance(one, pl.Null) or isinstance(two, pl.Null):
        return True
    same = [(kind.is_integer(), isinstance(kind, _TEXTS), isinstance(kind, pl.Datetime)) for kind in (one, two)]
    return same[0] == same[1] and any(same[0])
