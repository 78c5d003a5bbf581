"""Compressed shards behind a real S3 server: fetched and decompressed once for all processes of a host."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resources.errors import IntegrityError
from resources.loader import Loader
from resources.loader.pack import pack
from resources.settings import PROJECT_ROOT
from resources.storage.cache.cache import HostCache
from resources.storage.cache.intake import behind
from resources.storage.cache.scrub import scrub
from resources.storage.datasets import read_frame
from resources.storage.garbage.collect import collect
from resources.storage.garbage.leases import leased
from resources.storage.manifest import Manifest, read_manifest
from resources.storage.pull import pull
from resources.storage.push import push
from resources.storage.store import Store, open_store
from resources.storage.verify import verify
from resources.storage.versions import version
from tests.integration.test_loader_s3 import RANKS, READER, ROWS
from tests.resources.loading import ids, write_parquet

pytestmark = pytest.mark.slow


@pytest.fixture(params=["lz4", "zstd"])
def packed(request: pytest.FixtureRequest, s3_url: str, tmp_path: Path) -> str:
    """Return the digest of a compressed dataset of some shards in the bucket."""
    files = write_parquet(tmp_path / "files", (ROWS,), group_rows=4_000)
    store = open_store(s3_url, cache=tmp_path / "maker")
    scratch = tmp_path / "scratch"
    return pack(files, store=store, scratch=scratch, keep=["id"], shard_bytes=4 * 2**20, codec=request.param).digest


def opened(s3_url: str, cache: Path, cache_bytes: int = 10**9) -> Store:
    return open_store(s3_url, cache=cache, cache_bytes=cache_bytes)


def held(cache: Path) -> set[str]:
    return {path.name for path in (cache / "objects").rglob("*") if path.is_file()}


def plain_names(made: Manifest) -> set[str]:
    return {shard.plain.digest for shard in made.shards if shard.plain}


def test_processes_of_a_host_fetch_and_decompress_each_shard_once(packed: str, s3_url: str, tmp_path: Path):
    command = [sys.executable, "-c", READER, s3_url, str(tmp_path / "cache"), packed]
    ranks = [
        subprocess.Popen([*command, str(rank), str(RANKS)], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)
        for rank in range(RANKS)
    ]
    dealt = [json.loads(rank.communicate(timeout=120)[0]) for rank in ranks]
    made = read_manifest(opened(s3_url, tmp_path / "cache"), packed)
    assert len(made.shards) > 6
    stats = HostCache(tmp_path / "cache").host_stats()
    assert stats.fetched_bytes <= made.size_bytes < 0.5 * made.plain_bytes
    assert stats.misses <= len(made.shards)
    assert held(tmp_path / "cache") == plain_names(made)
    together = [number for step in zip(*dealt, strict=True) for batch in step for number in batch]
    assert together == ids(Loader(packed, 77, store=opened(s3_url, tmp_path / "cache"), columns=["id"]))
    assert sorted(together) == list(range(ROWS))


@pytest.mark.parametrize("order", ["run", "window", "exact"])
def test_a_second_epoch_and_another_process_fetch_nothing(packed: str, s3_url: str, tmp_path: Path, order: str):
    store = opened(s3_url, tmp_path / "cache")
    made = read_manifest(store, packed)
    for _ in range(2):
        loader = Loader(packed, 500, store=store, order=order, columns=["id", "third", "text"])
        seen = list[int]()
        for batch in loader.numpy():
            assert np.array_equal(batch["float64"][:, 0], batch["id"] / 3)
            seen += batch["id"].tolist()
        assert sorted(seen) == sorted(ids(loader)) == list(range(ROWS))
        behind().flush()
        assert HostCache(tmp_path / "cache").host_stats().fetched_bytes == made.size_bytes
        store = opened(s3_url, tmp_path / "cache")
    assert held(tmp_path / "cache") == plain_names(made)
    assert scrub(HostCache(tmp_path / "cache")).damaged == ()


def test_with_a_cache_of_half_the_plain_bytes_half_of_the_compressed_ones_come_again(
    packed: str, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("resources.loader.order.WINDOW_BYTES", 4 * 2**20)  # or it holds all of so few bytes
    monkeypatch.setattr("resources.loader.prefetch.AHEAD_BYTES", 2 * 2**20)
    made = read_manifest(opened(s3_url, tmp_path / "cache"), packed)
    store = opened(s3_url, tmp_path / "cache", made.plain_bytes // 2)
    loader = Loader(packed, 500, store=store, columns=["id", "long"], order="run")
    fetched = [0]
    for _ in range(3):
        assert sorted(ids(loader)) == list(range(ROWS))
        behind().flush()
        stats = HostCache(tmp_path / "cache").host_stats()
        assert stats.held_bytes <= made.plain_bytes // 2
        fetched.append(stats.fetched_bytes)
    first, *further = np.diff(fetched)
    assert first == made.size_bytes
    most = max(made.shards.sizes_bytes)
    assert max(further) <= 0.5 * made.size_bytes + 2 * most
    assert stats.unkept == 0


def test_an_altered_object_is_a_fault_for_verify_and_named_by_the_loader(packed: str, s3_url: str, tmp_path: Path):
    store = opened(s3_url, tmp_path / "cache")
    assert verify(store, packed).faults == ()
    file = read_manifest(store, packed).shards[1].file
    data = bytearray(store.get(file.key))
    data[len(data) // 3] ^= 4
    store.put(file.key, bytes(data))
    assert [fault.key for fault in verify(store, packed).faults] == [file.key]
    with pytest.raises(IntegrityError, match=f"{file.digest} .*fetched twice"):
        ids(Loader(packed, 500, store=store))


def test_compressed_shards_are_pushed_and_pulled_as_they_lie_and_collected_as_garbage(
    packed: str, s3_url: str, tmp_path: Path
):
    store = opened(s3_url, tmp_path / "cache")
    expected, made = read_frame(store, packed), read_manifest(store, packed)
    target = open_store(str(tmp_path / "other"), cache=tmp_path / "unused")
    push(store, target, packed, scratch=tmp_path / "scratch")
    assert verify(target, packed).faults == ()
    assert read_frame(target, packed).equals(expected)
    assert sorted(ids(Loader(packed, 500, store=target))) == list(range(ROWS))
    pull(store, version(store, packed), tmp_path / "pulled")
    files = sorted((tmp_path / "pulled").glob("*.arrow"))
    assert [file.stat().st_size for file in files] == made.shards.sizes_bytes
    assert sorted(ids(Loader(files, 500))) == list(range(ROWS))  # any reader of Arrow opens them
    keys = {shard.file.key for shard in made.shards}
    with leased(store, [packed], job="a job"):
        collect(store, grace_s=0)
        assert keys <= set(store.list("files"))
    collect(store, grace_s=0)
    assert keys.isdisjoint(store.list("files"))
