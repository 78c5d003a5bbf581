"""What the tests of checks share: a Dagster project with one asset, whose rows each test changes as it likes."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

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
