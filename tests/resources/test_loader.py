"""The loader: each row once, the same for any ranks and threads, resumed anywhere, unchanged under its reader."""

import subprocess
import sys
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import IntegrityError, LoaderError, ObjectMissing
from resources.loader import Loader, State, views
from resources.loader.packing import unpacked
from resources.loader.ragged import Ragged
from resources.storage.datasets import write_table
from resources.storage.store import open_store
from tests.resources.loading import ids, rows_of, write_arrow, write_parquet

ORDERS = ("sequential", "run", "window", "exact")
ROWS = (500, 301, 64, 0, 1, 777)
TOTAL = sum(ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_arrow(tmp_path_factory.mktemp("loader") / "arrow", ROWS)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch_size", [1, 7, 64, 5_000])
def test_all_values_of_a_row_stay_together(folder, order, batch_size):
    seen = list[int]()
    for batch in Loader(folder, batch_size, order=order, seed=4):
        plain = unpacked(batch)
        numbers = plain.column("id").to_pylist()
        assert plain.num_rows <= batch_size
        assert (
            plain.to_pylist()
            == pa.Table.from_batches([rows_of(n, 1) for n in numbers]).select(plain.schema.names).to_pylist()
        )
        seen += numbers
    assert sorted(seen) == list(range(TOTAL))


@pytest.mark.parametrize("order", ORDERS)
def test_parquet_gives_the_same_rows(tmp_path, order):
    files = write_parquet(tmp_path / "parquet", (400, 250), group_rows=90)
    seen = list[int]()
    for batch in Loader(files, 33, order=order):
        assert (
            batch.to_pylist()
            == pa.Table.from_batches([rows_of(n, 1) for n in batch["id"].to_pylist()])
            .select(batch.schema.names)
            .to_pylist()
        )
        seen += batch["id"].to_pylist()
    assert sorted(seen) == list(range(650))


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_is_the_same_for_any_number_of_threads_and_ranks(folder, order):
    def loader(**arguments):
        return Loader(folder, 10, order=order, seed=9, columns=["id"], **arguments)

    alone = ids(loader(threads=0))
    assert all(ids(loader(threads=threads)) == alone for threads in range(1, 9))
    for world_size in range(1, 9):
        ranks = [loader(rank=rank, world_size=world_size) for rank in range(world_size)]
        steps = zip_longest(*(list(one.numpy()) for one in ranks), fillvalue={"id": np.empty(0)})
        dealt = [number for step in steps for batch in step for number in batch["id"].tolist()]
        assert dealt == alone, world_size


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.sampled_from(ORDERS),
    share=st.floats(0, 1),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    worlds=st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_going_on_with_another_world_loses_and_repeats_nothing(folder, order, share, sizes, worlds):
    (before, after), (size, new_size) = worlds, sizes
    alone = ids(Loader(folder, 50, order=order, columns=["id"], threads=0))
    steps = int(share * (TOTAL // (size * before)))
    ranks = [
        Loader(folder, size, order=order, columns=["id"], rank=rank, world_size=before, threads=0)
        for rank in range(before)
    ]
    had = [list(islice(rank.numpy(), steps)) for rank in ranks]
    first = [number for step in zip(*had, strict=True) for batch in step for number in batch["id"].tolist()]
    (state,) = {rank.state() for rank in ranks}
    others = [
        Loader.from_state(folder, state, new_size, columns=["id"], rank=rank, world_size=after, threads=0)
        for rank in range(after)
    ]
    rest = sorted(number for one in others for number in ids(one))
    assert first == alone[: len(first)]
    assert rest == sorted(alone[len(first) :])


@pytest.mark.parametrize("order", ORDERS)
def test_resuming_at_any_point_gives_what_would_have_come(folder, order):
    whole = [batch["id"].tolist() for batch in Loader(folder, 13, order=order, seed=2, columns=["id"]).numpy()]
    for had in range(len(whole)):
        loader = Loader(folder, 13, order=order, seed=2, columns=["id"], threads=0)
        for _ in islice(loader, had):
            pass
        state = State.from_bytes(loader.state().to_bytes())
        resumed = Loader.from_state(folder, state, 13, columns=["id"], threads=had % 3)
        assert [batch["id"].tolist() for batch in resumed.numpy()] == whole[had:]


def test_a_loop_that_was_left_goes_on_and_the_next_one_is_another_epoch(folder):
    loader = Loader(folder, 100, columns=["id"], seed=1)
    first = [batch["id"].tolist() for batch in islice(loader.numpy(), 3)]
    rest = [batch["id"].tolist() for batch in loader.numpy()]
    assert sorted(chain(*first, *rest)) == list(range(TOTAL))
    assert loader.epoch == 1
    again = ids(loader)
    assert sorted(again) == list(range(TOTAL))
    assert again != list(chain(*first, *rest))
    assert again == ids(Loader(folder, 7, columns=["id"], seed=1, epoch=1))


def test_dropping_the_last_step_gives_every_rank_as_many_whole_batches(folder):
    ranks = [Loader(folder, 100, columns=["id"], rank=rank, world_size=3, drop_last=True) for rank in range(3)]
    assert [len(rank) for rank in ranks] == [5, 5, 5]
    had = [[len(batch["id"]) for batch in rank.numpy()] for rank in ranks]
    assert had == [[100] * 5] * 3


def test_the_last_step_is_dealt_evenly(folder):
    ranks = [Loader(folder, 100, columns=["id"], rank=rank, world_size=3) for rank in range(3)]
    last = [[len(batch["id"]) for batch in rank.numpy()][5:] for rank in ranks]
    assert sum(sum(sizes) for sizes in last) == TOTAL - 1500
    assert max(map(sum, last)) - min(map(sum, last)) <= 1
    assert [len(Loader(folder, 100, rank=rank, world_size=3)) for rank in range(3)] == [6, 6, 6]


@pytest.mark.parametrize("copy", [False, True])
def test_batches_that_are_held_never_change(folder, copy):
    def shown(batch):
        return {name: repr(values.values if isinstance(values, Ragged) else values) for name, values in batch.items()}

    held = [(batch, shown(batch)) for batch in islice(Loader(folder, 16, copy=copy, seed=5).numpy(), 60)]
    assert all(shown(batch) == before for batch, before in held)


def test_memory_is_used_again_where_nobody_holds_batches(folder):
    loader = Loader(folder, 16, columns=["id"])
    for _ in range(5):
        for _ in loader:
            pass
    assert loader.stats().slabs_replaced == 0


def test_memory_is_bounded_where_row_groups_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "DECODED_BYTES", 3 * 2**20)
    values = pa.table({"id": np.arange(2_000_000)})
    pq.write_table(values, tmp_path / "many.parquet", row_group_size=50_000, compression="none")
    del values
    before, most = pa.total_allocated_bytes(), 0
    for _ in Loader(tmp_path / "many.parquet", 1_000, order="run"):
        most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < 8 * 2**20


def test_columns_are_matrices_texts_ragged_and_nulls_masked(folder):
    batch = next(iter(Loader(folder, 100, order="sequential").numpy()))
    assert batch["float64"].shape == (100, 2)
    assert batch["float64"][6].tolist() == [3.0, 2.0]
    assert batch["tensor"].shape == (100, 2, 3)
    assert batch["at"].dtype == np.dtype("datetime64[us]")
    assert bytes(batch["text"][2]) == b"penstock"
    assert batch["list"][4].tolist() == [0, 1, 2, 3]
    assert batch["even"].tolist() == [True, False] * 50
    assert batch["holed"].mask.tolist() == [number % 7 == 0 for number in range(100)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dataset", ["folder", "mixture"])
def test_long_values_are_the_same_where_they_lie_end_to_end_and_as_arrow(folder, order, dataset):
    given = folder if dataset == "folder" else {folder: 1.0, str(folder): 2.0}
    expected = [value for batch in Loader(given, 100, columns=["long"], order=order) for value in batch["long"]]
    loader, at = Loader(given, 100, columns=["long"], order=order, copy=order == "run"), 0
    for batch in loader.numpy():
        values = batch["long"]
        assert [bytes(row) for row in values] == [value.as_py() for value in expected[at : at + len(values)]]
        assert b"".join(map(bytes, values.parts)) == values.values.tobytes()
        assert len(values.values) == values.offsets[-1]
        at += len(values)
    assert at == len(expected)


@pytest.mark.parametrize(("order", "size"), [("sequential", 100), ("run", 64)])
def test_values_that_follow_each_other_in_a_file_are_not_copied(tmp_path, order, size):
    folder = write_arrow(tmp_path / "arrow", [640])
    arrow = next(iter(Loader(folder, size, columns=["long"], order=order)))["long"]
    again = next(iter(Loader(folder, size, columns=["long"], order=order, copy=True)))["long"]
    assert arrow.equals(again)
    assert arrow.buffers()[2].size > again.buffers()[2].size  # it is the whole shard's


def test_numbers_lie_in_aligned_memory_that_dlpack_hands_on(folder):
    batch = next(iter(Loader(folder, 64).numpy()))
    assert batch["float64"].ctypes.data % 64 == 0
    assert np.shares_memory(np.from_dlpack(batch["float64"]), batch["float64"])


def test_columns_packed_in_a_matrix_are_chosen_by_their_names(folder):
    loader = Loader(folder, 50, columns=["third", "text"], order="exact")
    assert loader.schema.names == ["float64", "text"]
    for batch in loader:
        plain = unpacked(batch)
        assert plain.schema.names == ["third", "text"]
        assert plain.column("third").type == pa.float64()


def test_a_dataset_of_the_store_is_read_by_reference_digest_and_name(tmp_path, monkeypatch):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    table = pa.Table.from_batches([rows_of(0, 900).drop_columns(["tensor"])])
    ref = write_table(store, table, scratch=tmp_path / "scratch", rows_per_shard=400)
    by_ref = ids(Loader(ref, 64, store=store, columns=["id"]))
    assert sorted(by_ref) == list(range(900))
    assert ids(Loader(ref.digest, 64, store=store, columns=["id"])) == by_ref
    assert ids(Loader(f"penstock://{ref.digest}", 64, store=store, columns=["id"])) == by_ref
    assert Loader(ref, 64, store=store).state().root == ref.digest


def test_an_altered_shard_of_the_store_is_never_loaded(tmp_path):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    ref = write_table(store, pa.table({"id": range(100)}), scratch=tmp_path / "scratch")
    for file in (tmp_path / "store/files").rglob("*"):
        if file.is_file():
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.chmod(0o644)
            file.write_bytes(data)
    with pytest.raises(IntegrityError, match="was altered"):
        ids(Loader(ref, 10, store=store))


def test_a_missing_dataset_is_named(tmp_path):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    with pytest.raises(ObjectMissing):
        Loader("0" * 64, 10, store=store)


def test_an_empty_dataset_has_no_batches(tmp_path):
    folder = write_arrow(tmp_path / "empty", (0, 0))
    for order in ORDERS:
        loader = Loader(folder, 10, order=order)
        assert list(loader) == []
        assert len(loader) == 0
        assert loader.epoch == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0: give an integer from 1"),
        ({"seed": -1}, "seed is -1: give an integer from 0"),
        ({"rank": 2, "world_size": 2}, "rank is 2: give an integer from 0 to 1"),
        ({"order": "shuffled"}, "order is 'shuffled': choose one of sequential, run, window, exact"),
        ({"columns": ["idd"]}, "unknown column 'idd'; did you mean 'id'"),
        ({"columns": []}, "columns is \\[\\]: give a sequence of at least one name"),
        ({"columns": ["id", "id"]}, "column 'id' is named twice"),
        ({"threads": 1_000}, "threads is 1000: give an integer from 0 to 64"),
    ],
)
def test_arguments_out_of_range_are_named(folder, arguments, message):
    with pytest.raises(LoaderError, match=message):
        Loader(folder, **{"batch_size": 10, **arguments})


def test_files_of_another_schema_are_named(tmp_path):
    folder = write_arrow(tmp_path / "mixed", (10,))
    with pa.ipc.new_file(folder / "other.arrow", pa.schema({"id": pa.int32()})) as writer:
        writer.write_batch(pa.record_batch({"id": pa.array([1], pa.int32())}))
    with pytest.raises(LoaderError, match=r"other.arrow (lacks|has) .*: all files of a dataset need one schema"):
        Loader(folder, 10)


@pytest.mark.parametrize("data", [b"", b"ARROW1\0\0", b"PAR1", b"id,label\n1,2\n", b"ARROW1" + bytes(200)])
def test_a_file_of_another_kind_or_cut_is_named(tmp_path, data):
    (tmp_path / "bad.arrow").write_bytes(data)
    with pytest.raises(LoaderError, match=r"bad\.arrow"):
        Loader(tmp_path / "bad.arrow", 10)


def test_a_file_cut_after_it_was_counted_is_named(tmp_path):
    folder = write_arrow(tmp_path / "cut", (100, 100))
    loader = Loader(folder, 10, order="sequential")
    (folder / "001.arrow").write_bytes((folder / "001.arrow").read_bytes()[:200])
    with pytest.raises(LoaderError, match=r"001\.arrow"):
        ids(loader)


def test_what_is_no_dataset_is_named(tmp_path):
    with pytest.raises(LoaderError, match="there is no"):
        Loader(tmp_path / "nothing", 10)
    with pytest.raises(LoaderError, match="holds no file that ends in"):
        Loader(tmp_path, 10)
    with pytest.raises(LoaderError, match="no dataset: 3 of type int"):
        Loader(3, 10)  # pyright: ignore[reportArgumentType]
    with pytest.raises(LoaderError, match="no files were given"):
        Loader([], 10)


def test_a_state_of_another_dataset_or_none_at_all_is_refused(folder, tmp_path):
    state = Loader(folder, 10).state()
    assert len(state.to_bytes()) < 200
    other = write_arrow(tmp_path / "other", (5,))
    with pytest.raises(LoaderError, match="give the version that it was taken from"):
        Loader.from_state(other, state, 10)
    with pytest.raises(LoaderError, match="order comes from the state"):
        Loader.from_state(folder, state, 10, order="run")
    for data in (
        b"",
        b"{}",
        b"[]",
        state.to_bytes().replace(b'"e":0', b'"e":-1'),
        state.to_bytes().replace(b"window", b"wild"),
    ):
        with pytest.raises(LoaderError, match="state"):
            State.from_bytes(data)


def test_the_largest_state_has_under_200_bytes():
    largest = State(root="f" * 64, order="sequential", seed=2**63 - 1, epoch=2**63 - 1, position=2**63 - 1)
    assert len(largest.to_bytes()) < 200


def test_importing_the_loader_loads_neither_torch_nor_pandas_nor_dagster(folder):
    code = f"""
import sys
from resources.loader import Loader
for batch in Loader({str(folder)!r}, 64).numpy():
    pass
heavy = {{"torch", "pandas", "dagster", "polars", "jax", "PIL", "sklearn", "pyarrow.dataset"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
