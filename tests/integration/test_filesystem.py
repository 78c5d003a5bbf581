"""Polars, pyarrow, pandas and Great Expectations read real data by penstock:// URLs, on a folder and on S3."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import fsspec
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from resources.storage import refs
from resources.storage.datasets import write_table
from resources.storage.filesystem import PenstockFileSystem
from resources.storage.provenance import Provenance, record
from resources.storage.store import open_store
from tests.integration.shell import NAME, Shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
URL = "penstock://bike_demand/raw@2011"


@pytest.fixture(params=["folder", "s3"])
def hours(request, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pl.DataFrame]:
    """A year of real rides in the store of the settings, as `bike_demand/raw@2011` in shards of 2,000 rows."""
    url = str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3_url")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_STORE", url)
    frame = pl.read_csv(shared_data / "bike_sharing" / "hour.csv").filter(pl.col("yr") == 0)
    store = open_store(url, cache=tmp_path / "other cache")
    ref = write_table(store, frame, scratch=tmp_path / "scratch", rows_per_shard=2_000)
    refs.save(store, "main", ("bike_demand", "raw"), "2011", ref)
    record(store, Provenance(subject=ref.digest, kind="dataset", pipeline="bike_demand", stage="raw", partition="2011"))
    return frame


def test_polars_reads_whole_files_and_scans_lazily(hours: pl.DataFrame):
    first = pl.read_parquet(f"{URL}/00000.parquet", use_pyarrow=True)
    assert_frame_equal(first, hours.head(2_000))

    lazy = pl.scan_pyarrow_dataset(ds.dataset(f"fsspec+{URL}"))
    rides = lazy.filter(pl.col("hr") == 8).select(pl.col("cnt").sum()).collect().item()

    assert rides == hours.filter(pl.col("hr") == 8)["cnt"].sum()
    files = [file.open() for file in fsspec.open_files(f"{URL}/*.parquet")]
    assert_frame_equal(pl.scan_parquet(files).collect(), hours)


def test_pyarrow_reads_columns_of_files_and_of_whole_versions(hours: pl.DataFrame):
    fs = PenstockFileSystem()

    table = pq.read_table(fs._strip_protocol(URL), filesystem=fs, columns=["cnt", "temp"])

    assert_frame_equal(pl.from_arrow(table), hours.select("cnt", "temp"))
    found = ds.dataset(f"fsspec+{URL}").to_table(filter=ds.field("holiday") == 1)
    assert_frame_equal(pl.from_arrow(found), hours.filter(pl.col("holiday") == 1))


def test_pandas_takes_the_store_from_its_storage_options(hours: pl.DataFrame, tmp_path: Path, monkeypatch):
    import os

    import pandas as pd

    options = {"store": os.environ["PENSTOCK_STORE"], "cache": str(tmp_path / "third cache")}
    monkeypatch.delenv("PENSTOCK_STORE")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "elsewhere"))

    frame = pd.read_parquet(URL, columns=["cnt"], storage_options=options)

    assert frame["cnt"].tolist() == hours["cnt"].to_list()


def test_great_expectations_reads_and_judges_a_version(hours: pl.DataFrame):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of its own imports
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        asset = context.data_sources.add_pandas("penstock").add_parquet_asset("raw", path=URL)
        batch = asset.add_batch_definition("whole").get_batch()
        verdict = batch.validate(gx.expectations.ExpectColumnValuesToBeBetween(column="hr", min_value=0, max_value=23))

    assert verdict.success
    assert verdict.result["element_count"] == len(hours)


def test_duckdb_reads_a_version(hours: pl.DataFrame):
    duckdb = pytest.importorskip("duckdb", reason="not here: DuckDB is no dependency of Penstock")
    duckdb.register_filesystem(PenstockFileSystem())

    assert duckdb.sql(f"select sum(cnt) from read_parquet('{URL}/*.parquet')").fetchone()[0] == hours["cnt"].sum()


def test_the_files_of_the_champion_are_read_by_the_name_of_the_pipeline(shell: Shell, monkeypatch):
    for name, value in shell.home.environment().items():
        if name.startswith("PENSTOCK_"):
            monkeypatch.setenv(name, value)
    digest = shell("data", "show", NAME, "--json").json["digest"]
    fs = PenstockFileSystem()

    assert fs.ukey(f"penstock://{NAME}@champion") == fs.ukey(f"{NAME}@") == digest
    assert b"tree" in fs.cat_file(f"penstock://{NAME}@champion/model.txt")
    assert fs.cat_file(f"{NAME}@{digest}/schema.json") == fs.cat_file(f"{digest}/schema.json")
