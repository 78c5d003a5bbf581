"""Owns the invented impressions of `synthetic_clicks`: a month of them a file, any number of rows, and their truth.

Whether an impression is clicked is drawn from a logistic formula over what its row shows, so the least log loss that
any model can reach in a month, the Bayes log loss, is known and kept in the file. The formula turns a little from month
to month, and once the devices change; a model that was trained on earlier months is beaten by a later one, and none
gets below the Bayes log loss. Columns are of all kinds that click logs have: counts and times with long
tails, some of them missing, and categories of which few are frequent.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 20250101
FIRST_MONTH = np.datetime64("2025-01")
NEW_APP = 6
"""Months after the first in which the devices change: a fifth of all impressions moves to the app."""
TURN_PER_MONTH = 0.12
"""Radians by which the effect of campaigns and adverts turns a month."""
CHUNK_ROWS = 2**18
"""Rows that are drawn at a time, and of a row group of the file."""
TRUTH = b"penstock.truth"

DEVICES = ("desktop", "mobile", "tablet", "app")
SHARES = ((0.38, 0.36, 0.08, 0.18), (0.29, 0.26, 0.07, 0.38))
"""Of the devices, before and after they change."""
TRAFFIC = (30, 18, 11, 8, 8, 12, 22, 38, 52, 60, 64, 66, 70, 68, 64, 62, 64, 70, 80, 92, 100, 96, 78, 50)
"""Impressions of each hour of the day, to scale."""
SIZES = {"browser": 8, "country": 60, "publisher": 2_000, "campaign": 1_000, "advert": 5_000}
"""Categories of each column; the r-th most frequent is drawn in proportion to 1 / (r + 2)."""
SPREADS = {"browser": 0.2, "country": 0.4, "publisher": 0.6, "campaign": 0.7, "advert": 0.3}
"""Standard deviation of the effects of each column's categories on the logit."""
MISSING = {"account_age_days": 0.12, "recency_h": 0.08, "dwell_s": 0.2}
INTERCEPT = -3.1

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of the rows of a file, losses in nats a row.

    Attributes:
        rows: How many there are.
        clicks: How many of them were clicked.
        bayes_log_loss: Expected log loss of the true probabilities: no model can be expected to have less.
        drawn_log_loss: Their log loss on the clicks that were drawn.
    """

    rows: int
    clicks: int
    bayes_log_loss: float
    drawn_log_loss: float


def write(folder: Path, partition: str, rows: int) -> Path:
    """Write the impressions of a month into `folder` and return the file; the same arguments give the same bytes.

    Args:
        folder: Where the file goes.
        partition: The month, such as `2025-03`.
        rows: How many; memory does not depend on it.
    """
    import pyarrow.parquet as pq

    path = folder / f"{partition}.parquet"
    with pq.ParquetWriter(path, schema(), compression="zstd", compression_level=1) as writer:
        sums = np.zeros(3)
        for batch, probability in _chunks(partition, rows):
            writer.write_batch(batch, row_group_size=CHUNK_ROWS)
            sums += _sums(probability, np.frombuffer(batch.column("clicked").buffers()[1], np.int8))
        clicks, entropy, drawn = sums.tolist()
        truth = Truth(rows=rows, clicks=int(clicks), bayes_log_loss=entropy / rows, drawn_log_loss=drawn / rows)
        writer.add_key_value_metadata({TRUTH.decode(): json.dumps(asdict(truth))})
    return path


def truth_of(path: Path) -> Truth:
    """Return what is known of the rows of a file that `write` wrote."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return Truth(**json.loads(file.metadata.metadata[TRUTH]))


def schema() -> "pa.Schema":
    """Return the schema of the impressions."""
    import pyarrow as pa

    kinds = {
        "impression": pa.int64(),
        "at": pa.timestamp("us", "UTC"),
        "account_age_days": pa.int32(),
        "visits": pa.int32(),
        "clicks_before": pa.int32(),
        "recency_h": pa.float32(),
        "dwell_s": pa.float32(),
        "depth": pa.float32(),
        "price": pa.float32(),
        "quality": pa.float32(),
        "device": pa.string(),
        "browser": pa.string(),
        "country": pa.string(),
        "publisher": pa.string(),
        "campaign": pa.int32(),
        "advert": pa.int32(),
        "clicked": pa.int8(),
    }
    return pa.schema([pa.field(name, kind, nullable=name in MISSING) for name, kind in kinds.items()])


def _chunks(partition: str, rows: int) -> Iterator[tuple["pa.RecordBatch", Floats]]:
    """Yield the rows of a month in the order of time, with the true probability of a click of each."""
    first = np.datetime64(partition, "M")
    month = int((first - FIRST_MONTH).astype(int))
    days = int(((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(int))
    effects = _effects(month)
    for start in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - start)
        rng = np.random.default_rng([SEED, month + 2**20, start])
        hour = _hours((start + np.arange(count) + rng.random(count)) / rows, days)
        numbers, categories = _numbers(rng, count, month), _categories(rng, count, month)
        missing = {name: rng.random(count) < share for name, share in MISSING.items()}
        logit = _logit(hour, numbers, missing, categories, effects)
        probability = 1 / (1 + np.exp(-logit))
        columns = {
            "impression": month * 2**32 + start + np.arange(count),
            "at": first.astype("datetime64[us]").astype(np.int64) + (hour * 3.6e9).astype(np.int64),
            **numbers,
            **categories,
            "clicked": rng.random(count) < probability,
        }
        yield _batch(columns, missing), probability


def _hours(quantiles: Floats, days: int) -> Floats:
    """Return the hours since the month began, up to its last, at which these shares of its impressions were shown."""
    shown = np.cumsum([0, *(TRAFFIC * days)]) / (sum(TRAFFIC) * days)
    return np.minimum(np.interp(quantiles, shown, np.arange(24 * days + 1)), 24 * days - 1e-6)


def _numbers(rng: np.random.Generator, count: int, month: int) -> dict[str, NDArray[Any]]:  # Any: of several types
    visits = np.floor(np.exp(1.2 + 1.1 * rng.standard_normal(count)))
    return {
        "account_age_days": np.floor(rng.exponential(400, count)).astype(np.int32),
        "visits": visits.astype(np.int32),
        "clicks_before": rng.poisson(np.minimum(visits, 200) * 0.08).astype(np.int32),
        "recency_h": rng.exponential(36, count).astype(np.float32).round(1),
        "dwell_s": np.exp(3 + 0.9 * rng.standard_normal(count)).astype(np.float32).round(1),
        "depth": rng.random(count).astype(np.float32).round(3),
        "price": np.exp(0.2 + 0.5 * rng.standard_normal(count) + 0.01 * month).astype(np.float32).round(2),
        "quality": rng.beta(4, 2, count).astype(np.float32).round(3),
    }


def _categories(rng: np.random.Generator, count: int, month: int) -> dict[str, Integers]:
    shares = np.cumsum(SHARES[int(month >= NEW_APP)])
    found = {"device": np.minimum(np.searchsorted(shares, rng.random(count)), len(DEVICES) - 1)}
    for name, size in SIZES.items():
        frequency = np.cumsum(1 / (np.arange(size) + 2))
        found[name] = np.searchsorted(frequency / frequency[-1], rng.random(count), side="left")
    return found


def _effects(month: int) -> dict[str, Floats]:
    """Return the effect of each category on the logit in this month."""
    found = {"device": np.array([-0.1, 0.15, 0.0, 0.3])}
    for number, (name, size) in enumerate(SIZES.items()):
        first, second = SPREADS[name] * np.random.default_rng([SEED, number]).standard_normal((2, size))
        turn = TURN_PER_MONTH * month if name in ("campaign", "advert") else 0.0
        found[name] = np.cos(turn) * first + np.sin(turn) * second
    return found


def _logit(
    hour: Floats,
    numbers: Mapping[str, NDArray[Any]],  # Any: as above
    missing: Mapping[str, NDArray[np.bool_]],
    categories: Mapping[str, Integers],
    effects: Mapping[str, Floats],
) -> Floats:
    """Return the logarithm of the odds of a click, a function of what the row shows and of nothing else."""
    known = {name: values.astype(np.float64) for name, values in numbers.items()}
    evening = np.floor(hour) % 24 >= 18
    age = np.where(missing["account_age_days"], 0.1, -0.25 * np.log1p(known["account_age_days"] / 200))
    recency = np.where(missing["recency_h"], 0.0, 0.5 * np.exp(-known["recency_h"] / 24))
    dwell = np.where(missing["dwell_s"], -0.2, 0.3 * np.tanh((np.log(known["dwell_s"] + 0.1) - 3) / 1.5))
    logit = (
        INTERCEPT + age + recency + dwell + 0.45 * np.log1p(known["clicks_before"]) - 0.12 * np.log1p(known["visits"])
    )
    logit += 0.8 * (known["quality"] - 0.67) - 0.5 * (known["depth"] - 0.5) - 0.4 * np.log(known["price"] + 0.01)
    logit += 0.35 * (evening & (categories["device"] >= 1)) + 0.6 * (known["quality"] > 0.8) * (known["depth"] < 0.2)
    return logit + sum(effects[name][codes] for name, codes in categories.items())


def _batch(
    columns: Mapping[str, NDArray[Any]],  # Any: as above
    missing: Mapping[str, NDArray[np.bool_]],
) -> "pa.RecordBatch":
    import pyarrow as pa

    form = schema()
    arrays: list[pa.Array] = []
    for field in form:
        values = columns[field.name]
        if field.type == pa.string():
            names = DEVICES if field.name == "device" else [f"{field.name[0]}{n}" for n in range(SIZES[field.name])]
            codes = pa.array(values.astype(np.int32))
            arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string())).dictionary_decode())
        else:
            arrays.append(
                pa.array(
                    values.astype(np.int8) if field.name == "clicked" else values, mask=missing.get(field.name)
                ).cast(field.type)
            )
    return pa.RecordBatch.from_arrays(arrays, schema=form)


def _sums(probability: Floats, clicked: NDArray[np.int8]) -> Floats:
    """Return clicks, entropy and log loss of some rows, summed."""
    yes, no = -np.log(probability), -np.log1p(-probability)
    drawn = np.where(clicked == 1, yes, no)
    return np.array([clicked.sum(), (probability * yes + (1 - probability) * no).sum(), drawn.sum()])
