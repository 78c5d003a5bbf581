"""Tables as datasets for the loader: every value and null comes back, in the stored order or that of the table."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from resources.errors import StoreError
from resources.loader import Loader
from resources.loader.packing import packed, packed_schema, unpacked
from resources.loader.shuffled import read_in_order, write_shuffled
from resources.storage.datasets import read_frame, scan, write_table
from resources.storage.manifest import read_manifest
from resources.storage.matrices import NULL_BITS, packed_names
from resources.storage.store import open_store
from resources.storage.verify import verify

START = datetime(2026, 1, 1, tzinfo=UTC)
FLOATS = st.one_of(st.none(), st.floats(width=32), st.just(float("nan")), st.just(-0.0))


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"), cache=tmp_path / "cache")


def table(rows: int, *, holes: bool = True) -> pl.DataFrame:
    """Return rows that know their number, every seventh value missing."""
    numbers = list(range(rows))

    def holed(values: list[float]) -> list[float | None]:
        return [None if holes and place % 7 == 3 else value for place, value in enumerate(values)]

    return pl.DataFrame(
        {
            "at": [START + timedelta(hours=number) for number in numbers],
            "number": pl.Series(numbers, dtype=pl.Int64),
            "half": pl.Series(holed([number / 2 for number in numbers]), dtype=pl.Float64),
            "ratio": pl.Series(
                [float("nan") if number % 5 == 0 else number / 3 for number in numbers], dtype=pl.Float64
            ),
            "narrow": pl.Series(holed([float(number) for number in numbers]), dtype=pl.Float32),
            "low": pl.Series(holed([number / 4 for number in numbers]), dtype=pl.Float32),
            "count": pl.Series(holed(numbers), dtype=pl.Int32),
            "is_even": [number % 2 == 0 for number in numbers],
            "sky": pl.Series(["clear", "mist", None][number % 3] for number in numbers).cast(pl.String),
            "label": pl.Series([number * 2.0 for number in numbers], dtype=pl.Float64),
        }
    )


def stored(store, tmp_path, frame: pl.DataFrame, **more: int):
    return write_shuffled(store, frame, scratch=tmp_path / "scratch", keep=["label", "at"], **more)


@pytest.mark.parametrize("rows", [0, 1, 2, 5000])
def test_every_value_null_and_nan_comes_back_in_the_order_of_the_table(store, tmp_path, rows):
    frame = table(9)[:rows] if rows < 9 else table(rows)
    ref = stored(store, tmp_path, frame)
    assert ref.rows == rows
    assert verify(store, ref.digest).faults == ()
    back = read_in_order(store, ref.digest)
    assert_frame_equal(back.select(frame.columns), frame)
    assert_frame_equal(read_in_order(store, ref.digest, ["half", "number"]), frame.select("half", "number"))


def test_the_stored_order_is_random_and_the_same_for_the_same_rows(store, tmp_path):
    frame = table(5000)
    ref = stored(store, tmp_path, frame)
    numbers = read_frame(store, ref.digest, ["number"])["number"].to_numpy()
    assert sorted(numbers) == list(range(5000))
    assert abs(np.corrcoef(numbers, np.arange(5000))[0, 1]) < 0.05
    split = pl.concat([frame[:1234], frame[1234:]], rechunk=False)
    assert stored(store, tmp_path, split).digest == ref.digest


def test_a_lazy_scan_and_a_batch_of_the_loader_have_the_nulls_too(store, tmp_path):
    frame = table(300)
    digest = stored(store, tmp_path, frame).digest
    lazy = scan(store, digest).select(frame.columns).sort("number").collect()
    assert_frame_equal(lazy, frame)
    batches = [pl.from_arrow(unpacked(batch)) for batch in Loader(digest, 64, store=store)]
    loaded = pl.concat(item for item in batches if isinstance(item, pl.DataFrame)).sort("number")
    assert_frame_equal(loaded.select(frame.columns), frame)
    some = next(iter(Loader(digest, 300, columns=["half", "narrow"], store=store)))
    assert [column.null_count for column in unpacked(some).columns] == [43, 43]


def test_a_matrix_in_numpy_has_nan_for_a_null(store, tmp_path):
    digest = stored(store, tmp_path, table(70)).digest
    batch = next(iter(Loader(digest, 70, columns=["half", "ratio"], store=store).numpy()))
    half = np.asarray(batch["float64"])[:, 0]
    assert half.dtype == np.float64
    assert np.isnan(half).sum() == 10


@pytest.mark.parametrize("holes", [False, True])
def test_the_schema_is_a_function_of_that_of_the_table_alone(store, tmp_path, holes):
    digests = [stored(store, tmp_path, frame).digest for frame in (table(9)[:0], table(9), table(500, holes=holes))]
    schemas = [read_manifest(store, digest).schema for digest in digests]
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    assert packed_names(schemas[0]) == {"float64": ["half", "ratio"], "float32": ["narrow", "low"]}


def test_many_shards_hold_each_row_once_whatever_room_for_nulls_a_column_has(store, tmp_path):
    frame = table(20_000)
    ref = stored(store, tmp_path, frame, shard_bytes=2**17)
    made = read_manifest(store, ref.digest)
    assert len(made.shards) > 3
    assert max(made.shards.sizes_bytes) < 2 * 2**17
    assert_frame_equal(read_in_order(store, ref.digest).select(frame.columns), frame)
    roomy = frame.with_columns(pl.when(pl.lit(True)).then(pl.col("number")).alias("number"))
    assert stored(store, tmp_path, roomy, shard_bytes=2**17).digest == ref.digest


def test_the_manifest_has_nulls_and_ranges_of_all_columns_by_name(store, tmp_path):
    ref = stored(store, tmp_path, table(70))
    plain = write_table(store, table(70), scratch=tmp_path / "scratch")
    found, before = (read_manifest(store, digest).statistics for digest in (ref.digest, plain.digest))
    told = ("at", "number", "half", "narrow", "count", "label")
    assert {name: found[name] for name in told} == {name: before[name] for name in told}
    assert found["sky"].nulls == before["sky"].nulls


def test_what_was_not_permuted_is_read_as_it_lies(store, tmp_path):
    frame = table(50)
    ref = write_table(store, frame, scratch=tmp_path / "scratch")
    assert_frame_equal(read_in_order(store, ref.digest), frame)


def test_a_scratch_folder_that_cannot_be_made_is_named(store, tmp_path):
    (tmp_path / "scratch").write_text("a file")
    with pytest.raises(StoreError, match=r"PENSTOCK_SCRATCH"):
        stored(store, tmp_path, table(5))


@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=20))
def test_nulls_of_floats_lie_in_a_matrix_beside_any_other_value(rows):
    for kind in (pa.float32(), pa.float64()):
        columns = [pa.array([row[place] for row in rows], kind) for place in (0, 1)]
        batch = pa.record_batch(columns, names=["a", "b"])
        back = unpacked(packed(batch, packed_schema(batch.schema, nan_nulls=True)))
        for column, expected in zip(back.columns, batch.columns, strict=True):
            assert column.is_null().equals(expected.is_null())
            assert str(column) == str(expected)


@pytest.mark.parametrize(("kind", "bits"), [(np.float32, np.uint32), (np.float64, np.uint64)])
def test_a_nan_that_looks_like_a_null_stays_a_nan(kind, bits):
    odd = np.array([NULL_BITS[np.dtype(kind).itemsize]], bits).view(kind)
    column = pa.Array.from_buffers(pa.from_numpy_dtype(kind), 1, [None, pa.py_buffer(odd)])
    batch = pa.record_batch([column, column], names=["a", "b"])
    back = unpacked(packed(batch, packed_schema(batch.schema, nan_nulls=True)))
    assert back.column(0).null_count == 0
    assert str(back.column(0)[0]) == "nan"
