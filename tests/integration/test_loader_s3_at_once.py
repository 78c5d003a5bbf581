"""What the loader has to read ahead of an epoch from a real S3 server: several shards at once, each of them once."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.errors import ObjectMissing
from resources.loader import Loader
from resources.loader.order import OrderName
from resources.loader.pack import pack
from resources.loader.tokens.packing import TokenPacking
from resources.storage.cache.cache import HostCache
from resources.storage.cache.intake import behind
from resources.storage.content import StoredFile
from resources.storage.manifest import read_manifest
from resources.storage.object_store import ObjectStore
from resources.storage.store import Store, open_store
from tests.resources.loading import ids, write_parquet

pytestmark = pytest.mark.slow

ROWS = 12_000
SHARD_BYTES = 2**21
WAYS = {
    "where": {"where": [("half", ">=", ROWS / 4)]},
    "lengths": {"pack_tokens": TokenPacking(column="list", length=16)},
    "exact": {"order": "exact"},
    "mixture": {},
}
"""What makes a loader read shards before an epoch, or otherwise than one after the other."""


class Spy:
    """Notes which files of the server are on their way at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most_files = self.most_bytes = 0
        self._now = Counter[StoredFile]()
        self._lock = threading.Lock()
        stream, local = ObjectStore.stream, ObjectStore.local

        def streamed(store: ObjectStore, file: StoredFile, *arguments: Any) -> None:
            with self._noted(file):
                stream(store, file, *arguments)

        def copied(store: ObjectStore, file: StoredFile) -> Path:
            with self._noted(file):
                return local(store, file)

        monkeypatch.setattr(ObjectStore, "stream", streamed)
        monkeypatch.setattr(ObjectStore, "local", copied)

    @contextmanager
    def _noted(self, file: StoredFile) -> Iterator[None]:
        with self._lock:
            self._now[file] += 1
            self.most_files = max(self.most_files, len(+self._now))
            if len(+self._now) > 1:
                self.most_bytes = max(self.most_bytes, sum(one.size_bytes for one in +self._now))
        try:
            yield
        finally:
            with self._lock:
                self._now[file] -= 1


@dataclass(frozen=True, kw_only=True)
class Twins:
    """The same two datasets in the bucket, with an empty cache, and in a folder."""

    digests: tuple[str, str]
    remote: Store
    local: Store
    cache: Path

    @property
    def sizes_bytes(self) -> list[int]:
        """Bytes of the shards of the first one."""
        return list(read_manifest(self.local, self.digests[0]).shards.sizes_bytes)

    def fetched_bytes(self) -> int:
        behind().flush()
        return HostCache(self.cache).host_stats().fetched_bytes

    def loader(self, way: str, store: Store, **options: Any) -> Loader:
        """Return a loader over the first dataset, or over the mixture of both."""
        dataset = dict(zip(self.digests, (3.0, 1.0), strict=True)) if way == "mixture" else self.digests[0]
        return Loader(dataset, 200, store=store, **WAYS[way], **options)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("files")
    return write_parquet(folder / "all", (ROWS,), group_rows=3_000), write_parquet(
        folder / "few", (4_000,), group_rows=2_000
    )


def packed_in(store: Store, files: tuple[Path, Path], tmp_path: Path) -> tuple[str, str]:
    first, second = (
        pack(one, store=store, scratch=tmp_path / "scratch", keep=["id", "list"], shard_bytes=SHARD_BYTES).digest
        for one in files
    )
    return first, second


@pytest.fixture
def twins(s3_url: str, files: tuple[Path, Path], tmp_path: Path) -> Iterator[Twins]:
    digests = packed_in(open_store(s3_url, cache=tmp_path / "maker"), files, tmp_path)
    local = open_store(str(tmp_path / "folder"), cache=tmp_path / "unused")
    assert packed_in(local, files, tmp_path) == digests
    remote = open_store(s3_url, cache=tmp_path / "cache", cache_bytes=10**9)
    yield Twins(digests=digests, remote=remote, local=local, cache=tmp_path / "cache")
    behind().flush()


def test_rows_are_found_at_once_within_the_bound_and_no_shard_is_fetched_twice(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
):
    sizes_bytes = twins.sizes_bytes
    monkeypatch.setattr("resources.loader.at_once.IN_FLIGHT_BYTES", 3 * max(sizes_bytes))
    spy = Spy(monkeypatch)
    loader = twins.loader("where", twins.remote)
    assert twins.fetched_bytes() == sum(sizes_bytes)
    assert 2 <= spy.most_files <= 3
    assert spy.most_bytes <= 3 * max(sizes_bytes)
    found = ids(loader)
    assert sorted(found) == list(range(ROWS // 2, ROWS))
    assert found == ids(twins.loader("where", twins.local))
    assert twins.fetched_bytes() == sum(sizes_bytes)


def test_where_statistics_decide_nothing_is_fetched(twins: Twins):
    assert Loader(twins.digests[0], 100, store=twins.remote, where=[("third", "<", 0.0)]).rows == 0
    assert Loader(twins.digests[0], 100, store=twins.remote, where=[("id", ">=", 0)]).rows == ROWS
    assert twins.fetched_bytes() == 0


def test_lengths_of_documents_are_read_at_once_and_no_shard_is_fetched_twice(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
):
    spy = Spy(monkeypatch)
    loader = twins.loader("lengths", twins.remote)
    assert spy.most_files >= 2
    here, there = (
        np.concatenate([batch["tokens"] for batch in one.numpy()])
        for one in (loader, twins.loader("lengths", twins.local))
    )
    assert np.array_equal(here, there)
    assert twins.fetched_bytes() == sum(twins.sizes_bytes)


def test_all_rows_in_one_order_come_from_shards_that_were_fetched_at_once(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
):
    spy = Spy(monkeypatch)
    found = ids(twins.loader("exact", twins.remote, threads=0))
    assert sorted(found) == list(range(ROWS))
    assert found == ids(twins.loader("exact", twins.local))
    assert spy.most_files >= 2
    assert twins.fetched_bytes() == sum(twins.sizes_bytes)


@pytest.mark.parametrize("order", ["run", "window", "exact"])
def test_a_mixture_has_the_shards_of_its_datasets_at_once_and_each_once(
    twins: Twins, monkeypatch: pytest.MonkeyPatch, order: OrderName
):
    spy = Spy(monkeypatch)
    mixture = dict.fromkeys(twins.digests, 1.0)
    here, there = (
        ids(Loader(mixture, 100, store=store, order=order, threads=0)) for store in (twins.remote, twins.local)
    )
    assert here == there
    assert spy.most_files >= 2
    assert twins.fetched_bytes() == sum(read_manifest(twins.local, one).size_bytes for one in mixture)


@pytest.mark.parametrize("threads", [None, 2])
@pytest.mark.parametrize("way", WAYS)
def test_a_cache_for_one_shard_and_a_half_is_enough_and_never_exceeded(
    twins: Twins, s3_url: str, monkeypatch: pytest.MonkeyPatch, way: str, threads: int | None
):
    budget_bytes = 3 * max(twins.sizes_bytes) // 2
    small = open_store(s3_url, cache=twins.cache, cache_bytes=budget_bytes)
    local = ObjectStore.local

    def copied(store: ObjectStore, file: StoredFile) -> Path:
        path = local(store, file)
        time.sleep(0.02)  # it is in use for so long that another thread finds it so
        return path

    monkeypatch.setattr(ObjectStore, "local", copied)
    found = list[object]()
    for batch in twins.loader(way, small, threads=threads):
        found += batch.column(0).to_pylist()
        assert HostCache(twins.cache).host_stats().held_bytes <= budget_bytes
    assert found == [value for batch in twins.loader(way, twins.local) for value in batch.column(0).to_pylist()]


@pytest.mark.parametrize("way", WAYS)
def test_a_shard_that_is_missing_is_named(twins: Twins, way: str):
    lost = read_manifest(twins.remote, twins.digests[0]).shards[3].file
    twins.remote.delete(lost.key)

    def load() -> list[object]:
        return list(twins.loader(way, twins.remote))

    with pytest.raises(ObjectMissing, match=f"shard 00003.*{lost.key}"):
        load()
