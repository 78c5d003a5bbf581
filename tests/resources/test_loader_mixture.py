"""Mixtures: samples by weight at any position, each dataset through before it begins anew, the same for any ranks."""

from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import LoaderError
from resources.loader import Loader, State
from resources.loader.blend import PLACES, Blend
from tests.resources.loading import ids, write_arrow

WEIGHTS = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5)
ORDERS = ("sequential", "run", "window", "exact")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two datasets; the numbers of their rows overlap, their ids tell them apart by the order of size."""
    base = tmp_path_factory.mktemp("mixture")
    return write_arrow(base / "small", (300, 40)), write_arrow(base / "large", (900, 1, 500))


def columns_of(loader: Loader) -> list[tuple[int, str]]:
    return [
        (number, bytes(text).decode())
        for batch in loader.numpy()
        for number, text in zip(batch["id"].tolist(), batch["text"], strict=True)
    ]


@given(weights=WEIGHTS, position=st.integers(0, 2**60), more=st.integers(0, 3 * PLACES))
def test_counts_are_those_of_the_streams_at_any_position(weights, position, more):
    blend = Blend(weights, key=(3,))
    before, after = blend.counts(position), blend.counts(position + more)
    streams = np.bincount(blend.streams(position, position + more), minlength=len(weights))
    assert sum(before) == position
    assert [late - early for early, late in zip(before, after, strict=True)] == streams.tolist()
    wanted = np.array(weights) / sum(weights) * PLACES
    assert (np.abs(np.array(blend.counts(PLACES)) - wanted) < 1).all()


@pytest.mark.parametrize("order", ORDERS)
def test_a_mixture_is_by_weight_and_goes_through_each_dataset_before_it_begins_anew(folders, order):
    small, large = folders
    seen = list[int]()
    loader = Loader({small: 3, large: 1}, 64, order=order, columns=["id", "text"], seed=5)
    for _ in range(4):
        seen += ids(loader)
    alone = Loader(small, 10, order=order, columns=["id", "text"], seed=5, threads=0)
    from_small = list(chain.from_iterable(ids(alone) for _ in range(20)))
    blend = loader._feed._blend  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    streams = blend.streams(0, len(seen))
    mine = [number for number, stream in zip(seen, streams.tolist(), strict=True) if stream == 0]
    assert len(seen) == 4 * (340 + 1401)
    assert abs(len(mine) / len(seen) - 0.75) < 0.01
    assert mine == from_small[: len(mine)]


def test_all_columns_of_a_mixture_stay_together(folders):
    from tests.resources.loading import WORDS

    rows = columns_of(Loader({folders[0]: 1, folders[1]: 2}, 33, columns=["id", "text"]))
    assert all(text == WORDS[number % 4] for number, text in rows)


def test_the_order_of_a_mixture_is_the_same_for_any_ranks_threads_and_batches(folders):
    def loader(size: int, **arguments):
        return Loader({folders[0]: 1, folders[1]: 2}, size, columns=["id"], seed=2, **arguments)

    alone = ids(loader(50, threads=0))
    assert ids(loader(7, threads=3)) == alone
    ranks = [list(loader(10, rank=rank, world_size=3).numpy()) for rank in range(3)]
    dealt = [number for step in zip(*ranks, strict=False) for batch in step for number in batch["id"].tolist()]
    assert dealt == alone[: len(dealt)]
    assert len(dealt) >= len(alone) - 30


def test_a_mixture_goes_on_from_a_state_in_any_epoch(folders):
    mixed = {folders[0]: 1.5, folders[1]: 1}
    whole = Loader(mixed, 20, columns=["id"], seed=8, epoch=3)
    batches = [batch["id"].tolist() for batch in whole.numpy()]
    for had in range(0, len(batches), 9):
        loader = Loader(mixed, 20, columns=["id"], seed=8, epoch=3)
        for _ in islice(loader, had):
            pass
        data = loader.state().to_bytes()
        assert len(data) < 200
        resumed = Loader.from_state(mixed, State.from_bytes(data), 20, columns=["id"])
        assert [batch["id"].tolist() for batch in resumed.numpy()] == batches[had:]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1, 0), "a weight is 0: give a number above 0"),
        ((1, float("nan")), "a weight is nan"),
        ((1, "2"), "a weight is '2'"),
        ((1, 1e-9), "less than one part in 10,000"),
    ],
)
def test_weights_out_of_range_are_named(folders, weights, message):
    with pytest.raises(LoaderError, match=message):
        Loader(dict(zip(folders, weights, strict=True)), 10)


def test_datasets_that_do_not_fit_together_are_named(folders, tmp_path):
    empty = write_arrow(tmp_path / "empty", (0,))
    with pytest.raises(LoaderError, match="has no rows: leave it out"):
        Loader({folders[0]: 1, empty: 1}, 10)
    with pytest.raises(LoaderError, match="a mixture of no datasets"):
        Loader({}, 10)
    import pyarrow as pa

    with pa.ipc.new_file(tmp_path / "other.arrow", pa.schema({"id": pa.int64()})) as writer:
        writer.write_batch(pa.record_batch({"id": [1]}, schema=pa.schema({"id": pa.int64()})))
    with pytest.raises(LoaderError, match="has other columns than"):
        Loader({folders[0]: 1, tmp_path / "other.arrow": 1}, 10)
    assert len(ids(Loader({folders[0]: 1, tmp_path / "other.arrow": 1}, 10, columns=["id"]))) == 341
