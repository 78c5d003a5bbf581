"""Going on from a state is as if nobody had stopped, at points drawn over all orders, formats, ranks and threads."""

from functools import cache
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.loader import Loader, State
from resources.loader.pack import pack
from resources.storage.store import open_store
from tests.resources.loading import ids, rows_of, write_arrow, write_parquet

ORDERS = ("sequential", "run", "window", "exact")
FORMATS = ("packed", "batches", "parquet", "stored", "mixture")
WORLDS, THREADS = st.integers(1, 8), st.integers(0, 8)
POINT = {
    "form": st.sampled_from(FORMATS),
    "order": st.sampled_from(ORDERS),
    "epoch": st.integers(0, 2),
    "share": st.floats(0, 1),
    "sizes": st.tuples(st.integers(1, 60), st.integers(1, 60)),
    "worlds": st.tuples(WORLDS, WORLDS),
    "threads": st.tuples(THREADS, THREADS),
}


def write_batches(folder: Path, rows: tuple[int, ...]) -> Path:
    """Write one compressed Arrow file of several batches: each is decoded when it is opened."""
    folder.mkdir()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(folder / "all.arrow", rows_of(0, 1).schema, options=options) as writer:
        for number, count in enumerate(rows):
            writer.write_batch(rows_of(sum(rows[:number]), count))
    return folder


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """Return the arguments by which a loader is given each dataset."""
    base = tmp_path_factory.mktemp("resume")
    packed = write_arrow(base / "packed", (500, 301, 64, 0, 1, 377))
    parquet = write_parquet(base / "parquet", (400, 250), group_rows=90)
    store = open_store(str(base / "store"), cache=base / "cache")
    stored = pack(parquet, store=store, scratch=base / "scratch", keep=["id"], shard_bytes=2**17)
    return {
        "packed": {"dataset": packed},
        "batches": {"dataset": write_batches(base / "batches", (90, 300, 1, 209))},
        "parquet": {"dataset": parquet},
        "stored": {"dataset": stored, "store": store},
        "mixture": {"dataset": {packed: 2, parquet: 1}},
    }


@pytest.fixture(scope="module")
def uninterrupted(datasets):
    """Return the rows of a whole epoch, as one rank reads them that nobody stops."""

    @cache
    def rows(form: str, order: str, epoch: int) -> list[int]:
        found = ids(Loader(**datasets[form], batch_size=64, columns=["id"], order=order, epoch=epoch, threads=0))
        if form != "mixture":
            assert sorted(found) == list(range(len(found)))
        return found

    return rows


def dealt(ranks: list[Loader], steps: int | None = None) -> list[int]:
    """Return the rows that the ranks have in so many steps, or in the rest of the epoch, in the order of the steps."""
    had = [[batch["id"].tolist() for batch in islice(rank.numpy(), steps)] for rank in ranks]
    return [number for step in zip_longest(*had, fillvalue=[]) for batch in step for number in batch]


def check(datasets, uninterrupted, form, order, epoch, share, sizes, worlds, threads):
    whole = uninterrupted(form, order, epoch)
    arguments = {**datasets[form], "columns": ["id"]}
    before = [
        Loader(
            **arguments, batch_size=sizes[0], order=order, epoch=epoch, rank=rank, world_size=worlds[0],
            threads=threads[0],
        )
        for rank in range(worlds[0])
    ]  # fmt: skip
    first = dealt(before, int(share * (len(whole) // (sizes[0] * worlds[0]))))
    (state,) = {rank.state().to_bytes() for rank in before}
    after = [
        Loader.from_state(
            state=State.from_bytes(state), batch_size=sizes[1], rank=rank, world_size=worlds[1], threads=threads[1],
            **arguments,
        )
        for rank in range(worlds[1])
    ]  # fmt: skip
    assert len(state) < 200
    assert first + dealt(after) == whole


@given(**POINT)
def test_going_on_from_a_state_is_as_if_nobody_had_stopped(datasets, uninterrupted, **point):
    check(datasets, uninterrupted, **point)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1_800)
@settings(max_examples=1_000)
@given(**POINT)
def test_going_on_from_a_thousand_states_is_as_if_nobody_had_stopped(datasets, uninterrupted, **point):
    check(datasets, uninterrupted, **point)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("order", ORDERS)
def test_every_format_is_in_one_order_for_world_sizes_and_threads_up_to_8(datasets, uninterrupted, form, order):
    for number in range(1, 9):
        arguments = {**datasets[form], "columns": ["id"], "order": order, "batch_size": 23, "world_size": number}
        ranks = [Loader(**arguments, rank=rank, threads=(rank + number) % 9) for rank in range(number)]
        assert dealt(ranks) == uninterrupted(form, order, 0), number
