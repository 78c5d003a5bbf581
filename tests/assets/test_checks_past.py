"""Checks against the past of an asset, detectors of what is wrong with rows, and metrics before labels come."""

import numpy as np
import polars as pl
import pytest

from assets.checks import (
    History,
    Recorded,
    Watched,
    dependence_check,
    drift_check,
    expected_check,
    history_check,
    leakage_check,
    recorded_history_check,
    references_check,
    repeats_check,
    traits_check,
)
from tests.assets.projects import ERROR, WARN, Project, changed, folder, key, orders_of

__all__ = ["folder"]
pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")


class TestHistory:
    """A partition against the asset's own past, from the check's evaluations or the asset's metadata."""

    @pytest.mark.slow
    def test_rows_and_nulls_are_watched(self):
        history = History(watch={"mean amount": Watched(expression="amount", tolerance=2)}, false_alarms_per_year=0.5)
        project = Project(lambda asset: history_check(asset, history=history, event_time="at", every="monthly"))
        young = project.found(0)
        assert (young.passed, young.description) == (True, "too little history: needs 12 more partitions")
        calm = project.days(15, start=1)
        assert (calm.passed, calm.metadata["past"].value) == (True, 15)
        found = project.found(16, lambda partition: orders_of(partition, rows=90))
        assert (found.passed, found.severity) == (False, WARN)
        assert "rows: 90 in 2025-01-22, usual is " in found.description
        assert found.metadata["rows_picture"].value.startswith("![rows against its past]")
        odd = project.found(16, changed(amount=pl.when(pl.col("order") % 2 == 0).then(pl.col("amount"))))
        assert "nulls of amount: " in odd.description

    @pytest.mark.slow
    def test_numbers_that_the_asset_recorded_itself_need_no_rows(self):
        metrics = {"dagster/row_count": Recorded(kind="count", tolerance=0.5)}
        project = Project()
        for day in range(14):
            project.run(key(day))
        project.checks = [recorded_history_check(project.asset, metrics=metrics, every="monthly")]
        calm = project.found(14)
        assert (calm.passed, calm.metadata["past"].value) == (True, 14)
        assert not project.found(15, lambda partition: orders_of(partition, rows=90)).passed

    @pytest.mark.slow
    def test_traits_tell_of_rounded_values(self):
        project = Project(lambda asset: traits_check(asset, columns=["amount"], every="monthly"))
        assert project.days(14).passed
        found = project.found(14, changed(amount=pl.col("amount").round()))
        assert "whole of amount: 100 % in " in found.description

    @pytest.mark.slow
    def test_without_partitions_materializations_are_the_past(self):
        rng = np.random.default_rng(1)
        project = Project(lambda asset: history_check(asset, every="monthly"), partitions=None)
        project.give = lambda _: orders_of(None, rows=400 + int(rng.integers(-20, 20)))
        for _ in range(14):
            last = project.found()
        assert (last.passed, last.metadata["past"].value) == (True, 13)
        assert not project.found(give=lambda _: orders_of(None, rows=90)).passed

    def test_a_check_run_again_on_the_same_materialization_is_no_past_of_itself(self):
        project = Project(history_check, partitions=None)
        project.found()
        (found,) = project.check("history")
        assert found.metadata["past"].value == 0


class TestDetectors:
    """Repeated rows, dependence, leakage, lost keys."""

    def test_rows_that_came_before_are_told(self):
        project = Project(lambda asset: repeats_check(asset, columns=["order"]))
        assert project.days(3).passed
        found = project.found(3, lambda _: orders_of(key(1)))
        assert (found.passed, found.severity) == (False, WARN)
        assert found.description == "100.00% of the keys came before, in 2025-01-07, 0.10% tolerated"
        twice = project.found(3, lambda partition: pl.concat([orders_of(partition)] * 2))
        assert twice.description.startswith("50.00% of ")

    @pytest.mark.slow
    def test_a_shuffled_column_is_told_once_there_is_a_past(self):
        project = Project(lambda asset: dependence_check(asset, columns=["amount", "weight", "kind"]))
        assert project.found(0).description == "too little history: needs 5 more partitions"
        assert project.days(7, start=1).passed
        found = project.found(8, changed(weight=pl.col("weight").shuffle(seed=3)))
        assert not found.passed
        assert found.description.startswith("amount and weight depend less on each other")

    def test_a_column_that_knows_the_label_is_told(self):
        project = Project(lambda asset: leakage_check(asset, label="paid", columns=["amount", "kind"]))
        assert project.found(0).passed
        found = project.found(1, changed(amount=pl.col("paid").cast(pl.Float64)))
        assert found.description.startswith("amount alone tells the label with an AUC of 1.000")

    def test_a_key_that_points_nowhere_blocks(self):
        customers = pl.DataFrame({"id": range(50)})

        def make(known):
            return lambda asset: references_check(asset, column="customer", known=known, key="id", table="customers")

        assert Project(make(customers)).found(0).passed
        found = Project(make(lambda _: customers.head(10))).found(0)
        assert (found.passed, found.severity, found.blocking) == (False, ERROR, True)
        assert "of customer are not in customers" in found.description


class TestExpected:
    """A metric before its labels come."""

    def test_a_regressor_that_will_be_worse_is_told(self):
        def rows(day, *, spread=1.0, count=1_500):
            rng = np.random.default_rng(day)
            x = rng.uniform(0, 10, count)
            return pl.DataFrame({"x": x, "prediction": 3 * x, "y": 3 * x + rng.normal(0, 0.2 + x * spread, count)})

        def make(asset):
            return expected_check(
                asset, labelled=rows(0), label="y", prediction="prediction", metric="mae", margin=0.5, unit="EUR"
            )

        new = rows(1).drop("y")
        assert Project(make).found(0, lambda _: new).passed
        found = Project(make).found(0, lambda _: new.filter(pl.col("x") > 8))
        assert (found.passed, found.severity) == (False, WARN)
        assert found.description.startswith("MAE ")
        assert "worse by more than the margin 0.5 with certainty" in found.description


def test_an_empty_partition_is_judged_and_not_an_error():
    project = Project(lambda asset: drift_check(asset, window=1, columns=["amount"]))
    project.found(0)
    assert project.found(1, lambda _: orders_of(None).clear()).description == "no rows to compare"
    empty = Project(history_check, give=lambda _: pl.DataFrame()).found(0)
    assert empty.passed
    for make in (repeats_check, dependence_check, traits_check):
        assert Project(make).found(0, lambda _: orders_of(None).clear()).passed
