"""The loader as a hostile user sees it: whatever is given, the rows are right or an error names value and remedy."""

import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.errors import LoaderError
from resources.loader import Loader
from resources.loader.packing import packed, packed_schema
from resources.storage.datasets import put_dataset
from resources.storage.files import put_file
from resources.storage.garbage.guard import deletions
from resources.storage.manifest import Manifest, Shard, Shards
from resources.storage.object_store import ObjectStore
from resources.storage.store import open_store
from tests.resources.disks import lockable_disk, tiny_disk
from tests.resources.loading import ids, rows_of, write_arrow

__all__ = ["lockable_disk", "tiny_disk"]
ORDERS = ("sequential", "run", "window", "exact")


def write(path: Path, *batches: pa.RecordBatch, schema: pa.Schema | None = None) -> Path:
    with pa.ipc.new_file(path, schema or batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


@pytest.mark.parametrize("order", ORDERS)
def test_files_without_a_batch_or_a_row_group_have_no_batches(tmp_path, order):
    schema = pa.schema({"id": pa.int64(), "text": pa.string()})
    arrow = write(tmp_path / "none.arrow", schema=schema)
    pq.ParquetWriter(tmp_path / "none.parquet", schema).close()
    for path in (arrow, tmp_path / "none.parquet"):
        for arguments in ({}, {"drop_last": True}, {"rank": 2, "world_size": 3}):
            loader = Loader(path, 10, order=order, **arguments)
            assert (list(loader.numpy()), len(loader), loader.epoch) == ([], 0, 1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch_size", [1, 1_000_000])
def test_one_row_is_had_by_one_rank(tmp_path, order, batch_size):
    folder = write_arrow(tmp_path / "one", (1,))
    ranks = [Loader(folder, batch_size, order=order, rank=rank, world_size=4) for rank in range(4)]
    assert sorted(ids(rank) for rank in ranks) == [[], [], [], [0]]
    assert ids(Loader(folder, batch_size, order=order)) == [0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_rows_wider_than_the_ring_are_whole(tmp_path, order, batch_size):
    wide = 5 * 2**20
    blobs = [bytes([number]) * (wide + number) for number in range(4)]
    flat = pa.array(np.repeat(np.arange(4, dtype=np.uint8), wide))
    batch = pa.record_batch(
        {
            "id": pa.array(range(4), pa.int64()),
            "blob": pa.array(blobs, pa.binary()),
            "matrix": pa.FixedSizeListArray.from_arrays(flat, wide),
        }
    )
    seen = list[int]()
    for found in Loader(write(tmp_path / "wide.arrow", batch), batch_size, order=order).numpy():
        for place, number in enumerate(found["id"].tolist()):
            assert bytes(found["blob"][place]) == blobs[number]
            assert (found["matrix"][place] == number).all()
            seen.append(number)
    assert sorted(seen) == [0, 1, 2, 3]


def test_a_batch_larger_than_the_dataset_has_all_of_it(tmp_path):
    folder = write_arrow(tmp_path / "few", (5,))
    assert [batch.num_rows for batch in Loader(folder, 2**31 - 1)] == [5]
    assert len(Loader(folder, 2**31 - 1)) == 1


def test_dropping_the_only_step_is_refused(tmp_path):
    folder = write_arrow(tmp_path / "few", (5,))
    with pytest.raises(LoaderError, match=r"batch_size 3 of 2 ranks takes 6 samples a step, .*few has 5: drop_last"):
        Loader(folder, 3, world_size=2, drop_last=True)
    assert len(ids(Loader(folder, 5, drop_last=True))) == 5


def test_a_shard_of_a_stored_dataset_with_another_schema_is_named(tmp_path):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    since = deletions(store)
    first = pa.record_batch({"id": pa.array([1, 2], pa.int64()), "x": pa.array([0.5, 1.5])})
    for name, other, message in (
        (
            "typed",
            pa.record_batch({"id": pa.array([3], pa.int32()), "x": pa.array([2.5])}),
            "has int32 for column 'id'",
        ),
        ("lost", pa.record_batch({"x": pa.array([2.5])}), "lacks column 'id'"),
    ):
        shards = []
        for number, batch in enumerate((first, other)):
            path = write(tmp_path / f"{name}-{number}.arrow", batch)
            shards.append(Shard(file=put_file(store, path), rows=batch.num_rows))
        made = Manifest(schema=first.schema, shards=Shards.of(shards), statistics={}, encoding="arrow")
        ref = put_dataset(store, made, since=since)
        with pytest.raises(LoaderError, match=rf"shard 00001 .*{message}.*all shards of a dataset need one schema"):
            ids(Loader(ref, 10, store=store))


@pytest.mark.parametrize("order", ORDERS)
def test_a_file_that_is_gone_or_has_other_rows_is_named(tmp_path, order):
    folder = write_arrow(tmp_path / "data", (100, 100))
    loaders = [Loader(folder, 10, order=order) for _ in range(2)]
    write(
        folder / "001.arrow.new",
        packed(rows_of(100, 60), packed_schema(rows_of(0, 1).schema, keep=["id"], holed=["holed"])),
    )
    (folder / "001.arrow.new").replace(folder / "001.arrow")
    with pytest.raises(LoaderError, match=r"001\.arrow has 60 rows, 100 were counted: .*load again"):
        ids(loaders[0])
    (folder / "001.arrow").unlink()
    with pytest.raises(LoaderError, match=r"cannot read .*001\.arrow: No such file.*restore the file"):
        ids(loaders[1])


def test_numbers_that_are_none_and_infinite_ones_come_through_bit_by_bit(tmp_path):
    odd = np.array([0x7FF8000000000001, 0xFFF0000000000000, 0x7FF0000000000000, 0x8000000000000000], np.uint64)
    values = pa.Array.from_buffers(pa.float64(), 4, [None, pa.py_buffer(odd)])
    batch = pa.record_batch({"id": pa.array(range(4), pa.int64()), "x": values, "y": values})
    form = packed_schema(batch.schema, keep=["id"])
    for order in ORDERS:
        for found in Loader(write(tmp_path / "odd.arrow", packed(batch, form)), 3, order=order).numpy():
            assert (found["float64"].view(np.uint64) == odd[found["id"]][:, None]).all()
        (tmp_path / "odd.arrow").unlink()


@pytest.mark.parametrize("order", ORDERS)
def test_a_null_within_a_packed_column_is_named_and_a_missing_row_is_masked(tmp_path, order):
    kind = pa.list_(pa.float64(), 2)
    rows = pa.record_batch({"id": pa.array([0, 1, 2]), "m": pa.array([[1.0, 2.0], None, [5.0, 6.0]], kind)})
    for batch in Loader(write(tmp_path / "rows.arrow", rows), 2, order=order).numpy():
        assert np.ma.getmaskarray(batch["m"]).all(axis=1).tolist() == [number == 1 for number in batch["id"].tolist()]
    holed = pa.record_batch({"id": pa.array([0, 1]), "m": pa.array([[1.0, None], [3.0, 4.0]], kind)})
    path = write(tmp_path / "holed.arrow", holed)
    with pytest.raises(LoaderError, match=r"column 'm' of .*holed\.arrow holds a null within a row.*fill the nulls"):
        list(Loader(path, 2, order=order))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["thrid"], "unknown column 'thrid'; did you mean 'third'"),
        (["float46"], "unknown column 'float46'; did you mean 'float64'"),
        (["ID"], "unknown column 'ID'"),
        ([""], "unknown column ''"),
        ([1], "unknown column 1"),
        ([None], "unknown column None"),
        ([["id"]], r"unknown column \['id'\]"),
        ("id", "columns is 'id': give a sequence"),
        ({"id"}, "columns is {'id'}: give a sequence"),
        (7, "columns is 7: give a sequence"),
        (np.array(["id", "text"]), "columns is array"),
    ],
)
def test_columns_that_are_none_are_named_with_the_nearest(tmp_path, columns, message):
    folder = write_arrow(tmp_path / "data", (10,))
    with pytest.raises(LoaderError, match=message):
        Loader(folder, 10, columns=columns)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 3, "world_size": 3}, "rank is 3: give an integer from 0 to 2"),
        ({"rank": -1, "world_size": 3}, "rank is -1: give an integer from 0 to 2"),
        ({"rank": 1}, "rank is 1: give an integer from 0 to 0"),
        ({"rank": 0, "world_size": 0}, "world_size is 0: give an integer from 1"),
        ({"rank": "1", "world_size": 2}, "rank is '1': give an integer from 0 to 1"),
        ({"rank": 0.0}, r"rank is 0\.0: give an integer"),
        ({"world_size": None}, "world_size is None: give an integer from 1"),
        ({"threads": -1}, "threads is -1: give an integer from 0 to 64"),
        ({"threads": True}, "threads is True: give an integer"),
        ({"order": None}, "order is None: choose one of"),
        ({"order": ["run"]}, r"order is \['run'\]: choose one of"),
        ({"epoch": 2**63}, "epoch is 9223372036854775808: give an integer"),
    ],
)
def test_ranks_outside_the_world_and_the_like_are_named(tmp_path, arguments, message):
    folder = write_arrow(tmp_path / "data", (10,))
    with pytest.raises(LoaderError, match=message):
        Loader(folder, 10, **arguments)


def test_what_is_no_state_is_named(tmp_path):
    folder = write_arrow(tmp_path / "data", (10,))
    data = Loader(folder, 10).state().to_bytes()
    for wrong in (data, data.decode(), None, {"epoch": 0}):
        with pytest.raises(LoaderError, match=r"no state of a loader: .*State\.from_bytes"):
            Loader.from_state(folder, wrong, 10)  # pyright: ignore[reportArgumentType]


def test_what_is_no_regular_file_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.arrow")
    with pytest.raises(LoaderError, match=r"pipe\.arrow is no regular file"):
        Loader(tmp_path / "pipe.arrow", 10)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/folder.arrow").mkdir()
    with pytest.raises(LoaderError, match=r"folder\.arrow is no regular file"):
        Loader(tmp_path / "data", 10)


def remote(tmp_path: Path, cache: Path):
    """Return a store behind a network, a cache of its files at `cache`, and a dataset in it of about 2 MiB."""
    from resources.loader.pack import pack

    name = f"memory://{tmp_path.name}"
    table = pa.record_batch({"id": pa.array(range(250_000), pa.int64())})
    path = write(tmp_path / "data.arrow", table)
    ref = pack(path, store=ObjectStore(name, cache=tmp_path / "maker"), scratch=tmp_path / "scratch")
    return ref, ObjectStore(name, cache=cache)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_copies_go_to_the_cache_that_was_asked_for(tmp_path, monkeypatch):
    ref, store = remote(tmp_path, tmp_path / "unused")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_STORE", store.url)
    assert len(ids(Loader(ref, 1_000, cache=tmp_path / "here"))) == 250_000
    until = time.monotonic() + 30  # they are written behind
    while size_of(tmp_path / "here") < 2_000_000 and time.monotonic() < until:
        time.sleep(0.01)
    assert size_of(tmp_path / "here") > 2_000_000
    assert not (tmp_path / "home").exists()
    with pytest.raises(LoaderError, match="a store was given, which has its own"):
        Loader(ref, 1_000, cache=tmp_path / "here", store=store)
    (tmp_path / "file").touch()
    with pytest.raises(LoaderError, match="file', which is no folder"):
        Loader(ref, 1_000, cache=tmp_path / "file")


def test_a_cache_on_a_full_disk_is_done_without(tmp_path, tiny_disk):
    ref, store = remote(tmp_path, tiny_disk / "cache")
    assert sorted(ids(Loader(ref, 1_000, store=store))) == list(range(250_000))


def test_a_cache_on_a_disk_that_cannot_be_written_is_done_without_and_told(tmp_path, lockable_disk, caplog):
    disk, lock = lockable_disk
    lock()
    ref, store = remote(tmp_path, disk / "cache")
    assert sorted(ids(Loader(ref, 1_000, store=store))) == list(range(250_000))
    assert "without being kept in the cache" in caplog.text
