"""Owns the suite of the benchmark as a pandera schema on Polars; it runs in an environment without Penstock."""

import os
from typing import Any

import polars as pl


def failures(file: str, suite: list[dict[str, Any]]) -> list[Any]:
    """Validate the file lazily and return the failing checks; columns and counts of the table are left out."""
    os.environ.setdefault("PANDERA_VALIDATION_DEPTH", "SCHEMA_AND_DATA")
    import pandera.polars as pa

    schema = schema_of(pa, suite)
    try:
        schema.validate(pl.read_parquet(file), lazy=True)
    except pa.errors.SchemaErrors as error:
        return error.failure_cases.group_by("column", "check").len().sort("column", "check").rows()
    return []


def schema_of(pa: Any, suite: list[dict[str, Any]]) -> Any:
    """Return the schema that says what the suite says."""
    columns: dict[str, dict[str, Any]] = {}
    whole: list[Any] = []
    for entry in suite:
        kind, k = entry["type"].removeprefix("expect_"), entry["kwargs"]
        if kind.startswith("table_"):
            continue
        if kind.startswith("column_pair"):
            whole.append(pa.Check(lambda d, k=k: d.lazyframe.select(pl.col(k["column_A"]) >= pl.col(k["column_B"]))))
            continue
        column = columns.setdefault(k["column"], {"checks": [], "nullable": True, "unique": False})
        if kind == "column_values_to_not_be_null" and "mostly" not in k:
            column["nullable"] = False
        elif kind == "column_values_to_be_unique":
            column["unique"] = True
        else:
            column["checks"].append(_check(pa, kind, k))
    made = {name: pa.Column(None, **parts) for name, parts in columns.items()}
    return pa.DataFrameSchema(made, checks=whole)


def _check(pa: Any, kind: str, k: dict[str, Any]) -> Any:
    match kind:
        case "column_values_to_be_between":
            return pa.Check.in_range(k["min_value"], k["max_value"])
        case "column_values_to_be_in_set":
            return pa.Check.isin(k["value_set"])
        case "column_values_to_match_regex":
            return pa.Check.str_matches(k["regex"])
        case "column_value_lengths_to_equal":
            return pa.Check.str_length(k["value"], k["value"])
        case "column_values_to_not_be_null":
            return _about(pa, lambda v: v.is_not_null().mean() >= k["mostly"])
        case "column_quantile_values_to_be_between":
            ranges = k["quantile_ranges"]
            pairs = list(zip(ranges["quantiles"], ranges["value_ranges"], strict=True))
            return _about(pa, lambda v: pl.all_horizontal([v.quantile(q).is_between(*ends) for q, ends in pairs]))
        case "column_unique_value_count_to_be_between":
            return _about(pa, lambda v: v.drop_nulls().n_unique().is_between(k["min_value"], k["max_value"]))
        case _:
            name = {"stdev": "std"}.get(kind.split("_")[1], kind.split("_")[1])
            return _about(pa, lambda v: getattr(v, name)().is_between(k["min_value"], k["max_value"]))


def _about(pa: Any, judged: Any) -> Any:
    return pa.Check(lambda d: d.lazyframe.select(judged(pl.col(d.key))))
