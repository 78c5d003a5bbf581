"""`drift_check` while its past is short: what no season explains is told, anything else is named."""

import inspect
from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.checks import drift_check
from assets.preprocess import Features
from quality.drift import GROSS
from resources.errors import DeclarationError

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")
FIRST = datetime(2025, 1, 6, tzinfo=UTC)
DAYS = dg.DailyPartitionsDefinition(start_date="2025-01-06")


def key(day):
    return f"{FIRST + timedelta(days=day):%Y-%m-%d}"


def orders_of(day, rows=400):
    rng = np.random.default_rng([3, day])
    weekend = day % 7 > 4
    return pl.DataFrame(
        {
            "amount": rng.gamma(4, 5 + weekend, rows),
            "balance": rng.normal(0, 1 + weekend, rows),
            "kind": rng.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2] if weekend else [0.3, 0.3, 0.4]),
            "number": np.arange(rows) + rows * day,
            "week": np.full(rows, day // 7),
            "day": np.full(rows, key(day)),
        }
    )


class Orders:
    """Daily orders under the check, on an instance that remembers."""

    def __init__(self, tmp_path, *, partitions=DAYS, **arguments):
        self.instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path))
        self.frame = pl.DataFrame()

        @dg.asset(partitions_def=partitions)
        def orders() -> None:
            """What is checked."""

        self.parts = [orders, drift_check(orders, rows=lambda _: self.frame, **arguments)]

    def told(self, partition, frame):
        self.frame = frame
        done = dg.materialize(self.parts, partition_key=partition, instance=self.instance)
        return done.get_asset_check_evaluations()[0]

    def day(self, day, **changed):
        return self.told(key(day), orders_of(day).with_columns(**changed))

    def days(self, count, start=0):
        return [self.day(day) for day in range(start, start + count)]


BROKEN = {
    "another unit": ({"amount": pl.col("amount") * 1_000}, "amount: distribution moved by 1.000"),
    "another unit of what lies about zero": ({"balance": pl.col("balance") * 1_000}, "balance: distribution moved"),
    "the unit before": ({"amount": pl.col("amount") / 1_000}, "amount: distribution moved by 1.000"),
    "an offset": ({"balance": pl.col("balance") + 5_000}, "balance: distribution moved by 1.000"),
    "one value": ({"amount": pl.lit(20.0)}, "amount: one value alone"),
    "no value": ({"amount": pl.lit(None, pl.Float64)}, "amount: share of missing values moved by 1.000"),
    "other names": ({"kind": pl.col("kind") + "_new"}, "kind: shares of categories moved by 1.000"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_no_season_explains_is_told_on_the_third_day(tmp_path, broken):
    changed, told = BROKEN[broken]
    orders = Orders(tmp_path)
    orders.days(2)
    found = orders.day(2, **changed)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description.startswith(told)
    assert "season: needs 7 more partitions, but no season goes so far" in found.description


def test_another_unit_is_told_on_the_second_day_with_both_ranges(tmp_path):
    orders = Orders(tmp_path)
    orders.days(1)
    found = orders.day(1, amount=pl.col("amount") * 1_000)
    assert not found.passed
    assert ": most values lie from 1" in found.description
    assert found.metadata["flagged"].value == 1


@pytest.mark.slow
def test_weekends_keys_and_names_of_the_partition_are_no_news(tmp_path):
    orders = Orders(tmp_path)
    assert all(found.passed for found in orders.days(10))


@pytest.mark.slow
def test_a_gross_change_teaches_nothing_of_what_is_usual_and_is_told_again_when_the_past_is_known(tmp_path):
    orders = Orders(tmp_path, columns=["amount"])
    orders.days(3)
    assert not orders.day(3, amount=pl.col("amount") * 1_000).passed
    assert all(found.passed for found in orders.days(8, start=4))
    found = orders.day(12, amount=pl.col("amount") * 1_000)
    assert (found.passed, "too little history" in found.description) == (False, False)


def test_a_gross_change_that_stays_is_news_once(tmp_path):
    orders = Orders(tmp_path, columns=["amount"])
    orders.days(3)
    said = [orders.day(day, amount=pl.col("amount") * 1_000) for day in range(3, 6)]
    assert [found.passed for found in said] == [False, True, True]


def test_whoever_takes_any_change_for_a_season_is_told_of_none(tmp_path):
    orders = Orders(tmp_path, columns=["amount"], gross=1)
    orders.days(2)
    found = orders.day(2, amount=pl.col("amount") * 1_000)
    assert (found.passed, "not judged: amount (ks " in found.description) == (True, True)


def test_the_limit_is_one_for_all():
    default = inspect.signature(drift_check).parameters["gross"].default
    assert default == Features.model_fields["drift_gross"].default == GROSS


def test_gross_is_a_share():
    for value in (0, 1.1):
        with pytest.raises(DeclarationError, match=f"gross is {value}, it lies above 0, and is 1 at most"):
            drift_check("orders", gross=value)


@pytest.mark.parametrize("count", [3, 9])
def test_static_partitions_that_are_too_few_for_a_past_are_judged_without_one(tmp_path, count):
    shops = dg.StaticPartitionsDefinition([f"shop {place}" for place in range(count)])
    orders = Orders(tmp_path, partitions=shops, columns=["amount"])
    orders.told("shop 0", orders_of(0))
    assert orders.told("shop 1", orders_of(1)).passed
    moved = orders.told("shop 2", orders_of(2).with_columns(amount=pl.col("amount") * 1.5))
    assert (moved.passed, "too little history" in moved.description) == (False, False)


def test_static_partitions_that_can_have_a_past_wait_for_it(tmp_path):
    shops = dg.StaticPartitionsDefinition([f"shop {place}" for place in range(10)])
    orders = Orders(tmp_path, partitions=shops, columns=["amount"])
    orders.told("shop 0", orders_of(0))
    moved = orders.told("shop 1", orders_of(1).with_columns(amount=pl.col("amount") * 1.5))
    assert (moved.passed, "too little history" in moved.description) == (True, True)


def test_of_two_static_dimensions_the_first_is_the_one_that_counts(tmp_path):
    both = dg.MultiPartitionsDefinition(
        {
            "a": dg.StaticPartitionsDefinition(["x", "y", "z"]),
            "b": dg.StaticPartitionsDefinition(list("0123456789")),
        }
    )
    orders = Orders(tmp_path, partitions=both, columns=["amount"])
    orders.told(dg.MultiPartitionKey({"a": "x", "b": "0"}), orders_of(0))
    moved = orders.told(
        dg.MultiPartitionKey({"a": "y", "b": "0"}), orders_of(1).with_columns(amount=pl.col("amount") * 1.5)
    )
    assert not moved.passed
