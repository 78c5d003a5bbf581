"""Orders of samples: every row once an epoch, the same whatever asks, and as well mixed as they say."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.canonical import digest_bytes
from resources.loader.bijection import Bijection
from resources.loader.order import POOL_BLOCKS, RUN_ROWS, Epoch, Layout, OrderName
from tests.resources.loading import layout

ORDERS = get_args(OrderName)
SHARDS = st.lists(st.integers(0, 700), min_size=1, max_size=9)
WIDTHS = st.sampled_from([1.0, 100.0, 2_000.0, 50_000.0, 2e7])
SEEDS = st.integers(0, 2**63 - 1)


@given(n=st.one_of(st.integers(0, 40), st.integers(0, 9_000)), key=st.tuples(SEEDS, SEEDS))
def test_a_bijection_gives_every_number_once(n, key):
    assert sorted(Bijection(n, key)(0, n).tolist()) == list(range(n))


@given(n=st.integers(1, 2**63), key=st.tuples(SEEDS), share=st.floats(0, 1), count=st.integers(0, 50))
def test_any_part_of_a_bijection_is_had_without_the_rest_and_lies_within_it(n, key, share, count):
    start = min(int(n * share), n)
    stop = min(start + count, n)
    part = Bijection(n, key)(start, stop)
    one_by_one = [Bijection(n, key)(place, place + 1)[0] for place in range(start, stop)]
    assert part.tolist() == one_by_one
    assert len(set(one_by_one)) == stop - start
    assert all(0 <= number < n for number in one_by_one)


def test_a_bijection_refuses_what_is_not_within_it():
    with pytest.raises(IndexError, match="numbers 3 to 12 are not within the permutation of 10"):
        Bijection(10, (1,))(3, 12)
    with pytest.raises(ValueError, match="0 to 2"):
        Bijection(2**63 + 1, (1,))


@given(rows=SHARDS, row_bytes=WIDTHS, seed=SEEDS, epoch=st.integers(0, 9), order=st.sampled_from(ORDERS))
def test_every_row_comes_once_an_epoch(rows, row_bytes, seed, epoch, order):
    shards, places = Epoch(layout(rows, row_bytes=row_bytes), order, seed=seed, number=epoch).samples(0, sum(rows))
    expected = {(shard, row) for shard, count in enumerate(rows) for row in range(count)}
    assert len(shards) == sum(rows)
    assert set(zip(shards.tolist(), places.tolist(), strict=True)) == expected


@given(
    rows=SHARDS, row_bytes=WIDTHS, seed=SEEDS, order=st.sampled_from(ORDERS), cuts=st.lists(st.floats(0, 1), max_size=5)
)
def test_samples_of_parts_are_parts_of_the_samples(rows, row_bytes, seed, order, cuts):
    total = sum(rows)
    shards, places = Epoch(layout(rows, row_bytes=row_bytes), order, seed=seed, number=0).samples(0, total)
    bounds = sorted({0, total, *(int(total * cut) for cut in cuts)})
    fresh = [
        Epoch(layout(rows, row_bytes=row_bytes), order, seed=seed, number=0).samples(start, stop)
        for start, stop in pairwise(bounds)
    ]
    assert np.concatenate([np.empty(0, int), *(part[0] for part in fresh)]).tolist() == shards.tolist()
    assert np.concatenate([np.empty(0, int), *(part[1] for part in fresh)]).tolist() == places.tolist()


@given(rows=SHARDS, row_bytes=WIDTHS, order=st.sampled_from(ORDERS), share=st.floats(0, 1))
def test_shards_are_named_in_the_order_in_which_they_are_needed(rows, row_bytes, order, share):
    epoch = Epoch(layout(rows, row_bytes=row_bytes), order, seed=1, number=0)
    start = int(sum(rows) * share)
    needed = epoch.samples(start, sum(rows))[0].tolist()
    named = list(epoch.shards_from(start))
    assert set(needed) <= set(named)
    assert len(named) == len(set(named))
    if order in ("sequential", "run"):
        assert named == list(dict.fromkeys(needed))


@pytest.mark.parametrize("order", ORDERS)
def test_seed_epoch_and_dataset_tell_orders_apart(order):
    def samples(one: Layout, **key: int) -> list[tuple[int, ...]]:
        return [tuple(part) for part in np.array(Epoch(one, order, **key).samples(0, 999)).tolist()]

    one, other = layout([500, 499]), Layout(root="f" * 64, rows=np.array([500, 499]), row_bytes=100.0)
    made = [
        samples(one, seed=0, number=0),
        samples(one, seed=1, number=0),
        samples(one, seed=0, number=1),
        samples(other, seed=0, number=0),
    ]
    assert len({str(item) for item in made}) == (1 if order == "sequential" else 4)


def test_a_run_keeps_64_rows_together_and_a_window_does_not():
    run = Epoch(layout([6400, 6400]), "run", seed=3, number=0).samples(0, 12_800)[1].reshape(-1, 64)
    assert (np.diff(run, axis=1) == 1).all()
    window = Epoch(layout([6400, 6400]), "window", seed=3, number=0).samples(0, 12_800)[1]
    assert (np.diff(window) == 1).mean() < 0.001


@pytest.mark.parametrize(("order", "pieces"), [("exact", 256), ("window", POOL_BLOCKS), ("run", 256 / RUN_ROWS)])
def test_batches_are_as_alike_as_their_order_says(order, pieces):
    """Spread of the means of batches of 256 rows, over that of random ones, where the rows of each shard are sorted.

    A batch out of `pieces` independent pieces, each as narrow as can be, spreads sqrt(256 / pieces) times as much.
    """
    rows = [200_000] * 8
    _, places = Epoch(layout(rows), order, seed=11, number=0).samples(0, sum(rows))
    means = (places / 200_000)[: sum(rows) // 256 * 256].reshape(-1, 256).mean(axis=1)
    spread = means.std() / (np.sqrt(1 / 12) / np.sqrt(256))
    assert 0.8 < spread < 1.15 * np.sqrt(256 / pieces)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("sequential", "7d34caededc227f0"),
        ("run", "84442e71ef5f4bc9"),
        ("window", "1ece536e0a1b41dd"),
        ("exact", "0cfe67e5c4877706"),
    ],
)
def test_the_order_of_a_dataset_never_changes(order, expected):
    """The digests are those of the release that defined the orders: a state kept by anybody must go on to mean this."""
    epoch = Epoch(layout([70_000, 1, 0, 33_333, 64, 5_000]), order, seed=20261126, number=3)
    shards, places = epoch.samples(0, 108_398)
    data = np.stack([shards, places]).astype("<i8").tobytes()
    assert digest_bytes(data)[:16] == expected
