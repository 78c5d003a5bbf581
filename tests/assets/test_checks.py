"""Checks in a plain Dagster project: own assets, own I/O manager, no pipeline, store or setting of Penstock's."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from assets.checks import (
    History,
    Recorded,
    Watched,
    contract_check,
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
from assets.checks.drift import multivariate
from quality.contract import Column, Contract
from quality.profile import profile
from resources import kept
from resources.errors import DeclarationError

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")
FIRST = datetime(2025, 1, 6, tzinfo=UTC)
DAYS = dg.DailyPartitionsDefinition(start_date="2025-01-06")
SHOPS = dg.StaticPartitionsDefinition(["eu", "us"])
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def key(day: int) -> str:
    return f"{FIRST + timedelta(days=day):%Y-%m-%d}"


def day_of(partition: str | None) -> int:
    return 0 if partition is None else (datetime.fromisoformat(partition).replace(tzinfo=UTC) - FIRST).days


def orders_of(partition: str | None, *, rows: int | None = None) -> pl.DataFrame:
    """Return the orders of a day: amount and weight hang together, paid hangs on the amount."""
    day = day_of(partition)
    rng = np.random.default_rng(day)
    count = rows or 400 + int(rng.integers(-20, 21))
    amount = rng.gamma(4, 5, count)
    start = FIRST + timedelta(days=day)
    return pl.DataFrame(
        {
            "order": np.arange(count) + 1_000 * day,
            "at": pl.datetime_range(start, start + timedelta(minutes=count - 1), "1m", eager=True),
            "customer": rng.integers(0, 50, count),
            "amount": amount,
            "weight": amount + rng.normal(0, 2, count),
            "kind": rng.choice(["a", "b", "c"], count, p=[0.6, 0.3, 0.1]),
            "paid": (rng.random(count) < 1 / (1 + np.exp(-(amount - 20) / 5))).astype(int),
        }
    )


class Memory(dg.IOManager):
    """Keeps the newest value of each partition."""

    def __init__(self):
        self.values = {}

    def handle_output(self, context, obj):
        self.values[context.asset_partition_key if context.has_asset_partitions else None] = obj

    def load_input(self, context):
        return self.values[context.asset_partition_key if context.has_asset_partitions else None]


class Project:
    """A Dagster project with one asset, whose rows each test changes as it likes."""

    folder = ""

    def __init__(self, *checks, partitions=DAYS, give=orders_of, downstream=False):
        self.instance = dg.DagsterInstance.ephemeral(tempdir=self.folder)
        self.io = Memory()
        self.give = give
        self.partitions = partitions

        @dg.asset(key="orders", partitions_def=partitions)
        def orders(context: dg.AssetExecutionContext):
            made = self.give(context.partition_key if partitions else None)
            context.add_output_metadata({"dagster/row_count": len(made)})
            return made

        @dg.asset(deps=[orders], partitions_def=partitions)
        def invoices() -> None:
            """What must not be made of bad orders."""

        self.asset = orders
        self.assets = [orders, invoices] if downstream else [orders]
        self.checks = [make(orders) for make in checks]

    def check(self, name, partition=None):
        """Run one check of all; without a partition on what was materialized before."""
        chosen = dg.AssetSelection.checks(dg.AssetCheckKey(self.asset.key, name))
        if partition is not None:  # Dagster gives runs of checks alone no partition
            chosen |= dg.AssetSelection.assets(self.asset.key).without_checks()
        job = dg.define_asset_job("checks", selection=chosen)
        made = dg.Definitions(
            assets=self.assets, asset_checks=self.checks, jobs=[job], resources={"io_manager": self.io}
        ).resolve_job_def("checks")
        done = made.execute_in_process(partition_key=partition, instance=self.instance, raise_on_error=False)
        return done.get_asset_check_evaluations()

    def run(self, partition=None):
        return dg.materialize(
            [*self.assets, *self.checks], partition_key=partition, instance=self.instance, raise_on_error=False,
            resources={"io_manager": self.io},
        )  # fmt: skip

    def days(self, count, start=0):
        for day in range(start, start + count):
            found = self.found(day)
        return found

    def found(self, day=None, give=None):
        """Return the only check of a day."""
        self.give = give or self.give
        result = self.run(None if day is None else key(day))
        failures = [one.step_failure_data.error.message for one in result.get_step_failure_events()]
        evaluations = result.get_asset_check_evaluations()
        assert len(evaluations) == 1, failures
        return evaluations[0]


@pytest.fixture(autouse=True)
def folder(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(Project, "folder", str(tmp_path_factory.mktemp("instance")))


def told_failure(result) -> str:
    (failure,) = result.get_step_failure_events()
    return failure.step_failure_data.user_failure_data.description


def changed(**columns):
    return lambda partition: orders_of(partition).with_columns(**columns)


def weekly(partition):
    """Return orders whose amounts are half as high again on Saturdays and Sundays."""
    weekend = day_of(partition) % 7 >= 5
    return orders_of(partition).with_columns(amount=pl.col("amount") * (1.5 if weekend else 1))


SUITE = [
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": 0}},
    {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "kind", "value_set": ["a", "b", "c"]},
     "severity": "warning"},
    {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "customer"}, "severity": "info"},
]  # fmt: skip


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


class TestDrift:
    """Profiles of earlier partitions come from the event log, or from a folder."""

    @pytest.mark.slow
    def test_it_compares_with_the_partitions_before(self):
        project = Project(lambda asset: drift_check(asset, window=3, ignore=["order"]))
        assert project.found(0).description == "nothing to compare with: no earlier partition of orders was checked"
        calm = project.days(12, start=1)
        assert (calm.passed, calm.metadata["past_pairs"].value) == (True, 9)
        found = project.found(13, changed(amount=pl.col("amount") * 2))
        assert (found.passed, found.severity, found.metadata["flagged"].value) == (False, WARN, 1)
        assert found.description.startswith("amount: distribution moved by ")
        assert "past partitions differ by up to" in found.description

    @pytest.mark.slow
    def test_a_lasting_change_is_news_once_and_teaches_nothing_of_what_is_usual(self):
        project = Project(lambda asset: drift_check(asset, window=1, columns=["amount"]))
        project.days(10)
        doubled = changed(amount=pl.col("amount") * 2)
        assert [project.found(10, doubled).passed, project.found(11, doubled).passed] == [False, True]
        assert not project.found(12, orders_of).passed

    @pytest.mark.slow
    def test_a_weekend_is_no_drift_before_the_past_can_tell_and_none_after(self):
        project = Project(lambda asset: drift_check(asset, columns=["amount"]), give=weekly)
        early = [project.found(day) for day in range(15)]  # the first day is a Monday
        assert all(one.passed for one in early)
        assert early[4].description == "no drift in 1 column"
        assert early[5].metadata["flagged"].value == 0
        assert early[5].description.startswith(
            "too little history to tell drift from a season: needs 4 more partitions; not judged: amount (ks "
        )
        assert project.found(15).description == project.found(19).description == "no drift in 1 column"
        doubled = project.found(20, lambda partition: weekly(partition).with_columns(amount=pl.col("amount") * 3))
        assert doubled.description.startswith("amount: distribution moved by ")

    def test_whoever_asks_for_no_past_is_warned_of_a_weekend(self):
        project = Project(lambda asset: drift_check(asset, columns=["amount"], past=0), give=weekly)
        project.found(3)
        project.found(4)
        found = project.found(5)
        assert (found.passed, "too little history" in found.description) == (False, False)

    def test_a_declared_reference_warns_from_the_first_partition_on_and_says_what_it_cannot_tell(self):
        project = Project(lambda asset: drift_check(asset, reference=weekly(key(0)), columns=["amount"]), give=weekly)
        found = project.found(5)
        assert not found.passed
        assert found.description.startswith("amount: distribution moved by ")
        assert found.description.endswith("; too little history to tell drift from a season: needs 8 more partitions")

    def test_a_column_that_is_gone_or_of_another_type_is_told(self):
        project = Project(lambda asset: drift_check(asset, window=3, columns=["amount", "kind"]))
        project.days(2)
        gone = project.found(2, lambda partition: orders_of(partition).drop("kind"))
        assert gone.description == "kind: the batch lacks this column"
        project.found(2, orders_of)
        typed = project.found(3, changed(amount=pl.col("amount").cast(pl.String)))
        assert typed.description.startswith("amount: String in the batch, Float64 in the reference")

    def test_a_backfill_in_any_order_sees_earlier_partitions_only(self):
        project = Project(lambda asset: drift_check(asset, window=2, columns=["amount"], past=0))
        project.found(5, changed(amount=pl.col("amount") * 3))
        assert project.found(3, orders_of).description.startswith("nothing to compare with")
        assert project.found(4, orders_of).passed
        assert not project.found(5, changed(amount=pl.col("amount") * 3)).passed

    def test_a_partition_that_is_made_again_counts_once_with_its_newest_rows(self):
        project = Project(lambda asset: drift_check(asset, window=1, columns=["amount"]))
        project.found(0, changed(amount=pl.col("amount") * 3))
        project.found(0, orders_of)
        assert project.found(1, orders_of).passed

    @pytest.mark.parametrize("as_profile", [False, True])
    def test_a_declared_reference_is_rows_or_a_profile(self, as_profile):
        rows = orders_of(None, rows=2_000).select("amount", "kind")
        reference = profile(rows) if as_profile else rows
        project = Project(lambda asset: drift_check(asset, reference=reference, past=20))
        assert project.found(0).passed
        assert not project.found(1, changed(amount=pl.col("amount") + 20)).passed

    @pytest.mark.slow
    def test_a_declared_reference_may_change_with_the_partition_and_has_a_past_too(self):
        project = Project(
            lambda asset: drift_check(asset, reference=lambda _: orders_of(None), columns=["amount"], past=20)
        )
        assert project.days(9).metadata["past_pairs"].value == 8

    def test_profiles_too_large_for_the_event_log_go_to_a_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(kept, "INLINE_BYTES", 1_000)
        refused = told_failure(Project(drift_check).run(key(0)))
        assert "give keep_in=..., a folder or fsspec URL that all runs reach" in refused
        project = Project(
            lambda asset: drift_check(asset, window=1, ignore=["order"], keep_in=str(tmp_path / "profiles"))
        )
        project.found(0)
        assert project.found(1).metadata["flagged"].value == 0
        assert len(list((tmp_path / "profiles").glob("*.json"))) == 2

    def test_a_kept_profile_that_is_lost_or_altered_is_no_silent_pass(self, tmp_path):
        project = Project(lambda asset: drift_check(asset, window=1, keep_in=str(tmp_path)))
        project.found(0)
        (file,) = tmp_path.glob("*.json")
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"1", b"2"))
        assert "was altered" in told_failure(project.run(key(1)))
        file.unlink()
        assert "restore it, give a keep_in that all runs reach" in told_failure(project.run(key(1)))

    def test_predictions_have_a_check_of_their_own(self):
        scored = changed(prediction=pl.col("amount") / 60)
        project = Project(
            lambda asset: drift_check(asset, name="prediction_drift", columns=["prediction"], window=2, past=0)
        )
        project.give = scored
        project.days(3)
        found = project.found(3, changed(prediction=pl.col("amount") / 30))
        assert (found.check_name, found.passed) == ("prediction_drift", False)


class TestMultivariateDrift:
    """A classifier sees columns that part while each stays as it was."""

    @pytest.mark.slow
    def test_columns_that_part_are_seen(self):
        rows = orders_of(None, rows=2_000)
        project = Project(
            lambda asset: multivariate_drift_check(asset, reference=rows, columns=["amount", "weight", "kind"])
        )
        assert project.found(0, lambda _: orders_of(key(3), rows=1_000)).passed
        found = project.found(
            1, lambda _: orders_of(key(4), rows=1_000).with_columns(weight=pl.col("weight").shuffle(seed=1))
        )
        assert (found.passed, found.metadata["auc"].value > 0.6) == (False, True)
        assert "| weight |" in found.metadata["by"].value

    @pytest.mark.slow
    def test_what_is_usual_is_no_news(self):
        rows = orders_of(None, rows=500).select("amount")
        project = Project(lambda asset: multivariate_drift_check(asset, reference=rows, severity=ERROR))
        project.give = changed(amount=pl.col("amount") + 4)
        first, last = project.days(1), project.days(8, start=1)
        assert (first.passed, first.severity) == (False, ERROR)
        assert (last.passed, last.metadata["past_pairs"].value) == (True, 8)
        assert "past partitions reach up to" in last.description
        assert not project.found(9, changed(amount=pl.col("amount") + 30)).passed

    def test_healthy_areas_about_one_half_hide_no_columns_that_part(self):
        sides = (
            orders_of(key(3), rows=1_000),
            orders_of(key(4), rows=1_000).with_columns(weight=pl.col("weight").shuffle(seed=1)),
        )
        areas = [0.49, 0.51, 0.5, 0.505, 0.48, 0.52, 0.495, 0.502]
        told = multivariate(sides, columns=["amount", "weight"], tolerance=0.05, alpha=0.01, areas=areas)
        assert (told.verdict, round(told.shown["auc_usual"], 2)) == ("warn", 0.58)

    def test_too_few_rows_are_not_judged_and_say_so(self):
        few = orders_of(None, rows=20)
        found = Project(lambda asset: multivariate_drift_check(asset, reference=few)).found(0)
        assert (found.passed, found.description.startswith("not judged: ")) == (True, True)


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


def test_rows_of_arrow_readers_and_batches_are_read():
    from assets.checks.rows import frame_of

    table = orders_of(None).to_arrow()
    assert frame_of(table.to_reader(), of="orders").height == table.num_rows
    assert frame_of(table.to_batches()[0], of="orders").height > 0
    assert frame_of(pa.table({"a": [1]}), of="orders").to_dict(as_series=False) == {"a": [1]}


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


def test_a_lazy_frame_that_cannot_be_read_is_told_with_its_asset(tmp_path):
    lost = pl.scan_parquet(tmp_path / "lost.parquet")
    for make in (
        lambda asset: freshness_check(asset, column="at", max_age=timedelta(hours=1), rows=lambda _: lost),
        lambda asset: history_check(asset, rows=lambda _: lost),
        lambda asset: drift_check(asset, rows=lambda _: lost),
    ):
        assert told_failure(Project(make).run(key(0))).startswith("orders: the rows cannot be read: ")


def test_an_empty_partition_is_judged_and_not_an_error():
    project = Project(lambda asset: drift_check(asset, window=1, columns=["amount"]))
    project.found(0)
    assert project.found(1, lambda _: orders_of(None).clear()).description == "no rows to compare"
    empty = Project(history_check, give=lambda _: pl.DataFrame()).found(0)
    assert empty.passed
    for make in (repeats_check, dependence_check, traits_check):
        assert Project(make).found(0, lambda _: orders_of(None).clear()).passed
