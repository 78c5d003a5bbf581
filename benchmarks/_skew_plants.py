"""Owns a world of features that training and serving both compute, and the twelve ways in which serving goes astray.

Every plant changes serving's copy of the features (late data: training's) by a cause of real life, in a share of the
rows or entities. It judges nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

KEYS, TIME, ARRIVED = ("customer",), "at", "newest_arrival"
EVERY_S = 3600
START_US = 1_700_000_000_000_000
PLANS = ["basic", "business class", "family", "free of charge", "student"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Both sides with one kind of skew.

    Attributes:
        training: Features of training.
        serving: Features of serving.
        column: The column that has it, or empty where rows have it.
        kind: Words that a report must use for it.
    """

    training: pl.DataFrame
    serving: pl.DataFrame
    column: str
    kind: str


Plant = Callable[[pl.DataFrame, float, np.random.Generator], Planted]


def world(rows: int, seed: int) -> pl.DataFrame:
    """Return the features of `rows` orders: fifty an entity, an hour apart, with the rates of the stage before."""
    rng = np.random.default_rng([17, seed])
    each = 50
    customers = -(-rows // each)
    number = np.arange(customers * each)
    spent = rng.gamma(2.0, 40.0, len(number)).round(2)
    frame = pl.DataFrame(
        {
            "customer": pl.Series([f"c{i:06d}" for i in range(customers)]).gather(number // each),
            "at": pl.Series(START_US + (number % each) * EVERY_S * 10**6, dtype=pl.Datetime("us")).dt.replace_time_zone(
                "UTC"
            ),
            "spent": spent,
            "score": rng.normal(size=len(number)),
            "distance_km": rng.lognormal(1.0, 1.0, len(number)),
            "items": rng.integers(1, 30, len(number)),
            "hour": (number % each + rng.integers(0, 24, customers)[number // each]) % 24,
            "plan": pl.Series(PLANS).gather(rng.integers(0, len(PLANS), len(number))),
            "channel": rng.integers(0, 6, len(number)),
            "seen": pl.Series(
                START_US - rng.integers(0, 10**12, len(number)), dtype=pl.Datetime("us")
            ).dt.replace_time_zone("UTC"),
        }
    )
    income = pl.Series("income", rng.lognormal(8, 0.5, len(number)).round(0))
    visits = pl.Series("visits", rng.integers(1, 40, len(number)))
    rate = rng.normal(3, 1, (customers, 6)).round(3)  # a contract of six stages, each with its rate
    stage = np.sort([rng.choice(np.arange(1, each), 5, replace=False) for _ in range(customers)], axis=1)
    reached = (number[:, None] % each >= stage[number // each]).sum(axis=1)
    return frame.with_columns(
        income.scatter(rng.permutation(len(number))[: len(number) // 8], None),
        visits.scatter(rng.permutation(len(number))[: len(number) // 8], None),
        pl.Series("rate", rate[number // each, reached]),
        pl.Series("rate before", rate[number // each, np.maximum(reached - 1, 0)]),
        pl.col("spent").shift(1).over("customer", order_by="at").alias("last_spent"),
        (pl.col("at") - pl.duration(seconds=pl.Series(rng.integers(1, 3000, len(number))))).alias(ARRIVED),
    ).head(rows)


def features(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that a side has."""
    return frame.drop("rate before", "rate was", strict=False)


def clean(frame: pl.DataFrame, rng: np.random.Generator) -> Planted:
    """Return two sides that differ in nothing that matters: order, width of types, how text and missing are kept."""
    left = features(frame)
    right = left.sample(fraction=1, shuffle=True, seed=int(rng.integers(2**31))).drop(ARRIVED)
    changes = [
        pl.col("plan").cast(pl.Categorical),
        pl.col("items").cast(pl.Int32),
        pl.col("income").fill_null(float("nan")),
        pl.col("score").alias("prediction"),
        pl.col("at").dt.convert_time_zone("Asia/Kolkata"),
    ]
    chosen = [change for change in changes if rng.random() < 0.5]
    kept = pl.Series(rng.random(right.height) >= rng.choice([0.0, 0.002]))
    return Planted(training=left, serving=right.with_columns(chosen).filter(kept), column="", kind="")


def _changed(frame: pl.DataFrame, column: str, change: pl.Expr, share: float, rng: np.random.Generator) -> pl.DataFrame:
    hit = pl.Series(rng.random(frame.height) < share)
    return frame.with_columns(pl.when(hit).then(change).otherwise(pl.col(column)).alias(column))


def _on_column(column: str, kind: str, change: Callable[[pl.Expr, np.random.Generator], pl.Expr]) -> Plant:
    def plant(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
        right = _changed(rows, column, change(pl.col(column), rng), share, rng)
        return Planted(training=features(rows), serving=features(right), column=column, kind=kind)

    return plant


def _time_zone(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    hours = int(rng.choice([-8, -5, -3, 2, 5, 9]))
    match int(rng.integers(3)):
        case 0:
            plant = _on_column("seen", "time-zone slip", lambda c, _: c + timedelta(hours=hours))
        case 1:
            plant = _on_column("hour", "time-zone slip", lambda c, _: (c + hours + 24) % 24)
        case _:  # the clock of the log itself
            right = features(rows).with_columns(pl.col(TIME) + timedelta(hours=hours))
            return Planted(training=features(rows), serving=right, column=TIME, kind="time-zone slip")
    return plant(rows, share, rng)


def _swap(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    if rng.random() < 0.5:
        order = np.roll(np.arange(6), int(rng.integers(1, 6))).tolist()
        column, change = "channel", pl.col("channel").replace_strict(list(range(6)), order)
    else:
        column, change = "plan", pl.col("plan").replace_strict(PLANS, PLANS[1:] + PLANS[:1])
    right = _changed(rows, column, change, share, rng)
    return Planted(training=features(rows), serving=features(right), column=column, kind="encoding swap")


def _stale(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    # Some replicas serve the rate of the contract's stage before.
    right = _changed(rows, "rate", pl.col("rate before"), max(share, 0.2), rng)
    return Planted(training=features(rows), serving=features(right), column="rate", kind="stale lookup")


def _late(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    """Training was made when all had arrived; serving had to do without."""
    late = pl.Series(rng.random(rows.height) < share / 2)
    arrival = pl.when(late).then(pl.col(TIME) + timedelta(hours=3)).otherwise(pl.col(ARRIVED)).alias(ARRIVED)
    left = features(rows).with_columns(arrival)
    before = pl.col("spent") - pl.Series(rng.gamma(2.0, 5.0, rows.height))
    right = features(rows).with_columns(pl.when(late).then(before).otherwise(pl.col("spent")).alias("spent"))
    return Planted(training=left, serving=right.drop(ARRIVED), column="spent", kind="late data")


def _window(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    # A window is one row short for all rows, whatever the share.
    right = rows.with_columns(pl.col("last_spent").shift(1).over("customer", order_by="at"))
    return Planted(training=features(rows), serving=features(right), column="last_spent", kind="off-by-one window")


def _duplicated(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    right = features(rows)
    again = right.filter(pl.Series(rng.random(right.height) < share))
    return Planted(training=right, serving=pl.concat([right, again]), column="", kind="duplicated rows")


def _missing(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    right = features(rows)
    kept = right.filter(pl.Series(rng.random(right.height) >= share))
    return Planted(training=right, serving=kept, column="", kind="missing rows")


PLANTS: dict[str, Plant] = {
    "time-zone slip": _time_zone,
    "default fill at serving": _on_column(
        "income", "default fill", lambda c, rng: c.fill_null(float(rng.choice([-1, 2980, 999])))
    ),
    "stale lookup": _stale,
    "float32 cast": _on_column("score", "float32 cast", lambda c, _: c.cast(pl.Float32).cast(pl.Float64)),
    "encoding swap": _swap,
    "late data": _late,
    "off-by-one window": _window,
    "unit change": _on_column("distance_km", "unit change", lambda c, rng: c * float(rng.choice([1000, 0.621371]))),
    "truncated strings": _on_column("plan", "truncated text", lambda c, rng: c.str.head(int(rng.integers(4, 8)))),
    "null to zero": _on_column("visits", "null to zero", lambda c, _: c.fill_null(0)),
    "duplicated rows": _duplicated,
    "missing rows": _missing,
}
"""Name to what plants it. A share of the rows has it: that of the replicas that are wrong."""
