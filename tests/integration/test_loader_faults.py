"""An epoch through each fault of the network gives exactly the rows of the dataset, or an error of the store."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from resources.errors import StoreError
from resources.loader import Loader
from resources.loader.pack import pack
from resources.storage.object_store import ObjectStore
from resources.storage.store import open_store
from tests.integration.faults.proxy import MOMENTS, FaultProxy, Kind, NetworkFault
from tests.integration.seaweed import Seaweed
from tests.resources.loading import write_parquet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ROWS = 1_500
SHARD_BYTES = 2**18
FOR_GOOD = 10_000
FAULTS = [
    NetworkFault(kind=kind, moment=moment, times=times, relabelled=relabelled)
    for kind in ("reset", "short", "flip", "slow down", "freeze", "no bucket")
    for moment in MOMENTS[kind]
    if moment != "upload"
    for times in (1, 3, FOR_GOOD)
    for relabelled in ((False, True) if kind == "short" else (False,))
    if kind != "freeze" or times == 1  # for good it takes the time of all timeouts
]
POINTS = 3


@pytest.fixture(scope="module")
def digest(seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the digest of a packed dataset of some shards in the bucket."""
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweed.env().items():
            patch.setenv(name, value)
        files = write_parquet(folder / "files", (ROWS,), group_rows=500)
        store = open_store("s3://penstock-test/loader-faults", cache=folder / "maker")
        yield pack(files, store=store, scratch=folder / "scratch", keep=["id"], shard_bytes=SHARD_BYTES).digest


@contextmanager
def reached_by(endpoint: str, cache: Path) -> Iterator[ObjectStore]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield ObjectStore("s3://penstock-test/loader-faults", cache=cache, cache_bytes=10**8, timeout_s=0.5, retries=2)


def epoch(digest: str, store: ObjectStore, **options: str) -> Iterator[int]:
    """Yield the numbers of the rows of an epoch, each of which was what it should be."""
    for batch in Loader(digest, 64, store=store, columns=["id", "long"], seed=5, **options):
        for number, long in zip(batch["id"].to_pylist(), batch["long"].to_pylist(), strict=True):
            assert long == bytes([number % 251]) * (1500 + number % 100)
            yield number


def name_of(fault: NetworkFault) -> str:
    often = {1: "once", 3: "thrice", FOR_GOOD: "for good"}[fault.times]
    return f"{fault.kind} {fault.moment} {often}{' relabelled' if fault.relabelled else ''}"


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_an_epoch_through_a_fault_has_the_rows_of_the_dataset_or_ends_with_an_error_of_the_store(
    fault: NetworkFault, digest: str, seaweed: Seaweed, s3_url: str, tmp_path: Path
):
    with FaultProxy(seaweed.endpoint) as proxy, reached_by(proxy.endpoint, tmp_path / "whole") as store:
        whole = list(epoch(digest, store))
        requests = len(proxy.log)
    assert sorted(whole) == list(range(ROWS))
    chance, struck = random.Random(name_of(fault)), 0
    for point in range(POINTS):
        hit = replace(fault, request=chance.randrange(1, requests), share=chance.random())
        cache, seen = tmp_path / f"cache-{point}", list[int]()
        with FaultProxy(seaweed.endpoint, hit) as proxy:
            with suppress(StoreError), reached_by(proxy.endpoint, cache) as store:
                for number in epoch(digest, store):
                    seen.append(number)
            struck += proxy.struck
        assert seen == whole[: len(seen)]
        with reached_by(seaweed.endpoint, cache) as store:
            assert list(epoch(digest, store)) == whole  # what the fault left in the cache hurts nobody
    assert struck == POINTS


@pytest.mark.parametrize("order", ["sequential", "run", "window", "exact"])
def test_every_order_has_the_same_rows_after_flipped_bits(
    order: str, digest: str, seaweed: Seaweed, s3_url: str, tmp_path: Path
):
    with FaultProxy(seaweed.endpoint) as proxy, reached_by(proxy.endpoint, tmp_path / "cache") as store:
        Loader(digest, 64, store=store)
        first = len(proxy.log)  # that asks for a shard
    flips = NetworkFault(kind="flip", moment="body", request=first, times=FOR_GOOD, each_once=True)
    with FaultProxy(seaweed.endpoint, flips) as proxy, reached_by(proxy.endpoint, tmp_path / "cache") as store:
        hurt = list(epoch(digest, store, order=order))
    with reached_by(seaweed.endpoint, tmp_path / "other") as store:
        assert hurt == list(epoch(digest, store, order=order))
    assert sorted(hurt) == list(range(ROWS))


def test_every_kind_of_fault_that_hits_readers_is_tried():
    tried: set[Kind] = {fault.kind for fault in FAULTS}
    assert tried == set(MOMENTS) - {"skew", "call"}
