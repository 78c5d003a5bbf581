"""Owns the mixed rows that quality benchmarks read: 20 columns of every common type, seeded, with a known shift."""

from pathlib import Path

import numpy as np
import polars as pl

CITIES = np.array(["Berlin", "Paris", "Rome", "Oslo", "Lima", "Cairo", "Tokyo", "Delhi", "Quito", "Perth"])
CITY_SHARES = np.array([0.30, 0.20, 0.12, 0.10, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02])
COUNTRIES = np.array(["DE", "FR", "IT", "US", "GB", "ES", "NL", "SE"])
SHIFTED = ("age", "amount", "city", "feat_a", "is_new", "qty", "score", "total")
"""Columns that `shifted` moves; `total` follows from `qty`."""
_STEP = 500_000
_YEAR_US = 1_767_225_600_000_000
_DAY_US = 86_400 * 10**6


def rows(rng: np.random.Generator, count: int, *, first: int = 0, shifted: bool = False) -> pl.DataFrame:
    """Return `count` rows; with `shifted` seven columns move by hundredths of their spread, the cities by more."""
    by = 1.0 if shifted else 0.0
    shares = CITY_SHARES if not shifted else 0.3 * np.roll(CITY_SHARES, 1) + 0.7 * CITY_SHARES
    created = _YEAR_US + np.sort(rng.integers(0, 90 * _DAY_US, count))
    price, quantity = np.round(rng.gamma(2, 10, count), 2), rng.poisson(3 + 0.05 * by, count).astype(np.int32)
    brands = np.minimum(rng.zipf(1.3, count), 500) - 1
    plain = pl.DataFrame(
        {
            "id": np.arange(first, first + count),
            "user_id": rng.integers(0, 200_000, count),
            "session": rng.integers(0, 1 << 40, count),
            "country": COUNTRIES[rng.integers(0, len(COUNTRIES), count)],
            "city": rng.choice(CITIES, count, p=shares),
            "brand": brands,
            "created": created,
            "updated": created + rng.integers(0, 10**9, count),
            "amount": rng.lognormal(3 + 0.05 * by, 1, count),
            "price": price,
            "qty": quantity,
            "total": np.round(price * quantity, 2),
            "age": rng.normal(40 + 0.5 * by, 12, count).clip(0, 110).astype(np.int16),
            "score": rng.beta(2 + 0.05 * by, 5, count).astype(np.float32),
            "feat_a": rng.standard_normal(count) + 0.02 * by,
            "feat_b": rng.exponential(1, count),
            "is_new": rng.random(count) < 0.3 + 0.005 * by,
            "label": (rng.random(count) < 0.1).astype(np.int8),
        }
    )
    gone = {name: rng.random(count) < share for name, share in (("brand", 0.02), ("amount", 0.01), ("age", 0.03))}
    return plain.with_columns(
        pl.format("s{}", "session").alias("session"),
        pl.format("brand_{}", "brand").alias("brand"),
        pl.format("u{}@example.org", "user_id").alias("email"),
        pl.col("created", "updated").cast(pl.Datetime("us")),
        pl.col("created").cast(pl.Datetime("us")).dt.date().alias("day"),
    ).with_columns(pl.when(~pl.Series(mask)).then(pl.col(name)).alias(name) for name, mask in gone.items())


def write(path: Path, count: int, *, seed: int, shifted: bool = False) -> Path:
    """Write `count` rows as zstd Parquet in row groups of 250,000, holding half a million at a time."""
    import pyarrow.parquet as pq

    rng, writer = np.random.default_rng(seed), None
    for start in range(0, count, _STEP):
        table = rows(rng, min(_STEP, count - start), first=start, shifted=shifted).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=250_000)
    if writer is not None:
        writer.close()
    return path
