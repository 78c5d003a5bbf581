"""Owns the data of the quality benchmarks: orders of a shop, 20 columns of mixed types, the same at every call."""

from pathlib import Path
from typing import Any

PART_ROWS = 250_000
CITIES = ("Aarhus", "Bergen", "Cork", "Dijon", "Esbjerg", "Faro", "Ghent", "Haarlem", "Imola", "Jaca")
COUNTRIES = ("AT", "BE", "CH", "DK", "FI", "GR", "HU", "IE")
COLUMNS = (
    "order", "customer", "token", "country", "city", "maker", "address", "placed", "shipped", "day",
    "weight", "price", "pieces", "total", "years", "rating", "score", "delay", "gift", "returned",
)  # fmt: skip


def write(file: Path, rows: int) -> None:
    """Write `rows` orders in row groups of 250,000, with a few defects in every part."""
    import pyarrow.parquet as pq

    writer = None
    for start in range(0, rows, PART_ROWS):
        table = part(start, min(PART_ROWS, rows - start))
        writer = writer or pq.ParquetWriter(file, table.schema, compression="snappy")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def part(start: int, rows: int) -> Any:  # Any: pyarrow is imported by the processes that need it
    """Return the orders from number `start` on."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(start)
    customers = random.integers(0, 200_000, rows)
    placed = 1_700_000_000_000_000 + start * 1_000_000 + np.sort(random.integers(0, rows * 1_000_000, rows))
    makers = np.minimum(random.zipf(1.4, rows), 400)
    addresses = np.char.add(np.char.add("c", customers.astype("U7")), "@shop.example")
    addresses[random.random(rows) < 1e-5] = "unknown"
    countries = np.array(COUNTRIES)[random.integers(0, len(COUNTRIES), rows)]
    countries[random.random(rows) < 5e-6] = "??"
    weight = random.lognormal(0, 1, rows)
    weight[random.random(rows) < 1e-5] = -1
    years = np.clip(random.normal(45, 14, rows), 0, 110).astype("int16")
    years[random.random(rows) < 4e-6] = 300
    pieces = random.poisson(2, rows).astype("int32")
    price = np.round(random.gamma(2, 10, rows), 2)

    def some(values: Any, share: float) -> Any:
        return pa.array(values, mask=random.random(rows) < share)

    columns = {
        "order": pa.array(np.arange(start, start + rows)),
        "customer": pa.array(customers),
        "token": pa.array(np.char.mod("%010x", random.integers(0, 2**40, rows))),
        "country": pa.array(countries),
        "city": pa.array(np.array(CITIES)[random.integers(0, len(CITIES), rows)]),
        "maker": some(np.char.mod("maker %d", makers), 0.02),
        "address": pa.array(addresses),
        "placed": pa.array(placed, pa.timestamp("us")),
        "shipped": pa.array(placed + random.integers(0, 10**10, rows), pa.timestamp("us")),
        "day": pa.array((placed // 86_400_000_000).astype("int32"), pa.date32()),
        "weight": some(weight, 0.01),
        "price": pa.array(price),
        "pieces": pa.array(pieces),
        "total": pa.array(np.round(price * pieces, 2)),
        "years": some(years, 0.03),
        "rating": pa.array(random.beta(2, 5, rows).astype("float32")),
        "score": pa.array(random.standard_normal(rows)),
        "delay": pa.array(random.exponential(1, rows)),
        "gift": pa.array(random.random(rows) < 0.3),
        "returned": pa.array((random.random(rows) < 0.1).astype("int8")),
    }
    return pa.table({name: columns[name] for name in COLUMNS})


def suite() -> list[dict[str, Any]]:
    """Return 42 expectations about it, in Great Expectations' own JSON."""
    present = ("order", "customer", "token", "country", "placed", "price", "pieces", "returned")
    mostly = {"maker": 0.95, "weight": 0.98, "years": 0.95}
    ranges = {
        "customer": (0, 200_000), "weight": (0, 1e9), "years": (0, 120), "rating": (0, 1), "pieces": (0, 100),
        "price": (0, 1_000), "returned": (0, 1), "score": (-10, 10), "delay": (0, 100),
    }  # fmt: skip
    return [
        _expect("table_columns_to_match_ordered_list", column_list=list(COLUMNS)),
        _expect("table_row_count_to_be_between", min_value=1_000, max_value=10**9),
        _expect("table_column_count_to_equal", value=20),
        *(_expect("column_values_to_not_be_null", column=name) for name in present),
        *(_expect("column_values_to_not_be_null", column=name, mostly=share) for name, share in mostly.items()),
        _expect("column_values_to_be_unique", column="order"),
        *(_expect("column_values_to_be_between", column=c, min_value=a, max_value=b) for c, (a, b) in ranges.items()),
        _expect("column_values_to_be_in_set", column="country", value_set=list(COUNTRIES)),
        _expect("column_values_to_be_in_set", column="city", value_set=list(CITIES)),
        _expect("column_values_to_be_in_set", column="returned", value_set=[0, 1]),
        _expect("column_values_to_match_regex", column="address", regex=r"^c\d+@shop\.example$", mostly=0.9),
        _expect("column_values_to_match_regex", column="token", regex=r"^[0-9a-f]{10}$"),
        _expect("column_value_lengths_to_equal", column="token", value=10),
        _expect("column_mean_to_be_between", column="weight", min_value=1, max_value=3),
        _expect("column_mean_to_be_between", column="score", min_value=-0.1, max_value=0.1),
        _expect("column_mean_to_be_between", column="years", min_value=35, max_value=55),
        _expect("column_stdev_to_be_between", column="score", min_value=0.9, max_value=1.1),
        _expect("column_median_to_be_between", column="price", min_value=10, max_value=25),
        _expect(
            "column_quantile_values_to_be_between",
            column="delay",
            quantile_ranges={"quantiles": [0.1, 0.5, 0.9], "value_ranges": [[0, 1], [0, 2], [1, 4]]},
        ),
        _expect("column_unique_value_count_to_be_between", column="city", min_value=10, max_value=10),
        _expect("column_unique_value_count_to_be_between", column="maker", min_value=300, max_value=500),
        _expect("column_pair_values_a_to_be_greater_than_b", column_A="shipped", column_B="placed", or_equal=True),
        _expect("column_min_to_be_between", column="pieces", min_value=0, max_value=0),
        _expect("column_max_to_be_between", column="price", min_value=50, max_value=1_000),
        _expect("column_sum_to_be_between", column="pieces", min_value=1, max_value=10**10),
    ]


def _expect(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs}
