"""`penstock pack` of folders that other loaders wrote, and `penstock data advise`, where nothing was run."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.shell import Shell
from tests.resources.test_loader_moved import MOVED


def test_a_folder_of_another_loader_is_packed_under_a_name(empty: Shell):
    told = empty("pack", MOVED / "mds-zstd", "--as", "images/packed@1", "--keep", "i", "--json")
    assert (told.code, told.json["rows"], told.json["shards"]) == (0, 5, 1), told.err
    shown = empty("data", "show", "images/packed@1", "--json").json
    assert {column["name"] for column in shown["columns"]} >= {"s", "jpg", "i"}
    again = empty("pack", MOVED / "mds-zstd", "--as", "images/packed@2", "--keep", "i", "--json")
    assert again.json["digest"] == told.json["digest"]


def test_shards_are_packed_compressed_where_asked_and_told_as_such(empty: Shell, tmp_path):
    table = pa.table({"x": np.arange(40_000) % 9, "y": np.arange(40_000) % 5, "text": ["red", "green"] * 20_000})
    pq.write_table(table, tmp_path / "rows.parquet")
    plain = empty("pack", tmp_path / "rows.parquet", "--as", "rows/packed@1", "--json")
    assert (plain.code, plain.json["codec"]) == (0, None), plain.err  # auto, in a folder
    told = empty("pack", tmp_path / "rows.parquet", "--as", "rows/packed@2", "--codec", "zstd", "--json")
    assert (told.code, told.json["codec"], told.json["plain_bytes"]) == (0, "zstd", plain.json["size_bytes"]), told.err
    assert told.json["size_bytes"] < 0.3 * plain.json["size_bytes"]
    assert "by zstd" in empty("data", "show", "rows/packed@2").out
    assert empty("data", "show", "rows/packed@2", "--json").json["codec"] == "zstd"
    assert empty("data", "verify", "rows/packed@2").code == 0
    assert empty("data", "diff", "rows/packed@1", "rows/packed@2", "--json").json["rows"] == [40_000, 40_000]
    assert empty("data", "pull", "rows/packed@2", tmp_path / "pulled").code == 0
    assert pa.ipc.open_file(tmp_path / "pulled" / "00000.arrow").read_all().num_rows == 40_000
    exported = empty("data", "export", "rows/packed@2", tmp_path / "dvc")
    assert exported.code == 0, exported.err
    assert f"size: {told.json['size_bytes']}" in next((tmp_path / "dvc").glob("*?.dvc")).read_text()
    refused = empty("pack", tmp_path / "rows.parquet", "--as", "rows/packed@3", "--codec", "gzip")
    assert (refused.code, "'gzip'" in refused.err, "Traceback" in refused.err) == (2, True, False)


def test_a_folder_that_is_damaged_is_named_and_nothing_is_stored(empty: Shell, tmp_path):
    (tmp_path / "index.json").write_text('{"version": 2, "shards": [{"version": 2, "format": "csv"}]}')
    refused = empty("pack", tmp_path, "--as", "rows/packed@1")
    assert (refused.code, "format 'csv'" in refused.err, "Traceback" in refused.err) == (1, True, False)
    assert empty("data", "ls", "--json").json == []


def test_advice_is_measured_and_told_in_words_and_as_json(empty: Shell, tmp_path):
    table = pa.table({"x": np.arange(40_000.0), "y": np.random.default_rng(0).random(40_000)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=5_000)

    done = empty("data", "advise", tmp_path / "rows.parquet", "--seconds", "0.3", "--batch-size", "256", "--json")
    assert done.code == 0, done.err
    told = done.json
    assert told["facts"]["shards"] == 8
    assert told["measured"]["orders"]["window"] > 0
    assert {one["what"] for one in told["limits"]} >= {"order window"}
    words = empty("data", "advise", tmp_path / "rows.parquet", "--seconds", "0.3").out
    assert "order window" in words
    assert "of what memory copies" in words


def test_what_cannot_be_measured_is_named(empty: Shell, tmp_path):
    refused = empty("data", "advise", tmp_path / "none.parquet")
    assert (refused.code, "there is no" in refused.err, "Traceback" in refused.err) == (1, True, False)
    (tmp_path / "odd.parquet").write_bytes(b"PAR1 and no more")
    refused = empty("data", "advise", tmp_path / "odd.parquet")
    assert (refused.code, "cannot read" in refused.err, "Traceback" in refused.err) == (1, True, False)
    assert empty("data", "advise", tmp_path, "--seconds", "0").code == 2
