from pathlib import Path

import polars as pl
import pytest

from resources.errors import ObjectMissing
from resources.storage.comparison import diff
from resources.storage.datasets import write_table
from resources.storage.files import put_bytes
from resources.storage.folder import FolderStore
from resources.storage.manifest import read_manifest
from resources.storage.objects import put_object
from resources.storage.verify import verify
from resources.storage.versions import encode_bundle, shard_name, version


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def written(store: FolderStore, tmp_path: Path, frame: pl.DataFrame) -> str:
    return write_table(store, frame, scratch=tmp_path / "scratch", rows_per_shard=100).digest


def bundle(store: FolderStore, **files: bytes) -> str:
    return put_object(store, encode_bundle({name: put_bytes(store, data) for name, data in files.items()}))


def test_equal_versions_differ_in_nothing(store, tmp_path):
    digest = written(store, tmp_path, pl.DataFrame({"n": range(300)}))

    found = diff(store, digest, digest)

    assert (found.files.shared, found.files.added, found.files.removed, found.columns) == (3, 0, 0, ())


def test_appended_rows_share_the_shards_before_them(store, tmp_path):
    before = written(store, tmp_path, pl.DataFrame({"n": range(300)}))
    after = written(store, tmp_path, pl.DataFrame({"n": range(350)}))

    found = diff(store, before, after)

    assert found.rows == (300, 350)
    assert (found.files.shared, found.files.added, found.files.removed) == (3, 1, 0)
    assert found.files.added_bytes == found.size_bytes[1] - found.size_bytes[0]
    (column,) = found.columns
    assert (column.name, column.types) == ("n", ("int64", "int64"))
    assert [side.high for side in column.statistics if side] == [299, 349]


def test_added_removed_and_retyped_columns_are_told(store, tmp_path):
    before = written(store, tmp_path, pl.DataFrame({"a": [1], "b": [1], "same": [1.5]}))
    after = written(store, tmp_path, pl.DataFrame({"a": ["1"], "c": [1], "same": [1.5]}))

    found = {column.name: column.types for column in diff(store, before, after).columns}

    assert found == {"a": ("int64", "string"), "b": ("int64", None), "c": (None, "int64")}


def test_a_shard_that_is_there_twice_counts_twice(store, tmp_path):
    once = written(store, tmp_path, pl.DataFrame({"n": [7] * 100}))
    twice = written(store, tmp_path, pl.DataFrame({"n": [7] * 200}))

    found = diff(store, once, twice).files

    assert (found.shared, found.added, found.removed) == (1, 1, 0)


def test_files_of_models_are_told_by_name(store):
    before, after = bundle(store, a=b"1", b=b"2", c=b"3"), bundle(store, a=b"1", b=b"other", d=b"4")

    assert diff(store, before, after).named == (("b", "changed"), ("c", "removed"), ("d", "added"))


def test_a_dataset_and_a_model_cannot_be_compared(store, tmp_path):
    with pytest.raises(ObjectMissing, match="name two datasets or two models"):
        diff(store, written(store, tmp_path, pl.DataFrame({"n": [1]})), bundle(store, a=b"1"))


def test_the_files_of_a_dataset_have_names_in_row_order(store, tmp_path):
    digest = written(store, tmp_path, pl.DataFrame({"n": range(300)}))

    found = version(store, digest)

    assert list(found.files) == ["00000.parquet", "00001.parquet", "00002.parquet"]
    assert [found.files[shard_name(number)] for number in range(3)] == list(read_manifest(store, digest).shards.files)
    for wrong in ("00003.parquet", "0.parquet", "000000.parquet", "x", "00000.PARQUET", "\u0660.parquet"):
        assert wrong not in found.files


@pytest.mark.parametrize(
    ("values", "nulls", "low", "high"),
    [
        ([3, None, 1], 1, 1, 3),
        ([0.5, float("nan"), -0.0], 0, 0.0, 0.5),
        ([float("inf"), 1.0], 0, 1.0, None),
        (["b", "a", None], 1, "a", "b"),
        (["x" * 65, "a"], 0, "a", None),
        ([True, False], 0, False, True),
        ([None, None], 2, None, None),
        ([b"raw"], 0, None, None),
    ],
)
def test_the_manifest_tells_nulls_and_range_of_a_column(store, tmp_path, values, nulls, low, high):
    frame = pl.DataFrame({"v": pl.Series(values, dtype=pl.Int64 if values == [None, None] else None)})

    found = read_manifest(store, written(store, tmp_path, frame)).statistics["v"]

    assert (found.nulls, found.low, found.high) == (nulls, low, high)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (pl.Date, "1970-01-02", "1970-01-04"),
        (pl.Datetime("us", "UTC"), "1970-01-01 00:00:00.000001Z", "1970-01-01 00:00:00.000003Z"),
        (pl.Datetime("ns"), "1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.000000003"),
        (pl.Time, "00:00:00.000000001", "00:00:00.000000003"),
        (pl.UInt64, 1, 3),
    ],
)
def test_clocks_and_dates_are_texts_and_the_ranges_span_all_shards(store, tmp_path, kind, low, high):
    frame = pl.DataFrame({"v": pl.Series([1] * 150 + [3] * 150).cast(kind), "list": [[1]] * 300})

    found = read_manifest(store, written(store, tmp_path, frame)).statistics

    assert (found["v"].low, found["v"].high) == (low, high)
    assert "list" not in found


def test_a_whole_version_has_no_faults_and_a_damaged_one_says_where(store, tmp_path):
    data = bytes(range(256)) * (9 * 2**20 // 256)
    digest = bundle(store, big=data, small=b"1")
    assert verify(store, digest).faults == ()
    assert verify(store, digest).read_bytes == len(data) + 1
    files = version(store, digest).files

    store.put(files["big"].key, data[:-1] + b"?")
    store.delete(files["small"].key)

    big, small = verify(store, digest).faults
    assert (big.name, big.why.partition(": ")[2]) == ("big", "chunk 2 of 3 is wrong")
    assert (small.name, small.why) == ("small", "it is missing")
    assert [fault.name for fault in verify(store, digest, depth="sizes").faults] == ["small"]
    assert verify(store, digest, depth="manifest").faults == ()


def test_a_missing_or_altered_manifest_is_a_fault(store, tmp_path):
    digest = written(store, tmp_path, pl.DataFrame({"n": [1]}))
    store.put(f"objects/{digest[:2]}/{digest}", b"a lie")

    for name in (digest, "ab" * 32):
        (fault,) = verify(store, name).faults
        assert fault.name == "manifest"
