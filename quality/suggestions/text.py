"""Owns suggestions as YAML that is pasted into a pipeline, each rule with its evidence as a comment."""

import json
from collections.abc import Iterator

from quality.contract import Column
from quality.suggestions.suggest import Suggested


def as_yaml(suggested: Suggested) -> str:
    """Return contract and expectations as they stand under `ingest` in YAML."""
    return "\n".join([*_head(suggested), *_contract(suggested), *_suite(suggested)]) + "\n"


def _head(suggested: Suggested) -> Iterator[str]:
    first, last = suggested.partitions[0], suggested.partitions[-1]
    yield f"# Suggested by {len(suggested.partitions)} partitions, {first} to {last}, of {suggested.rows:,} rows."


def _contract(suggested: Suggested) -> Iterator[str]:
    yield "contract:"
    if suggested.contract.unique:
        yield f"  unique: {json.dumps(list(suggested.contract.unique))}"
    yield "  columns:"
    for name, column in suggested.contract.columns.items():
        yield f"    {json.dumps(name, ensure_ascii=False)}: {_flow(column)}"


def _flow(column: Column) -> str:
    told = column.model_dump(mode="json", exclude_defaults=True)
    return "{" + ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()) + "}"


def _suite(suggested: Suggested) -> Iterator[str]:
    yield "expectations:"
    for rule in suggested.rules:
        expectation = rule.expectation()
        yield f"  # {rule.evidence}"
        yield f"  - type: {expectation['type']}"
        yield f"    kwargs: {json.dumps(expectation['kwargs'], ensure_ascii=False)}"
        yield f"    severity: {expectation['severity']}"
