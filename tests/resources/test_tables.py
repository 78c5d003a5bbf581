"""Tables of unknown origin: read lazily and more than once, from every format, without a panic."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from resources.errors import SourceError
from resources.tables import opened_table

ROWS = pl.DataFrame(
    {"id": [1, 2, 3], "at": [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(3)], "x": [1.5, None, -0.0]}
)


def written(path: Path) -> Path:
    writers = {
        "csv": ROWS.write_csv,
        "parquet": ROWS.write_parquet,
        "arrow": ROWS.write_ipc,
        "jsonl": ROWS.write_ndjson,
    }
    writers[path.suffix[1:]](path)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "jsonl"])
def test_every_format_gives_the_same_rows_as_often_as_it_is_asked(tmp_path: Path, suffix: str):
    path = written(tmp_path / f"rows.{suffix}")
    with opened_table(str(path), scratch=tmp_path, times=["at"]) as frame:
        assert frame.collect().equals(ROWS)
        assert frame.filter(pl.col("id") > 1).select("x", "id").collect().rows() == [(None, 2), (-0.0, 3)]
        assert frame.head(2).collect().height == 2
        assert frame.select(pl.len()).collect().item() == 3


def test_a_stream_a_compressed_file_and_a_remote_one_are_read(tmp_path: Path):
    with pa.ipc.new_stream(tmp_path / "stream.arrow", ROWS.to_arrow().schema) as stream:
        stream.write_table(ROWS.to_arrow())
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(written(tmp_path / "rows.csv").read_bytes()))
    with fsspec.open("memory://rows.parquet", "wb") as file:
        file.write(written(tmp_path / "rows.parquet").read_bytes())
    for url in (str(tmp_path / "stream.arrow"), str(packed), "memory://rows.parquet"):
        with opened_table(url, scratch=tmp_path / "scratch", times=["at"]) as frame:
            assert frame.collect().equals(ROWS), url


def test_times_of_a_fixed_offset_are_instants_in_utc(tmp_path: Path):
    times = pa.array([0, 3_600_000_000], pa.int64()).cast(pa.timestamp("us", tz="-02:15"))
    parquet.write_table(pa.table({"at": times}), tmp_path / "rows.parquet")
    with opened_table(str(tmp_path / "rows.parquet"), scratch=tmp_path) as frame:
        assert frame.collect()["at"].to_list() == [datetime(1970, 1, 1, hour, tzinfo=UTC) for hour in (0, 1)]


def test_text_that_is_no_time_names_the_file(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"at": "2024-01-01T00:00:00Z"}\n{"at": "noon"}\n')
    with (
        pytest.raises(SourceError, match=r"rows.jsonl is no jsonl that can be read"),
        opened_table(str(tmp_path / "rows.jsonl"), scratch=tmp_path, times=["at"]) as frame,
    ):
        frame.collect()


def test_a_file_that_breaks_off_is_told_when_it_is_collected(tmp_path: Path):
    path = written(tmp_path / "rows.arrow")

    def cut_short_once_open() -> pl.DataFrame:
        with opened_table(str(path), scratch=tmp_path) as frame:
            path.write_bytes(path.read_bytes()[:200])
            return frame.collect()

    with pytest.raises(SourceError, match="truncated, damaged"):
        cut_short_once_open()


def test_a_name_that_tells_no_format_is_refused(tmp_path: Path):
    with pytest.raises(SourceError, match=r"end its name in .parquet"), opened_table("rows", scratch=tmp_path):
        pass
