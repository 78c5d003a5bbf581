"""Rules that healthy partitions suggest: which, on what evidence, and how often the next healthy one breaks them."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from quality.contract import Contract
from quality.profile import profile
from quality.suggestions import Suggested, as_yaml, suggest
from quality.suggestions.limits import prediction_interval, upper_share
from quality.suites.declared import check_suite
from resources.errors import ContractError, DeclarationError

ROWS = 2_000


def healthy(rng: np.random.Generator, rows: int = ROWS, start: int = 0) -> pl.DataFrame:
    """Return a partition whose means move a little from one to the next, as those of days do."""
    level = rng.normal(0, 0.1)
    return pl.DataFrame(
        {
            "id": np.arange(start, start + rows),
            "kind": rng.choice(["bus", "tram", "train"], rows, p=[0.6, 0.3, 0.1]),
            "price": np.exp(rng.normal(2 + level, 1, rows)),
            "delta": rng.normal(level, 1, rows),
            "code": [f"{number:06d}" for number in rng.integers(0, 10**6, rows)],
            "note": ["x" * size for size in rng.integers(1, 40, rows)],
            "score": [None if hole else 1.5 for hole in rng.random(rows) < 0.03 + 0.01 * rng.random()],
            "stars": rng.integers(1, 6, rows),
        }
    )


def learned(rng: np.random.Generator, partitions: int = 5, make: Callable[..., pl.DataFrame] = healthy) -> Suggested:
    frames = {f"p{number}": make(rng, start=number * ROWS) for number in range(partitions)}
    return suggest({name: profile(frame) for name, frame in frames.items()}, frames["p0"].to_arrow().schema)


def rules(found: Suggested) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(rule.column, rule.type.removeprefix("expect_")): rule.arguments for rule in found.rules}


def share(values: pl.Series, arguments: Mapping[str, Any]) -> bool:
    """Judge a range row by row, as the library does: a share of the values that are there."""
    present = values.drop_nulls()
    low, high = arguments.get("min_value"), arguments.get("max_value")
    good = present.is_between(low if low is not None else -np.inf, high if high is not None else np.inf)
    return bool(good.mean() >= arguments.get("mostly", 1.0)) if len(present) else True


JUDGES: dict[str, Callable[[pl.DataFrame, str, Mapping[str, Any]], bool]] = {
    "column_values_to_not_be_null": lambda frame, name, of: (
        1 - frame[name].null_count() / frame.height >= of.get("mostly", 1.0)
    ),
    "column_values_to_be_unique": lambda frame, name, of: frame[name].is_unique().all(),
    "column_values_to_be_in_set": lambda frame, name, of: frame[name].is_in(of["value_set"]).all(),
    "column_values_to_be_between": lambda frame, name, of: share(frame[name], of),
    "column_mean_to_be_between": lambda frame, name, of: bool(
        frame.select(pl.col(name).mean().is_between(of["min_value"], of["max_value"]).fill_null(False)).item()
    ),
    "column_value_lengths_to_equal": lambda frame, name, of: (frame[name].str.len_chars() == of["value"]).all(),
    "column_value_lengths_to_be_between": lambda frame, name, of: share(frame[name].str.len_chars(), of),
    "table_row_count_to_be_between": lambda frame, _, of: of["min_value"] <= frame.height <= of["max_value"],
}


def broken(found: Suggested, frame: pl.DataFrame) -> set[tuple[str, str]]:
    return {
        (rule.column, rule.type)
        for rule in found.rules
        if not JUDGES[rule.type.removeprefix("expect_")](frame, rule.column, rule.arguments)
    }


def test_each_kind_of_column_gets_the_rules_that_fit_it():
    found = rules(learned(np.random.default_rng(1)))
    assert found["kind", "column_values_to_be_in_set"] == {"value_set": ["bus", "train", "tram"]}
    assert found["stars", "column_values_to_be_in_set"] == {"value_set": [1, 2, 3, 4, 5]}
    assert ("id", "column_values_to_be_unique") in found
    assert ("id", "column_mean_to_be_between") not in found  # it moves on
    assert found["code", "column_value_lengths_to_equal"] == {"value": 6}
    assert 0.9 < found["score", "column_values_to_not_be_null"]["mostly"] < 0.97
    assert ("score", "column_mean_to_be_between") not in found  # it is always the same
    assert found["price", "column_values_to_be_between"]["min_value"] >= 0
    assert found["delta", "column_mean_to_be_between"]["min_value"] < -0.1


def test_the_contract_demands_what_no_row_broke():
    contract = learned(np.random.default_rng(2)).contract
    assert contract.unique == ("id",)
    assert contract.columns["kind"].allowed == ("bus", "train", "tram")
    assert contract.columns["score"].nullable
    assert not contract.columns["price"].nullable
    assert contract.columns["price"].minimum == 0
    assert contract.columns["delta"].minimum is None


@pytest.mark.parametrize("partitions", [3, 5, 12])
def test_the_next_healthy_partition_breaks_less_than_one_rule_in_a_thousand(partitions: int):
    judged, failed = 0, list[tuple[str, str]]()
    for seed in range(12):
        rng = np.random.default_rng([seed, partitions])
        found = learned(rng, partitions)
        for later in range(25):
            frame = healthy(rng, rows=int(ROWS * np.exp(rng.normal(0, 0.01))), start=(partitions + later) * ROWS)
            judged += len(found.rules)
            failed += broken(found, frame)
    assert judged >= 5_000
    assert len(failed) <= judged / 1_000, Counter(failed)


DEFECTS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "kind": lambda frame: frame.with_columns(pl.col("kind").replace("tram", "TRAM")),
    "price": lambda frame: frame.with_columns(-pl.col("price")),
    "delta": lambda frame: frame.with_columns(pl.col("delta") * 1_000 + 1_000),
    "code": lambda frame: frame.with_columns(pl.col("code").str.slice(0, 4)),
    "score": lambda frame: frame.with_columns(score=pl.lit(None, pl.Float64)),
    "id": lambda frame: frame.with_columns(pl.col("id") // 2),
    "stars": lambda frame: frame.with_columns(pl.col("stars") - 1),
    "": lambda frame: frame.head(20),
}


@pytest.mark.parametrize("column", DEFECTS)
def test_a_defect_breaks_a_rule_of_its_column(column: str):
    rng = np.random.default_rng(7)
    found = learned(rng, 6)
    assert column in {name for name, _ in broken(found, DEFECTS[column](healthy(rng, start=100 * ROWS)))}


def test_what_changes_from_partition_to_partition_is_no_closed_list():
    def seasonal(rng: np.random.Generator, start: int = 0) -> pl.DataFrame:
        season = ["winter", "winter", "spring", "spring", "summer"][start // ROWS]
        return healthy(rng, start=start).with_columns(season=pl.lit(season))

    assert ("season", "column_values_to_be_in_set") not in rules(learned(np.random.default_rng(3), 5, seasonal))


def test_few_rows_say_nothing_for_ever():
    rng = np.random.default_rng(4)
    frames = {f"p{number}": healthy(rng, rows=20, start=20 * number) for number in range(4)}
    found = suggest({name: profile(frame) for name, frame in frames.items()}, frames["p0"].to_arrow().schema)
    assert {rule.severity for rule in found.rules} <= {"warning"}


def test_columns_without_values_and_odd_types_are_no_error():
    frame = pl.DataFrame(
        {
            "empty": pl.Series([None] * ROWS, dtype=pl.Float64), "nan": [float("nan")] * ROWS,
            "flag": [True, False] * (ROWS // 2), "infinite": [float("inf")] * ROWS, "day": [None] * ROWS,
        },
        schema_overrides={"day": pl.Date},
    )  # fmt: skip
    found = suggest({name: profile(frame) for name in "abc"}, frame.to_arrow().schema)
    assert found.contract.columns["empty"].nullable


def test_too_few_partitions_are_refused():
    frame = healthy(np.random.default_rng(5))
    with pytest.raises(ContractError, match="2 partitions say too little"):
        suggest({name: profile(frame) for name in "ab"}, frame.to_arrow().schema)


def test_what_is_written_as_yaml_is_a_contract_and_a_suite():
    found = learned(np.random.default_rng(6))
    read = yaml.safe_load(as_yaml(found))
    assert Contract.model_validate(read["contract"]) == found.contract
    check_suite(read["expectations"], columns=found.contract.columns)
    assert [item["kwargs"] for item in read["expectations"]] == [item["kwargs"] for item in found.suite()]
    assert as_yaml(found).count("  # ") == len(found.rules)


def test_the_prediction_interval_holds_the_next_value_as_often_as_it_says():
    rng = np.random.default_rng(8)
    values = rng.normal(size=(4_000, 6))
    ends = [prediction_interval(row[:5].tolist(), tail=0.05) for row in values]
    inside = np.mean([low <= row[5] <= high for (low, high), row in zip(ends, values, strict=True)])
    assert 0.885 < inside < 0.915


def test_the_upper_share_shrinks_with_the_rows_and_is_never_below_what_was_seen():
    assert upper_share(0, 100) > upper_share(0, 1_000) > 0
    assert upper_share(50, 100) > 0.5
    assert upper_share(100, 100) == 1
    assert upper_share(0, 0) == 1


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a", "b"])])
def test_categories_are_suggested_as_the_texts_that_a_contract_reads_them_as(kind):
    frame = pl.DataFrame({"x": pl.Series(["a", "b"] * 100, dtype=kind)})
    made = profile(frame)
    found = suggest({"one": made, "two": made, "three": made}, frame.to_arrow().schema)
    texts = suggest({"one": made, "two": made, "three": made}, frame.cast(pl.String).to_arrow().schema)
    assert found.contract.columns["x"].type == texts.contract.columns["x"].type


def test_a_type_that_no_contract_has_is_refused_with_the_name_of_its_column():
    frame = pl.DataFrame({"nested": [[1], [2]]})
    made = profile(frame)
    with pytest.raises(DeclarationError, match=r"column 'nested': .* is no column type"):
        suggest({"one": made, "two": made, "three": made}, frame.to_arrow().schema)
