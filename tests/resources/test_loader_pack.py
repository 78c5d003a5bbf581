"""Packing: the same rows in an order that is random and always the same, under their names for every reader."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import LoaderError, StoreError
from resources.loader import Loader
from resources.loader.columns import arrow, fixed, matrix
from resources.loader.fill import fill_of
from resources.loader.pack import pack
from resources.loader.packing import packed, packed_schema, unpacked
from resources.loader.shard_file import write_shard
from resources.storage.datasets import read_frame, scan, write_table
from resources.storage.manifest import read_manifest
from resources.storage.store import open_store
from resources.storage.verify import verify
from tests.resources.loading import ids, rows_of, write_parquet

TYPES = st.sampled_from(
    [
        pa.int8(),
        pa.uint64(),
        pa.float16(),
        pa.float32(),
        pa.timestamp("ns"),
        pa.date32(),
        pa.time64("us"),
        pa.duration("ms"),
        pa.binary(3),
        pa.list_(pa.int16(), 3),
        pa.list_(pa.list_(pa.float64(), 2), 2),
        pa.fixed_shape_tensor(pa.int32(), (2, 2)),
    ]
)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"), cache=tmp_path / "cache")


@given(kind=TYPES, rows=st.integers(0, 40), cut=st.integers(0, 10), holes=st.booleans(), seed=st.integers(0, 99))
def test_columns_of_fixed_width_become_matrices_and_back(kind, rows, cut, holes, seed):
    layout = fixed(kind)
    assert layout is not None
    bytes_of = np.random.default_rng(seed).integers(0, 2, rows * layout.row_bytes, np.uint8)
    values = bytes_of.view(layout.dtype).reshape(rows, *layout.shape)
    valid = np.arange(rows) % 3 != 0 if holes else None
    array = arrow(values, valid, kind, layout).slice(min(cut, rows))
    array.validate()
    back, known = matrix(array, layout)
    assert back.tobytes() == values[min(cut, rows) :].tobytes()
    assert (None if known is None else known.tolist()) == (
        None if valid is None or valid[min(cut, rows) :].all() else valid[min(cut, rows) :].tolist()
    )
    assert arrow(back, known, kind, layout).equals(array)


@given(first=st.integers(0, 50), rows=st.integers(0, 70))
def test_packed_columns_come_back_by_their_names(first, rows):
    batch = rows_of(first, rows)
    schema = packed_schema(batch.schema, holed=["holed"])
    back = unpacked(packed(batch, schema))
    assert sorted(back.schema.names) == sorted(batch.schema.names)
    assert all(back.column(name).equals(batch.column(name)) for name in batch.schema.names)


def test_a_null_in_a_column_that_is_packed_is_named():
    batch = pa.record_batch({"a": pa.array([1.0, None]), "b": pa.array([1.0, 2.0])})
    with pytest.raises(ValueError, match="a"):
        packed(batch, packed_schema(batch.schema))


@pytest.mark.parametrize("rows", [64, 640, 4096])
def test_numbers_of_a_shard_lie_at_multiples_of_64_bytes(tmp_path, rows):
    batch = rows_of(0, rows)
    form = packed_schema(batch.schema, holed=["holed"])
    write_shard(tmp_path / "shard.arrow", packed(batch, form))
    data = pa.py_buffer((tmp_path / "shard.arrow").read_bytes())
    read = pa.ipc.open_file(data).get_batch(0)
    numbers = [read.column(field.name) for field in form if fixed(field.type) and field.name != "holed"]
    assert [column.buffers()[-1].address % 64 - data.address % 64 for column in numbers] == [0] * len(numbers)
    assert read.equals(packed(batch, form))


def test_packing_gives_the_same_rows_in_an_order_that_is_random(tmp_path, store):
    files = write_parquet(tmp_path / "files", (4_000, 2_500), group_rows=900)
    ref = pack(files, store=store, scratch=tmp_path / "scratch", keep=["id"], shard_bytes=2**19)
    made = read_manifest(store, ref.digest)
    assert made.encoding == "arrow"
    assert sum(made.shards.rows) == ref.rows == 6_500
    assert len(made.shards) > 10
    assert all(rows % 64 == 0 for rows in made.shards.rows[:-1])
    frame = read_frame(store, ref.digest)
    assert sorted(frame["id"]) == list(range(6_500))
    expected = pl.DataFrame(pa.Table.from_batches([rows_of(0, 6_500).drop_columns(["tensor"])]))
    assert frame.sort("id").select(expected.columns).equals(expected)
    means = frame["id"].to_numpy()[:6_400].reshape(-1, 64).mean(axis=1)
    assert 0.7 < means.std() / (6_500 / np.sqrt(12 * 64)) < 1.3
    assert verify(store, ref.digest).faults == ()


def test_the_same_data_seed_and_columns_give_the_same_version(tmp_path, store):
    table = pa.Table.from_batches([rows_of(0, 900).drop_columns(["tensor"])])
    raw = write_table(store, table, scratch=tmp_path / "scratch", rows_per_shard=400)
    versions = [
        pack(raw, store=store, scratch=tmp_path / "scratch", seed=seed, keep=keep).digest
        for seed, keep in ((0, ()), (0, ()), (1, ()), (0, ("half",)))
    ]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def test_what_was_packed_is_loaded_by_its_names_and_scanned(tmp_path, store):
    table = pa.Table.from_batches([rows_of(0, 900).drop_columns(["tensor"])])
    ref = pack(write_table(store, table, scratch=tmp_path / "s"), store=store, scratch=tmp_path / "s", keep=["id"])
    loader = Loader(ref, 50, store=store, order="run", columns=["id", "third"])
    assert loader.schema.names == ["float64", "id"]
    for batch in loader.numpy():
        assert np.array_equal(batch["float64"][:, 0], batch["id"] / 3)
    assert scan(store, ref.digest).select(pl.col("third").sum()).collect().item() == pytest.approx(sum(range(900)) / 3)
    statistics = read_manifest(store, ref.digest).statistics
    assert (statistics["id"].low, statistics["id"].high) == (0, 899)
    assert statistics["holed"].nulls == 129


def test_packing_what_is_packed_keeps_the_rows(tmp_path, store):
    table = pa.Table.from_batches([rows_of(0, 300).drop_columns(["tensor"])])
    once = pack(write_table(store, table, scratch=tmp_path / "s"), store=store, scratch=tmp_path / "s")
    twice = pack(once, store=store, scratch=tmp_path / "s")
    assert sorted(read_frame(store, twice.digest)["id"]) == list(range(300))


def test_an_empty_dataset_is_packed_to_one_shard_without_rows(tmp_path, store):
    raw = write_table(store, pa.table({"a": pa.array([], pa.int64())}), scratch=tmp_path / "s")
    ref = pack(raw, store=store, scratch=tmp_path / "s")
    assert ref.rows == 0
    assert read_frame(store, ref.digest).is_empty()
    assert ids(Loader(ref, 5, store=store)) == []


def test_a_column_to_keep_that_does_not_exist_is_named(tmp_path, store):
    files = write_parquet(tmp_path / "files", (10,), group_rows=10)
    with pytest.raises(LoaderError, match="keep: unknown column 'idd'; did you mean 'id'"):
        pack(files, store=store, scratch=tmp_path / "s", keep=["idd"])


def test_scratch_that_cannot_be_written_is_an_error_and_nothing_is_left(tmp_path, store):
    files = write_parquet(tmp_path / "files", (10,), group_rows=10)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="PENSTOCK_SCRATCH"):
        pack(files, store=store, scratch=tmp_path / "file")
    pack(files, store=store, scratch=tmp_path / "s")
    assert list((tmp_path / "s").iterdir()) == []


def holed_rows() -> pa.Table:
    return pa.table(
        {
            "a": pa.array([1.0, None, 3.0], pa.float64()),
            "b": pa.array([None, 2.0, 3.0], pa.float64()),
            "half": pa.array([None, 2.0, 3.0], pa.float32()),
            "n": pa.array([1, None, 3], pa.int8()),
            "text": pa.array(["x", None, "z"]),
        }
    )


def packed_holed(store, tmp_path, value, keep=("half", "n")):
    pl.DataFrame(holed_rows()).write_parquet(tmp_path / "holed.parquet")
    return pack(tmp_path / "holed.parquet", store=store, scratch=tmp_path / "scratch", keep=keep, fill_null=value)


@pytest.mark.parametrize(("value", "expected"), [(float("nan"), "nan"), (-1, "-1.0"), (0.5, "0.5")])
def test_nulls_of_numbers_are_filled_where_asked_so_that_these_are_packed(store, tmp_path, value, expected):
    digest = packed_holed(store, tmp_path, value).digest
    made = read_manifest(store, digest)
    assert made.schema.names[0] == "float64"
    assert made.statistics["a"].nulls == 0
    assert made.statistics["half"].nulls == made.statistics["text"].nulls == made.statistics["n"].nulls == 1
    back = read_frame(store, digest)
    assert sorted(map(str, back["a"])) == sorted(["1.0", "3.0", expected])
    assert back["text"].null_count() == 1


@pytest.mark.parametrize(
    ("value", "keep", "column"),
    [
        (float("nan"), (), "n"),
        (0.5, (), "n"),
        (300, (), "n"),
        (float("inf"), (), "n"),
        (1e300, ("n",), "half"),
    ],
)
def test_a_value_that_a_column_has_no_place_for_is_refused_by_name(store, tmp_path, value, keep, column):
    with pytest.raises(LoaderError, match=rf"fill_null is .*'{column}'.*keep the column out"):
        packed_holed(store, tmp_path, value, keep)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("text", ["", "none", "1,5", "0x10"])
def test_a_text_that_is_no_number_fills_nothing(text):
    with pytest.raises(LoaderError, match="give a number, or nan"):
        fill_of(text)
