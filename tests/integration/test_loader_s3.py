"""The loader over a store behind a real S3 server: fetched once for all processes of a host, ahead of its turn."""

import gc
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from resources.errors import ObjectMissing
from resources.loader import Loader
from resources.loader.mapping import Mapped
from resources.loader.pack import pack
from resources.settings import PROJECT_ROOT
from resources.storage.cache.cache import HostCache
from resources.storage.cache.intake import behind
from resources.storage.manifest import read_manifest
from resources.storage.store import open_store
from tests.resources.loading import ids, write_parquet

pytestmark = pytest.mark.slow

RANKS = 4
ROWS = 20_000
READER = """
import json, sys
from pathlib import Path
from resources.loader import Loader
from resources.storage.store import open_store
url, cache, digest, rank, world = sys.argv[1:]
store = open_store(url, cache=Path(cache), cache_bytes=10**9)
loader = Loader(digest, 50, store=store, rank=int(rank), world_size=int(world), columns=["id", "third"])
print(json.dumps([batch["id"].tolist() for batch in loader.numpy()]))
"""


@pytest.fixture
def packed(s3_url: str, tmp_path: Path) -> str:
    """Return the digest of a packed dataset of some shards in the bucket."""
    files = write_parquet(tmp_path / "files", (ROWS,), group_rows=4_000)
    store = open_store(s3_url, cache=tmp_path / "maker")
    return pack(files, store=store, scratch=tmp_path / "scratch", keep=["id"], shard_bytes=4 * 2**20).digest


def test_ranks_that_share_a_cache_fetch_each_shard_once_and_deal_one_order(packed: str, s3_url: str, tmp_path: Path):
    command = [sys.executable, "-c", READER, s3_url, str(tmp_path / "cache"), packed]
    ranks = [
        subprocess.Popen([*command, str(rank), str(RANKS)], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)
        for rank in range(RANKS)
    ]
    dealt = [json.loads(rank.communicate(timeout=120)[0]) for rank in ranks]
    made = read_manifest(open_store(s3_url, cache=tmp_path / "cache"), packed)
    assert len(made.shards) > 6
    fetched = HostCache(tmp_path / "cache").host_stats().fetched_bytes
    assert fetched <= made.size_bytes
    together = [number for step in zip(*dealt, strict=True) for batch in step for number in batch]
    alone = ids(Loader(packed, 77, store=open_store(s3_url, cache=tmp_path / "cache"), columns=["id"]))
    assert together == alone
    assert sorted(alone) == list(range(ROWS))


def test_a_cache_smaller_than_the_dataset_never_holds_more_and_gives_the_same_rows(
    packed: str, s3_url: str, tmp_path: Path
):
    made = read_manifest(open_store(s3_url, cache=tmp_path / "cache"), packed)
    budget_bytes = made.size_bytes // 2
    store = open_store(s3_url, cache=tmp_path / "cache", cache_bytes=budget_bytes)
    loader = Loader(packed, 500, store=store, columns=["id", "long"], order="run")
    for _ in range(2):
        seen = list[int]()
        for batch in loader.numpy():
            seen += batch["id"].tolist()
            assert HostCache(tmp_path / "cache").host_stats().held_bytes <= budget_bytes
        assert sorted(seen) == list(range(ROWS))
        gc.collect()
        assert still_mapped(tmp_path / "cache") <= 6 * max(made.shards.sizes_bytes)


@pytest.mark.parametrize("order", ["run", "window"])
def test_with_a_cache_of_half_the_dataset_each_further_epoch_fetches_half_of_it(
    s3_url: str, tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("resources.loader.order.WINDOW_BYTES", 4 * 2**20)  # or it holds all of so few bytes
    monkeypatch.setattr("resources.loader.prefetch.AHEAD_BYTES", 2 * 2**20)
    files = write_parquet(tmp_path / "files", (ROWS,), group_rows=4_000)
    maker = open_store(s3_url, cache=tmp_path / "maker")
    digest = pack(files, store=maker, scratch=tmp_path / "scratch", keep=["id"], shard_bytes=2**19).digest
    size_bytes = read_manifest(maker, digest).size_bytes
    store = open_store(s3_url, cache=tmp_path / "cache", cache_bytes=size_bytes // 2)
    loader = Loader(digest, 500, store=store, columns=["id", "long"], order=order)
    fetched = [HostCache(tmp_path / "cache").host_stats().fetched_bytes]
    for _ in range(4):
        assert sorted(ids(loader)) == list(range(ROWS))
        behind().flush()
        stats = HostCache(tmp_path / "cache").host_stats()
        assert stats.held_bytes <= size_bytes // 2
        fetched.append(stats.fetched_bytes)
    first, *further = np.diff(fetched)
    assert first == size_bytes
    assert max(further) <= 0.52 * size_bytes
    assert min(further) >= 0.3 * size_bytes  # what the last window of an epoch left in memory is not fetched again
    assert HostCache(tmp_path / "cache").host_stats().unkept == 0


def test_copies_that_are_read_again_and_again_come_to_the_page_cache(packed: str, s3_url: str, tmp_path: Path):
    store = open_store(s3_url, cache=tmp_path / "cache", cache_bytes=10**9)
    loader = Loader(packed, 500, store=store, order="run")
    first = sorted(ids(loader))
    behind().flush()
    for _ in range(6):  # the last shards of an epoch are still in memory when the next one begins
        assert sorted(ids(loader)) == first
    copies = list((tmp_path / "cache" / "objects").rglob("*/*"))
    assert len(copies) == len(read_manifest(store, packed).shards)
    assert min(Mapped(copy).resident_share() for copy in copies) > 0.9
    assert HostCache(tmp_path / "cache").host_stats().fetched_bytes <= read_manifest(store, packed).size_bytes


def still_mapped(cache: Path) -> int:
    """Return the bytes of files that are mapped though they were deleted from the cache."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    deleted = [line.split()[0] for line in lines if str(cache) in line and line.endswith("(deleted)")]
    return sum(int(last, 16) - int(first, 16) for first, last in (span.split("-") for span in deleted))


@pytest.mark.parametrize("order", ["run", "window", "exact"])
def test_a_shard_that_is_missing_is_named_and_the_rows_before_it_are_whole(
    packed: str, s3_url: str, tmp_path: Path, order: str
):
    store = open_store(s3_url, cache=tmp_path / "cache")
    whole = ids(Loader(packed, 50, store=store, columns=["id"], order=order))
    lost = read_manifest(store, packed).shards[2].file
    store.delete(lost.key)
    seen = list[int]()
    other = open_store(s3_url, cache=tmp_path / "other")
    batches = Loader(packed, 50, store=other, columns=["id"], order=order).numpy()
    with pytest.raises(ObjectMissing, match=lost.key):
        seen += [number for batch in batches for number in batch["id"].tolist()]
    loader = Loader(packed, 50, store=other, columns=["id"], order=order)
    with suppress(ObjectMissing):
        for batch in loader.numpy():
            seen += batch["id"].tolist()
    assert seen == whole[: len(seen)]
    assert loader.state().position == len(seen) < len(whole)
