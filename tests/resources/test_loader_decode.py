"""Decoded columns: every value in its row, whatever ranks, threads, processes and resumes; what is broken is named."""

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import LoaderError
from resources.loader import Loader, State
from resources.loader.decoding.decoder import Decoder
from tests.resources.decoders import BROKEN, FAULT, KILL, SHAPE, decoder, flat, write_numbers
from tests.resources.loading import ids

ROWS = 300
ORDERS = ("sequential", "run", "window", "exact")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return write_numbers(tmp_path_factory.mktemp("decode") / "numbers.arrow", rows=ROWS)


def seen(loader: Loader) -> list[int]:
    """Return the ids that are left, after a look whether each array holds the number of its row."""
    found = list[int]()
    for batch in loader.numpy():
        assert batch["data"].shape == (len(batch["id"]), *SHAPE)
        assert (batch["data"] == batch["id"][:, None, None]).all()
        found += batch["id"].tolist()
    return found


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("threads", [None, 0, 1, 5])
def test_each_array_is_of_its_row_in_the_order_without_decoding(numbers, order, threads):
    plain = ids(Loader(numbers, 16, order=order, seed=3))
    assert seen(Loader(numbers, 16, order=order, seed=3, decode={"data": decoder()}, threads=threads)) == plain


@given(
    order=st.sampled_from(ORDERS),
    had=st.integers(0, 20),
    world=st.integers(1, 8),
    size=st.integers(1, 40),
    copy=st.booleans(),
)
def test_ranks_that_go_on_decode_what_is_left(numbers, order, had, world, size, copy):
    first = Loader(numbers, 13, order=order, decode={"data": decoder()}, threads=0)
    before = [number for batch in islice(first.numpy(), had) for number in batch["id"].tolist()]
    state = State.from_bytes(first.state().to_bytes())
    assert state.root == Loader(numbers, 13).state().root
    ranks = [
        Loader.from_state(
            numbers, state, size, rank=rank, world_size=world, copy=copy, decode={"data": decoder()}, threads=rank % 2
        )
        for rank in range(world)
    ]
    rest = [] if len(before) == ROWS else [number for rank in ranks for number in seen(rank)]
    assert sorted(before + rest) == list(range(ROWS))


def test_the_schema_is_that_of_a_tensor_and_arrow_gives_the_same_values(numbers):
    loader = Loader(numbers, 50, decode={"data": decoder()}, order="sequential")
    assert loader.schema.field("data").type == pa.fixed_shape_tensor(pa.int32(), SHAPE)
    batch = next(iter(loader))
    assert batch.schema == loader.schema
    assert (
        batch["data"].to_numpy_ndarray().tolist() == np.broadcast_to(np.arange(50)[:, None, None], (50, 2, 3)).tolist()
    )


@pytest.mark.parametrize("form", ["arrow", "numpy"])
def test_batches_that_are_held_never_change(numbers, form):
    loader = Loader(numbers, 4, decode={"data": decoder()}, threads=3)
    held = list(loader if form == "arrow" else loader.numpy())
    for batch in held:
        rows, data = batch["id"], batch["data"]
        values = data.to_numpy_ndarray() if form == "arrow" else data
        assert (values == np.array(rows.to_pylist() if form == "arrow" else rows)[:, None, None]).all()


def test_at_most_a_few_batches_are_decoded_ahead(numbers):
    done = list[int]()

    def counted(data):
        done.append(1)
        return np.zeros(40_000, np.int32)

    wide = {"data": Decoder(function=counted, shape=(40_000,), dtype="int32")}
    loader = iter(Loader(numbers, 20, decode=wide, threads=1))
    next(loader)
    time.sleep(0.3)
    assert len(done) <= 20 * 4
    loader.close()


def test_a_mixture_is_decoded_and_its_broken_rows_are_named(tmp_path):
    one = write_numbers(tmp_path / "one.arrow", rows=90)
    two = write_numbers(tmp_path / "two.arrow", {17: BROKEN}, rows=40)
    mixed = Loader({one: 0.5, two: 0.5}, 8, decode={"data": decoder(broken="zeros")})
    for batch in mixed.numpy():
        whole = batch["data"] == batch["id"][:, None, None]
        assert (whole.all(axis=(1, 2)) | (batch["id"] == 17)).all()
    with pytest.raises(LoaderError, match=r"column 'data' of row 17 of .*two\.arrow cannot be decoded"):
        list(Loader({one: 0.5, two: 0.5}, 8, decode={"data": decoder()}))


@pytest.mark.parametrize("order", ORDERS)
def test_a_broken_value_is_named_by_row_and_shard(tmp_path, order):
    files = [write_numbers(tmp_path / f"{n}.arrow", {41: BROKEN} if n == 1 else None, rows=60) for n in range(3)]
    loader = Loader(files, 7, order=order, decode={"data": decoder()})
    with pytest.raises(
        LoaderError,
        match=r"column 'data' of row 41 of .*1\.arrow cannot be decoded: ValueError: no number; mend the row",
    ):
        list(loader)


@pytest.mark.parametrize("threads", [0, 2])
def test_broken_values_become_nulls_or_zeros_where_that_was_declared(tmp_path, threads):
    file = write_numbers(tmp_path / "some.arrow", {3: BROKEN, 5: None}, rows=9)

    def whole(broken):
        loader = Loader(file, 9, order="sequential", decode={"data": decoder(broken=broken)}, threads=threads)
        (batch,) = list(loader.numpy())
        assert loader.stats().broken_rows == 1
        assert loader.schema.field("data").nullable == (broken == "null")
        return batch["data"]

    lost = whole("null")
    assert lost.mask.all(axis=(1, 2)).tolist() == [row in (3, 5) for row in range(9)]
    assert lost[8].tolist() == np.full(SHAPE, 8).tolist()
    zeros = whole("zeros")
    assert zeros[:, 0, 0].tolist() == [0, 1, 2, 0, 4, 0, 6, 7, 8]


def test_a_null_stays_null_where_broken_values_are_errors(tmp_path):
    file = write_numbers(tmp_path / "null.arrow", {2: None}, rows=4)
    (batch,) = list(Loader(file, 4, order="sequential", decode={"data": decoder()}))
    assert batch["data"].is_null().to_pylist() == [False, False, True, False]


@pytest.mark.parametrize("broken", ["raise", "null", "zeros"])
def test_a_fault_of_the_decoder_is_never_taken_for_a_broken_value(tmp_path, numbers, broken):
    file = write_numbers(tmp_path / "fault.arrow", {2: FAULT}, rows=4)
    with pytest.raises(
        LoaderError, match=r"of row 2 of .*the decoder failed with KeyError: 'a mistake' \(.*line \d+\)"
    ):
        list(Loader(file, 4, decode={"data": decoder(broken=broken)}))
    with pytest.raises(LoaderError, match=r"returned shape \(6,\) and type int32, it declares shape \(2, 3\)"):
        list(Loader(numbers, 4, decode={"data": decoder(flat, broken=broken)}))


def test_time_in_decoding_is_told(numbers):
    loader = Loader(numbers, 10, decode={"data": decoder()})
    assert seen(loader)
    assert loader.stats().decoded_s > 0
    assert Loader(numbers, 10).stats().decoded_s == 0


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        ({"dat": decoder()}, "decode: unknown column 'dat'; did you mean 'data'"),
        ({"id": decoder()}, "decode: column 'id' is of type int64: only binaries and texts are decoded"),
        ([decoder()], r"decode is \[.*: give a mapping of columns to decoders"),
        ({"data": len}, "decode: 'data' has <built-in function len>: give a Decoder"),
    ],
)
def test_columns_that_cannot_be_decoded_are_named(numbers, decode, message):
    with pytest.raises(LoaderError, match=message):
        Loader(numbers, 10, decode=decode)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": ()}, r"shape of a decoder is \(\)"),
        ({"shape": (3, 0)}, r"shape of a decoder is \(3, 0\)"),
        ({"shape": (2**20, 2**20)}, "at most 1 GiB a row"),
        ({"dtype": "object"}, "dtype of a decoder is 'object'"),
        ({"dtype": "photo"}, "dtype of a decoder is 'photo'"),
        ({"dtype": None}, "dtype of a decoder is None"),
        ({"dtype": ">i4"}, "dtype of a decoder is '>i4'"),
        ({"function": 3}, "function of a decoder is 3"),
        ({"broken": "skip"}, "broken of a decoder is 'skip': choose one of raise, null, zeros"),
        ({"function": lambda data: data, "pure_python": True}, "define the function at the top of a module"),
    ],
)
def test_a_decoder_that_fits_no_batch_is_refused(arguments, message):
    with pytest.raises(LoaderError, match=message):
        Decoder(**{"function": flat, "shape": (6,), "dtype": "int32", **arguments})


def test_processes_decode_the_same_and_end_with_their_loader(numbers):
    before = set(psutil.Process().children(recursive=True))
    loader = Loader(numbers, 32, decode={"data": decoder(pure_python=True)}, threads=2)
    assert sorted(seen(loader)) == list(range(ROWS))
    assert seen(loader) == ids(Loader(numbers, 32, epoch=1))
    workers = [one for one in psutil.Process().children(recursive=True) if one not in before and _decodes(one)]
    assert len(workers) == 2
    del loader
    assert not psutil.wait_procs(workers, timeout=60)[1]


def test_a_value_that_kills_its_process_is_an_error_after_whole_batches(tmp_path):
    file = write_numbers(tmp_path / "kill.arrow", {40: KILL}, rows=60)
    loader = Loader(file, 10, order="sequential", decode={"data": decoder(pure_python=True)}, threads=1)
    had = list[int]()
    for _ in range(2):
        with pytest.raises(LoaderError, match=r"a process that decodes column 'data' was killed or ended by itself"):
            had.extend(number for batch in loader.numpy() for number in batch["id"].tolist())
        assert loader.state().position == len(had)
    assert had == list(range(len(had)))


def test_a_process_that_was_killed_is_replaced_in_the_next_loop(numbers):
    loader = Loader(numbers, 10, order="sequential", decode={"data": decoder(pure_python=True)}, threads=2)
    had = [number for batch in islice(loader.numpy(), 2) for number in batch["id"].tolist()]
    for worker in filter(_decodes, psutil.Process().children(recursive=True)):
        worker.kill()
    with pytest.raises(LoaderError, match="was killed or ended by itself"):
        had.extend(number for batch in loader.numpy() for number in batch["id"].tolist())
    assert had + seen(loader) == list(range(ROWS))


def test_processes_end_when_the_process_that_loads_is_killed(numbers):
    code = f"""
import sys, time
from resources.loader import Loader
from tests.resources.decoders import decoder
if __name__ == "__main__":
    batches = iter(Loader({str(numbers)!r}, 4, decode={{"data": decoder(pure_python=True)}}, threads=1))
    next(batches)
    print("loading", flush=True)
    time.sleep(600)
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    ) as loading:
        assert loading.stdout is not None
        assert loading.stdout.readline() == "loading\n"
        workers = [one for one in psutil.Process(loading.pid).children(recursive=True) if _decodes(one)]
        assert workers
        loading.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs(workers, timeout=60)[1]


def _decodes(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())
