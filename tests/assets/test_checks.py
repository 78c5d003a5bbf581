"""Checks in a plain Dagster project: own assets, own I/O manager, no pipeline, store or setting of Penstock's."""

import re
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.checks import (
    dependence_check,
    drift_check,
    expected_check,
    freshness_check,
    history_check,
    leakage_check,
    multivariate_drift_check,
    recorded_history_check,
    references_check,
    repeats_check,
    rows_at,
    suite_check,
    traits_check,
)
from resources.errors import DeclarationError
from tests.assets.projects import DAYS, SHOPS, SUITE, Project, folder, key, orders_of, told_failure

__all__ = ["folder"]
pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")


class TestDefinitions:
    """What Dagster is told, and what is refused when it is declared."""

    @pytest.mark.parametrize(
        ("make", "told"),
        [
            (lambda: suite_check("orders", suite=[{"type": "expect_nothing", "kwargs": {}}]), "expect_nothing"),
            (lambda: drift_check("orders", window=0), "window is 0"),
            (lambda: drift_check("orders", tolerance=2), "tolerance is 2"),
            (lambda: drift_check("orders", windows=3), "drift: argument 'windows'"),
            (lambda: drift_check("orders", severity="warn"), "give dg.AssetCheckSeverity.WARN"),
            (lambda: drift_check("orders", rows="orders.parquet"), "rows is str; give a function of the partition key"),
            (lambda: drift_check("orders", keep_in=""), "keep_in is ''"),
            (lambda: multivariate_drift_check("orders", reference=pl.DataFrame(), tolerance=0.7), "tolerance is 0.7"),
            (lambda: history_check("orders", every="yearly"), "'yearly' is not one of"),
            (lambda: history_check("orders", volume_tolerance=0), "volume_tolerance: a tolerated change is positive"),
            (lambda: traits_check("orders", false_alarms_per_year=2), "false_alarms_per_year"),
            (lambda: recorded_history_check("orders", metrics={}), "metrics is empty"),
            (lambda: freshness_check("orders", column="at", max_age=timedelta(0)), "max_age"),
            (lambda: repeats_check("orders", tolerance=1), "repeats: a tolerance lies between 0 and 1"),
            (lambda: dependence_check("orders", past=-1), "past is -1"),
            (lambda: leakage_check("orders", label="y", suspicious=2), "suspicious is 2"),
            (lambda: references_check("orders", column="c", known=pl.DataFrame(), tolerance=-1), "references: "),
            (
                lambda: expected_check(
                    "orders", labelled=pl.DataFrame(), label="y", prediction="p", metric="mea", margin=1
                ),
                "did you mean 'mae'",
            ),
        ],
    )
    def test_what_cannot_be_is_refused_when_it_is_declared(self, make, told):
        with pytest.raises(DeclarationError) as refused:
            make()
        assert told in str(refused.value)

    def test_dagsters_own_arguments_are_passed_on(self):
        condition = dg.AutomationCondition.eager()
        check = drift_check(
            dg.AssetKey(["shop", "orders-eu"]), name="moved", description="No.", blocking=True, partitions_def=DAYS,
            metadata={"team": "ml"}, automation_condition=condition,
        )  # fmt: skip
        (spec,) = check.check_specs
        assert (spec.asset_key.path, spec.name, spec.description) == (["shop", "orders-eu"], "moved", "No.")
        assert (spec.blocking, spec.metadata, spec.partitions_def) == (True, {"team": "ml"}, DAYS)
        assert spec.automation_condition == condition

    def test_several_checks_live_side_by_side_and_one_alone_can_be_run(self):
        project = Project(
            lambda asset: suite_check(asset, suite=SUITE),
            drift_check,
            lambda asset: drift_check(asset, name="label_drift", columns=["paid"]),
        )
        assert len(project.run(key(0)).get_asset_check_evaluations()) == 3
        assert [found.check_name for found in project.check("label_drift", key(0))] == ["label_drift"]

    def test_of_several_dimensions_the_past_is_that_of_the_same_shop(self):
        both = dg.MultiPartitionsDefinition({"day": DAYS, "shop": SHOPS})

        def give(partition):
            day, shop = partition.split("|")
            return orders_of(day).with_columns(amount=pl.col("amount") * (1 if shop == "eu" else 9))

        project = Project(
            lambda asset: drift_check(asset, window=2, columns=["amount"], past=0), partitions=both, give=give
        )
        for day in range(2):
            for shop in ("eu", "us"):
                found = project.run(dg.MultiPartitionKey({"day": key(day), "shop": shop})).get_asset_check_evaluations()
                assert found[0].passed
        assert "nothing to compare" not in found[0].description
        project.give = lambda partition: give(partition.replace("us", "eu"))
        (mixed,) = project.run(dg.MultiPartitionKey({"day": key(2), "shop": "us"})).get_asset_check_evaluations()
        assert mixed.description.startswith("amount: distribution moved by ")

    def test_static_partitions_are_compared_in_their_order(self):
        shops = dg.StaticPartitionsDefinition(["eu", "us", "asia"])
        project = Project(
            lambda asset: drift_check(asset, window=2, columns=["amount"]), partitions=shops,
            give=lambda _: orders_of(None),
        )  # fmt: skip
        project.run("us")
        (first,) = project.run("eu").get_asset_check_evaluations()
        assert first.description.startswith("nothing to compare with")
        (last,) = project.run("asia").get_asset_check_evaluations()
        assert last.description == "no drift in 1 column"

    def test_an_asset_that_hands_nothing_over_needs_rows(self, tmp_path):
        @dg.asset(partitions_def=DAYS)
        def orders(context: dg.AssetExecutionContext) -> None:
            orders_of(context.partition_key).write_parquet(tmp_path / f"{context.partition_key}.parquet")

        read = rows_at(f"{tmp_path}/{{partition}}.parquet")
        done = dg.materialize([orders, suite_check(orders, suite=SUITE, rows=read)], partition_key=key(0))
        assert done.get_asset_check_evaluations()[0].passed

    def test_what_is_no_table_is_told_with_its_remedy(self):
        project = Project(lambda asset: suite_check(asset, suite=SUITE), give=lambda _: "orders.parquet")
        assert told_failure(project.run(key(0))).startswith("orders: str is no table; a check reads frames of Polars")

    def test_a_partitioned_asset_whose_check_is_not_is_told(self):
        project = Project(lambda _: suite_check("orders", suite=SUITE, rows=orders_of))
        assert "give it partitions_def=..., or the asset itself" in told_failure(project.run(key(0)))


def test_the_example_of_the_page_runs(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made = {}
    exec(example, made)
    job = made["defs"].resolve_implicit_global_asset_job_def()
    instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path))
    for day in range(2):
        done = job.execute_in_process(partition_key=key(day), instance=instance)
        found = {one.check_name: one for one in done.get_asset_check_evaluations()}
        assert all(one.passed for one in found.values())
    assert set(found) == {"expectations", "drift", "history"}
    assert found["drift"].description == "no drift in 2 columns"


def test_the_page_has_every_factory_and_every_common_argument():
    import assets.checks as checks

    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?m)^\| `(\w+_check)\(", page))
    assert named == {name for name in checks.__all__ if name.endswith("_check")}
    for name in checks.CheckOptions.__annotations__:
        assert re.search(rf"(?m)^\| .*`{name}`.* \|$", page), name
