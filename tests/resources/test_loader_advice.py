"""The adviser: what each finding leads to, and what it finds in real files."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.errors import LoaderError, StoreError
from resources.loader.advice.facts import facts_of
from resources.loader.advice.measure import examine
from resources.loader.advice.rules import advise, limits
from resources.loader.advice.sample import sample_of
from resources.loader.advice.values import ColumnFacts, Facts, Measured
from resources.loader.pack import pack
from resources.loader.sources import source_of
from resources.storage.datasets import write_table
from resources.storage.store import open_store
from tests.resources.loading import write_arrow
from tests.resources.test_loader_moved import MOVED

COLUMN = ColumnFacts(name="x", share=0.5, nulls=0, is_number=True, is_sorted=False)
FACTS = Facts(
    name="rows",
    kind="parquet",
    files=4,
    shards=400,
    rows=40_000_000,
    size_bytes=4_000_000_000,
    shard_rows=100_000,
    shard_bytes=10_000_000,
    codecs=("snappy",),
    columns=(COLUMN, replace(COLUMN, name="y")),
    window_shards=13,
)
MEASURED = Measured(
    batch_size=4096,
    sample_rows=400_000,
    sample_bytes=40_000_000,
    memcpy_bytes_per_s=10e9,
    cold_bytes_per_s=1e9,
    file_bytes=20_000_000,
    open_s=0.001,
    decode_s=0.18,
    orders={"window": 2e6, "run": 2e6, "sequential": 2e6},
    threads={0: 1.5e6, 1: 2e6},
    packed={"window": 20e6, "run": 40e6, "exact": 5e6},
    spread={},
)
PACKED = replace(FACTS, kind="packed", codecs=())
AS_PACKED = replace(MEASURED, packed={}, decode_s=0.0)


def told(facts: Facts, measured: Measured) -> dict[str, tuple[float | None, str]]:
    return {one.what: (one.gain, f"{one.found} | {one.advice}") for one in advise(facts, measured)}


def test_parquet_is_to_be_packed_with_the_gain_that_was_measured():
    gain, words = told(FACTS, MEASURED)["layout"]
    assert gain == 10
    assert "400 row groups of 100,000 rows, snappy, decoding takes 90% of the time" in words
    assert "20.0 M instead of 2.00 M rows/s" in words


def test_the_largest_gain_comes_first_and_what_gains_no_speed_last():
    nulls = replace(FACTS, columns=(replace(COLUMN, nulls=3), replace(COLUMN, name="y")))
    gains = [one.gain for one in advise(nulls, MEASURED)]
    assert gains[-1] is None
    numbers = [gain for gain in gains if gain is not None]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) > 1


def test_order_exact_costs_the_decoding_of_the_shards_that_do_not_stay_open():
    """13 of 400 stay open (128 MiB), 387 of 45 ms each are decoded for every batch of 4,096."""
    gain, words = told(FACTS, MEASURED)["order exact"]
    assert gain == pytest.approx(5e6 / (4096 / (387 * 0.045)))
    assert "387 of 400 shards again, 45 ms each" in words
    assert "order exact" not in told(replace(FACTS, shards=10), MEASURED)
    assert "order exact" not in told(PACKED, AS_PACKED)


def test_packed_data_that_loads_as_fast_as_it_can_gets_no_advice():
    assert advise(PACKED, AS_PACKED) == []
    (window, disk) = limits(PACKED, AS_PACKED)
    assert "2% of what memory copies: 10.0 GB/s" in window.advice
    assert "20.0 M rows/s at most" in disk.advice


def test_order_and_threads_are_told_where_they_were_faster():
    found = told(PACKED, replace(AS_PACKED, orders={"window": 2e6, "run": 5e6}, threads={1: 2e6, 2: 3e6}))
    assert found["order"][0] == 2.5
    assert found["threads"] == (1.5, "2 copy 3.00 M rows/s in order window | threads=2")
    assert told(PACKED, replace(AS_PACKED, threads={1: 2e6, 2: 2.2e6})) == {}


def test_many_small_files_are_told_by_what_opening_them_takes():
    """12,000 files take 12 s to open, the 40 M rows 20 s to load."""
    gain, words = told(replace(FACTS, files=12_000), MEASURED)["files"]
    assert gain == pytest.approx(32 / 20)
    assert "12,000 files of 333 kB: opening takes 1 ms each, 12 s" in words
    assert "files" not in told(FACTS, MEASURED)


def test_sorted_rows_are_told_by_how_much_the_batches_differ():
    rising = replace(FACTS, columns=(replace(COLUMN, name="ts", is_sorted=True), COLUMN))
    assert "sorted by ts" in told(rising, replace(MEASURED, spread={"run": 30.0, "window": 9.0}))["order of rows"][1]
    assert "order of rows" not in told(rising, replace(MEASURED, spread={"run": 1.1, "window": 0.9}))


def test_wide_columns_dictionaries_nulls_memory_and_disk_are_told():
    columns = (replace(COLUMN, name="image", share=0.93, is_number=False), replace(COLUMN, dictionary_bytes=3_000_000))
    assert "image has 93% of the bytes" in told(replace(FACTS, columns=columns), MEASURED)["columns"][1]
    assert "x take 3.00 MB more" in told(replace(FACTS, columns=columns), MEASURED)["dictionary"][1]
    assert "row groups" in told(replace(FACTS, shard_bytes=2**30, window_shards=2), MEASURED)
    mapped = replace(FACTS, kind="arrow", codecs=())
    assert "disk" in told(mapped, replace(MEASURED, cold_bytes_per_s=1e7))


@pytest.fixture
def table():
    numbers = np.arange(60_000)
    random = np.random.default_rng(1)
    return pa.table(
        {
            "at": pa.array(numbers, pa.int64()).cast(pa.timestamp("us")),
            "x": pa.array(random.random(60_000)),
            "few": pa.array([None if n % 50 == 0 else float(n % 4) for n in numbers.tolist()]),
            "text": pa.array(["t" * 30] * 60_000),
        }
    )


def test_facts_of_parquet_are_those_of_its_footers(tmp_path, table):
    for number in range(2):
        part = table.slice(30_000 * number, 30_000)
        pq.write_table(part, tmp_path / f"{number}.parquet", row_group_size=10_000, compression="zstd")
    source = source_of(tmp_path, None)
    facts = facts_of(source, sample_of(source, most_bytes=2**24))
    assert (facts.kind, facts.files, facts.shards, facts.rows, facts.shard_rows) == ("parquet", 2, 6, 60_000, 10_000)
    assert facts.codecs == ("zstd",)
    columns = {column.name: column for column in facts.columns}
    assert [name for name, column in columns.items() if column.is_sorted] == ["at"]
    assert columns["few"].nulls == 1_200
    assert columns["x"].dictionary_bytes > 0
    assert columns["few"].dictionary_bytes == 0
    assert columns["text"].share == pytest.approx(34 / 58.125, rel=0.01)


def test_examining_measures_everything_and_leaves_nothing_behind(tmp_path, table):
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=10_000)
    source = source_of(tmp_path / "rows.parquet", None)
    facts, measured = examine(source, scratch=tmp_path / "scratch", seconds=0.5, batch_size=512)
    assert facts.rows == 60_000
    assert all(rate > 0 for rate in (*measured.orders.values(), *measured.packed.values(), measured.memcpy_bytes_per_s))
    assert measured.orders.keys() >= {"window"}
    assert measured.packed.keys() == {"window", "run", "exact"}
    assert measured.decode_s > 0
    assert measured.open_s > 0
    assert 0 < measured.file_bytes <= (tmp_path / "rows.parquet").stat().st_size
    assert measured.spread["run"] > 2
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("data", "kind"), [("packed files", "packed"), (MOVED / "mds-zstd", "mds"), (MOVED / "litdata-batch", "litdata")]
)
def test_every_kind_of_data_is_examined(tmp_path, data, kind):
    source = source_of(write_arrow(tmp_path / "rows", (900, 900)) if kind == "packed" else data, None)
    facts, measured = examine(source, scratch=tmp_path / "scratch", seconds=0.2, batch_size=2)
    assert facts.kind == kind
    assert bool(measured.packed) == (kind != "packed")
    assert advise(facts, measured) is not None
    assert limits(facts, measured)


@pytest.mark.parametrize("packs", [True, False])
def test_datasets_of_a_store_are_examined(tmp_path, table, packs):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    ref = write_table(store, table, scratch=tmp_path / "s", rows_per_shard=20_000)
    ref = pack(ref, store=store, scratch=tmp_path / "s") if packs else ref
    facts, measured = examine(source_of(ref, store), scratch=tmp_path / "s", seconds=0.2, batch_size=512)
    assert facts.kind == ("packed" if packs else "parquet")
    assert bool(measured.packed) != packs
    assert facts.codecs == (() if packs else ("zstd",))


def test_holes_in_a_sorted_column_leave_its_measure_a_number(tmp_path):
    values = np.arange(20_000.0)
    values[::3] = np.nan
    pq.write_table(pa.table({"x": values}), tmp_path / "rows.parquet", row_group_size=2_000)
    _, measured = examine(source_of(tmp_path, None), scratch=tmp_path / "s", seconds=0.2, batch_size=100)
    assert np.isfinite(list(measured.spread.values())).all()
    assert measured.spread["run"] > 2


def test_scratch_that_cannot_be_written_is_named(tmp_path, table):
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "file").write_text("no folder")
    source = source_of(tmp_path / "rows.parquet", None)
    with pytest.raises(StoreError, match="PENSTOCK_SCRATCH"):
        examine(source, scratch=tmp_path / "file", seconds=0.1, batch_size=2_000)


def test_data_without_rows_are_named(tmp_path):
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    with pytest.raises(LoaderError, match="no rows: there is nothing to measure"):
        examine(source_of(tmp_path, None), scratch=tmp_path / "s", seconds=0.2, batch_size=2)
