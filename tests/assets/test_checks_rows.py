"""Checks of the rows of one partition: suites, contracts, freshness, and the frames that they read."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest

from assets.checks import contract_check, drift_check, freshness_check, history_check, suite_check
from quality.contract import Column, Contract
from tests.assets.projects import (
    DAYS,
    ERROR,
    SHOPS,
    SUITE,
    WARN,
    Project,
    changed,
    folder,
    key,
    orders_of,
    told_failure,
)

__all__ = ["folder"]
pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")


class TestSuite:
    """Severities of Great Expectations become those of Dagster, and any frame will do."""

    @pytest.mark.parametrize(
        ("give", "passed", "severity"),
        [
            (orders_of, True, None),
            (changed(kind=pl.lit("z")), False, WARN),
            (changed(amount=-pl.col("amount")), False, ERROR),
        ],
    )
    def test_a_severity_decides_how_a_check_fails(self, give, passed, severity):
        found = Project(lambda asset: suite_check(asset, suite=SUITE)).found(0, give)
        assert (found.passed, found.partition) == (passed, key(0))
        assert found.severity == (severity or WARN)
        assert found.metadata["expectations"].value == 3
        assert "expect_column_values_to_be_unique on customer" in found.description

    @pytest.mark.parametrize("to", ["to_arrow", "to_pandas", "lazy"])
    def test_the_rows_may_be_of_arrow_pandas_or_lazy(self, to):
        def give(partition):
            return getattr(orders_of(partition), to)()

        project = Project(lambda asset: suite_check(asset, suite=SUITE))

        @dg.asset(key="orders", partitions_def=DAYS)
        def orders(context: dg.AssetExecutionContext):
            return give(context.partition_key)

        project.assets = [orders]
        assert project.found(0).passed

    def test_a_critical_failure_stops_what_comes_after_it(self):
        project = Project(lambda asset: suite_check(asset, suite=SUITE), downstream=True)
        project.give = changed(amount=-pl.col("amount"))
        made = [event.asset_key.to_user_string() for event in project.run(key(0)).get_asset_materialization_events()]
        assert made == ["orders"]
        open_one = Project(lambda asset: suite_check(asset, suite=SUITE, blocking=False), downstream=True)
        open_one.give = project.give
        assert len(open_one.run(key(0)).get_asset_materialization_events()) == 2

    def test_a_suite_of_the_library_is_taken_as_it_is(self):
        stored = {"name": "orders", "expectations": SUITE}
        assert Project(lambda asset: suite_check(asset, suite=stored)).found(0).passed


class TestContract:
    """Broken rows are counted, and other columns block."""

    CONTRACT = Contract(
        columns={"order": "int64", "amount": Column(type="float64", minimum=0)}, extra="drop", unique=("order",),
        max_rejected=0.01,
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("give", "passed", "told"),
        [
            (orders_of, True, "0 of "),
            (changed(amount=-pl.col("amount")), False, "100.000%; tolerated 1.000%"),
            (changed(order=pl.col("order") // 2), False, "50."),
            (
                lambda partition: orders_of(partition).rename({"amount": "amounts"}),
                False,
                "the source has 'amounts': renamed?",
            ),
        ],
    )
    def test_it_blocks_where_more_rows_break_it_than_tolerated(self, give, passed, told):
        found = Project(lambda asset: contract_check(asset, contract=self.CONTRACT)).found(0, give)
        assert found.passed is passed
        assert told in found.description
        assert passed or found.severity is ERROR

    def test_the_reasons_are_drawn(self):
        found = Project(lambda asset: contract_check(asset, contract=self.CONTRACT)).found(
            0, changed(amount=-pl.col("amount"))
        )
        assert "amount: below minimum 0" in found.metadata["reasons"].value
        assert found.metadata["rejected_share"].value == 1.0


class TestFreshness:
    """The newest row against the end of the partition, or against now."""

    def test_a_partition_is_judged_by_its_end(self):
        def make(hours):
            return lambda asset: freshness_check(asset, column="at", max_age=timedelta(hours=hours))

        assert Project(make(24)).found(0).passed
        late = Project(make(1)).found(0)
        assert (late.passed, late.severity) == (False, WARN)
        assert "tolerated" in late.description

    @pytest.mark.parametrize(("hours", "passed"), [(24, True), (1, False)])
    def test_a_partition_of_several_dimensions_is_judged_by_the_end_of_its_time(self, hours, passed):
        both = dg.MultiPartitionsDefinition({"shop": SHOPS, "day": DAYS})
        project = Project(
            lambda asset: freshness_check(asset, column="at", max_age=timedelta(hours=hours)), partitions=both,
            give=lambda partition: orders_of(partition.split("|")[0]),
        )  # fmt: skip
        (found,) = project.run(dg.MultiPartitionKey({"shop": "us", "day": key(2)})).get_asset_check_evaluations()
        assert found.passed is passed

    def test_dimensions_without_time_are_judged_by_now(self):
        both = dg.MultiPartitionsDefinition({"shop": SHOPS, "kind": dg.StaticPartitionsDefinition(["a", "b"])})
        project = Project(
            lambda asset: freshness_check(asset, column="at", max_age=timedelta(hours=1)), partitions=both,
            give=lambda _: pl.DataFrame({"at": [datetime.now(UTC)]}),
        )  # fmt: skip
        asked = dg.MultiPartitionKey({"shop": "us", "kind": "a"})
        (fresh,) = project.run(asked).get_asset_check_evaluations()
        project.give = lambda _: orders_of(None)
        (old,) = project.run(asked).get_asset_check_evaluations()
        assert (fresh.passed, old.passed) == (True, False)

    def test_without_partitions_it_is_now_that_counts(self):
        check = Project(lambda asset: freshness_check(asset, column="at", max_age=timedelta(hours=1)), partitions=None)
        assert not check.found().passed
        fresh = pl.DataFrame({"at": [datetime.now(UTC)]})
        assert check.found(give=lambda _: fresh).passed

    def test_a_column_without_times_is_told(self):
        project = Project(lambda asset: freshness_check(asset, column="kind", max_age=timedelta(hours=1)))
        assert told_failure(project.run(key(0))) == "orders: 'kind' is String, its age needs dates or times: parse it"


def test_rows_of_arrow_readers_and_batches_are_read():
    from assets.checks.rows import frame_of

    table = orders_of(None).to_arrow()
    assert frame_of(table.to_reader(), of="orders").height == table.num_rows
    assert frame_of(table.to_batches()[0], of="orders").height > 0
    assert frame_of(pa.table({"a": [1]}), of="orders").to_dict(as_series=False) == {"a": [1]}


def test_a_lazy_frame_that_cannot_be_read_is_told_with_its_asset(tmp_path):
    lost = pl.scan_parquet(tmp_path / "lost.parquet")
    for make in (
        lambda asset: freshness_check(asset, column="at", max_age=timedelta(hours=1), rows=lambda _: lost),
        lambda asset: history_check(asset, rows=lambda _: lost),
        lambda asset: drift_check(asset, rows=lambda _: lost),
    ):
        assert told_failure(Project(make).run(key(0))).startswith("orders: the rows cannot be read: ")
