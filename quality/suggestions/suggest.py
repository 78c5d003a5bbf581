"""Owns the making of suggestions: the profiles of healthy partitions become a contract and a suite."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from quality.contract import Column, Contract
from quality.contract.types import type_text
from quality.profile import Profile
from quality.suggestions.columns import Parts, closed_list, is_key, rules_of
from quality.suggestions.limits import MIN_PARTITIONS, prediction_interval
from quality.suggestions.values import Rule
from resources.errors import ContractError, DeclarationError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """What healthy partitions suggest.

    Attributes:
        partitions: Their names, oldest first.
        rows: Rows of all of them.
        contract: What no row of theirs breaks.
        rules: The suite, columns in their order, the table last.
    """

    partitions: tuple[str, ...]
    rows: int
    contract: Contract
    rules: tuple[Rule, ...]

    def suite(self) -> list[dict[str, Any]]:  # Any: JSON values
        """Return the expectations as Great Expectations reads them."""
        return [rule.expectation() for rule in self.rules]


def suggest(profiles: Mapping[str, Profile], schema: "pa.Schema") -> Suggested:
    """Return the rules that partitions which were found healthy suggest for the next ones.

    What no row broke becomes critical. What varies is given limits that the next partition breaks with a probability
    of 1 in 1,000, were partitions independent and their means and quantiles normal; these warn.

    Args:
        profiles: Name of each partition to its profile, oldest first: at least `MIN_PARTITIONS`.
        schema: Columns and types of the data.

    Raises:
        ContractError: If there are too few partitions, or they do not have these columns.
    """
    if len(profiles) < MIN_PARTITIONS:
        raise ContractError(
            f"{len(profiles)} partitions say too little of how much partitions differ: run at least {MIN_PARTITIONS}"
        )
    parts = {name: [_column(part, name, key) for key, part in profiles.items()] for name in schema.names}
    found = [rule for name, columns in parts.items() for rule in rules_of(name, columns)]
    return Suggested(
        partitions=tuple(profiles),
        rows=sum(part.rows for part in profiles.values()),
        contract=_contract(schema, parts),
        rules=(*found, _row_count([part.rows for part in profiles.values()])),
    )


def _column(profile: Profile, name: str, partition: str) -> Any:  # Any: checked by its reader
    if name not in profile.columns:
        raise ContractError(f"partition {partition} has no column {name!r}: suggest from partitions of one schema")
    return profile.columns[name]


def _contract(schema: "pa.Schema", parts: Mapping[str, Parts]) -> Contract:
    keys = [name for name, columns in parts.items() if is_key(columns)]
    columns = {field.name: _rules(field, parts[field.name]) for field in schema}
    return Contract(columns=columns, unique=tuple(keys[:1]))


def _rules(field: "pa.Field", parts: Parts) -> Column:
    rules = list(rules_of(field.name, parts))
    kinds = {rule.type: rule for rule in rules if rule.severity == "critical"}
    values = closed_list(parts)
    text = _type(field)
    listed = None if values is None else tuple(int(value) for value in values) if parts[0].kind == "number" else values
    lowest = kinds.get("expect_column_values_to_be_between")
    return Column(
        type=text,
        nullable="expect_column_values_to_not_be_null" not in kinds,
        allowed=listed,
        minimum=None if lowest is None or text.startswith("u") else 0,
    )


def _type(field: "pa.Field") -> str:
    """Return the type of a column; of categories, which a contract reads as their values, that of the values."""
    import pyarrow as pa

    try:
        return type_text(field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
    except DeclarationError as error:
        raise DeclarationError(f"column {field.name!r}: {error}; cast it first") from error


_DEVIATIONS = 3.3
"""Normal deviations that one in 1,000 exceeds."""


def _row_count(rows: Sequence[int]) -> Rule:
    """Return the limits of the number of rows, which vary by shares, and at least as much as events that come alone."""
    logs = [math.log(max(count, 1)) for count in rows]
    alone = _DEVIATIONS * math.exp(-fmean(logs) / 2)  # of the logarithm of a Poisson count
    low, high = prediction_interval(logs)
    low, high = min(low, fmean(logs) - alone), max(high, fmean(logs) + alone)
    return Rule(
        column="",
        type="expect_table_row_count_to_be_between",
        arguments={
            "min_value": max(min(1, *rows), int(math.exp(low)) if min(rows) else 0),
            "max_value": min(2**53, math.ceil(math.exp(min(high, 36)))),
        },
        severity="warning",
        evidence=f"{min(rows):,} to {max(rows):,} rows in {len(rows)} partitions",
    )
