"""Owns the made-up data of the verdicts benchmark: days of orders of a shop, their customers, features as served.

What makes tests cry wolf is all there: fewer orders and other shares at week-ends, a level of each day that moves on
from that of the day before, prices with heavy tails, rare categories, columns that hardly vary. Everything is a pure
function of seed, day and rows.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

START = datetime(2024, 2, 5, tzinfo=UTC)
"""A Monday; four weeks later the days of the month may be taken for months."""
WEEK = 7
COUNTRIES = ("DE", "US", "FR", "BR", "CH", "PL", "AT", "PT", "IS", "MT")
_COUNTRY_SHARES = np.array([0.3, 0.25, 0.15, 0.1, 0.08, 0.06, 0.035, 0.02, 0.004, 0.001])
CITIES = (
    ("Köln", "Berlin", "München"), ("Boston", "Austin", "Chicago"), ("Orléans", "Paris", "Lyon"),
    ("São Paulo", "Rio", "Brasília"), ("Zürich", "Genève", "Bern"), ("Łódź", "Gdańsk", "Warszawa"),
    ("Graz", "Wien", "Linz"), ("Lisboa", "Porto", "Faro"), ("Reykjavík", "Akureyri", "Selfoss"),
    ("Valletta", "Mosta", "Mdina"),
)  # fmt: skip
KINDS = ("book", "toy", "garden", "kitchen", "sport", "audio", "shoes", "coat", "lamp", "chair", "piano", "boat")
_KIND_SHARES = 0.72 ** np.arange(len(KINDS))
PAYMENTS = ("card", "invoice", "wallet", "transfer", "voucher")
_PAYMENT_SHARES = np.array([0.5, 0.25, 0.15, 0.095, 0.005])
CHANNELS = ("web", "app", "store")
NOTES = ("gift wrap please", "leave it with the neighbour", "ring twice", "no plastic", "call before delivery")
FIRST_ID = 2**60
_HOURS = np.array([2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 9, 9, 9, 8, 8, 8, 9, 10, 11, 12, 11, 9, 6, 4], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One world: a seed and the usual number of orders a day."""

    seed: int
    rows: int

    @property
    def customers(self) -> pl.Series:
        """Keys of all customers."""
        return pl.Series("customer_id", range(10_000_000, 10_000_000 + max(200, self.rows // 5)))


def day_start(day: int) -> datetime:
    """Return the midnight with which a day begins."""
    return START + timedelta(days=day)


def orders(shop: Shop, day: int, *, draw: int = 0) -> pl.DataFrame:
    """Return the orders of one day in the order in which they were made; each `draw` is another such day."""
    rng = np.random.default_rng([shop.seed, day, 1, draw])
    weekend = day % WEEK >= 5
    level = _levels(shop.seed, day)
    rows = max(50, round(shop.rows * (0.7 if weekend else 1.0) * np.exp(0.03 * rng.standard_normal())))
    seconds, times = _clocks(rng, rows, day)
    columns: dict[str, object] = {
        "order_id": FIRST_ID + np.int64(day) * 2**32 + np.arange(rows) * 7,
        "event_time": times,
        **_who(rng, shop, rows, weekend=weekend),
    }
    kind = rng.choice(len(KINDS), rows, p=_KIND_SHARES / _KIND_SHARES.sum())
    price = np.round(np.exp(2.0 + 0.3 * kind + 0.02 * level[0] + 0.5 * rng.standard_normal(rows)), 2)
    quantity = 1 + rng.poisson(0.8, rows)
    discount = np.where(rng.random(rows) < 0.3, np.round(rng.beta(2, 6, rows), 2), 0.0)
    shipping = pl.Series(np.round(3 + 4 * rng.random(rows) + 0.05 * price, 2))
    weight = np.exp(-1 + 0.25 * kind + 0.6 * rng.standard_normal(rows))
    rating = pl.Series(rng.choice(5, rows, p=[0.05, 0.08, 0.17, 0.3, 0.4]) + 1)
    columns |= {
        "kind": np.array(KINDS)[kind],
        "sku": np.char.add(np.char.add(np.array(KINDS)[kind].astype("U2"), "-"), _digits(rng, rows, 5)),
        "unit_price": price,
        "quantity": quantity,
        "discount": discount,
        "shipping": _with_nulls(rng, shipping, 0.15),
        "total": np.round(price * quantity * (1 - discount), 2),
        "points": np.round(2 * price * quantity).astype(np.int64),
        "weight_kg": weight,
        "rating": _with_nulls(rng, rating, 0.4),
        "is_gift": rng.random(rows) < 0.12,
        "session_s": np.round(rng.exponential(240, rows), 3),
        "temperature": 10
        + 3 * level[1]
        + 5 * np.sin((seconds / 3600 - 9) / 24 * 2 * np.pi)
        + rng.standard_normal(rows),
        "stock": np.round(500 + 40 * level[2] + np.cumsum(rng.standard_normal(rows)) * (900 / rows) ** 0.5, 1),
        "note": _with_nulls(rng, pl.Series(np.array(NOTES)[rng.integers(0, len(NOTES), rows)]), 0.6),
    }
    delay = np.exp(2.5 + 0.8 * rng.standard_normal(rows))
    columns["arrival_time"] = _microseconds(times.to_numpy().astype("int64") + (delay * 1e6).astype(np.int64))
    risk = -1.2 + 0.9 * (discount > 0.2) + 0.5 * np.log(price / 20) - 0.35 * (quantity - 1.8)
    risk = risk + 0.8 * (np.asarray(columns["channel"]) == "web") + 0.06 * level[0]
    chance = 1 / (1 + np.exp(-1.6 * risk))
    columns["returned"] = rng.random(rows) < chance
    guess = 1.6 * risk + 0.4 * rng.standard_normal(rows)
    columns["prediction"] = 1 / (1 + np.exp(-guess))
    columns["champion"] = 1 / (1 + np.exp(-(1.6 * risk + 0.4 * rng.standard_normal(rows))))
    return pl.DataFrame(columns)


def features(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the features that training computes of orders, one row an order."""
    by_customer = pl.col("unit_price").rolling_mean(3, min_samples=1).over("customer_id", order_by="event_time")
    return frame.select(
        "order_id",
        "event_time",
        hour=pl.col("event_time").dt.hour().cast(pl.Int64),
        log_price=pl.col("unit_price").log(),
        price_trend=by_customer / pl.col("unit_price").mean(),
        shipping="shipping",
        shipping_share=(pl.col("shipping") / pl.col("total")).fill_null(-1.0),
        quantity="quantity",
        weight_kg="weight_kg",
        kind_code=pl.col("kind").replace_strict(list(KINDS), list(range(len(KINDS))), return_dtype=pl.Int64),
        city="city",
        is_gift="is_gift",
    )


def served(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return features as a server logs them: a tenth of the rows, in no order, sums added up in another order."""
    logged = frame.sample(fraction=1.0, shuffle=True, seed=int(rng.integers(2**31)))
    kept = logged.head(max(min(logged.height, 500), logged.height // 10))
    return kept.with_columns(pl.col("log_price", "price_trend") * (1 + 2.0**-52))


def _levels(seed: int, day: int) -> Floats:
    """Return three levels of the day, each moving on from that of the day before: AR(1) with 0.7, variance 1."""
    steps = np.random.default_rng([seed, 2]).standard_normal((60 + day + 1, 3))
    level = np.zeros(3)
    for step in steps:
        level = 0.7 * level + (1 - 0.7**2) ** 0.5 * step
    return level


def _clocks(rng: np.random.Generator, rows: int, day: int) -> tuple[Floats, pl.Series]:
    hour = rng.choice(24, rows, p=_HOURS / _HOURS.sum())
    seconds = np.sort(hour * 3600 + rng.random(rows) * 3600)
    start = int(day_start(day).timestamp())
    return seconds, _microseconds(start * 1_000_000 + (seconds * 1e6).astype(np.int64))


def _microseconds(values: NDArray[np.int64]) -> pl.Series:
    return pl.Series(values).cast(pl.Datetime("us", "UTC"))


def _who(rng: np.random.Generator, shop: Shop, rows: int, *, weekend: bool) -> dict[str, object]:
    country = rng.choice(len(COUNTRIES), rows, p=_COUNTRY_SHARES / _COUNTRY_SHARES.sum())
    payment = rng.choice(len(PAYMENTS), rows, p=_PAYMENT_SHARES)
    channel = rng.choice(len(CHANNELS), rows, p=[0.3, 0.4, 0.3] if weekend else [0.5, 0.35, 0.15])
    customers = len(shop.customers)
    customer = 10_000_000 + (customers * rng.random(rows) ** 2).astype(np.int64)
    return {
        "customer_id": customer,
        "email": pl.select(pl.format("c{}@example.org", pl.Series(customer))).to_series(),
        "country": np.array(COUNTRIES)[country],
        "city": np.array(CITIES)[country, rng.choice(3, rows, p=[0.5, 0.3, 0.2])],
        "postcode": np.char.zfill(((country * 9_000 + rng.integers(0, 9_000, rows)) % 100_000).astype(str), 5),
        "payment": np.array(PAYMENTS)[payment],
        "channel": np.array(CHANNELS)[channel],
        "status": 100 + 100 * rng.choice(4, rows, p=[0.55, 0.3, 0.1, 0.05]),
    }


def _digits(rng: np.random.Generator, rows: int, width: int) -> NDArray[np.str_]:
    return np.char.zfill(rng.integers(0, 10**width // 20, rows).astype(str), width)


def _with_nulls(rng: np.random.Generator, values: pl.Series, share: float) -> pl.Series:
    lost = pl.Series(rng.random(len(values)) < share)
    return pl.select(pl.when(~lost).then(values)).to_series()
