"""A shard that is missing or damaged is named, or left out, counted and told; no row that stands in for it is seen."""

import logging
from pathlib import Path

import numpy as np
import pytest

from resources.errors import IntegrityError, LoaderError, ObjectMissing, StoreError
from resources.loader import Loader
from resources.loader.keeping import kept
from resources.loader.pack import pack
from resources.storage.content import StoredFile
from resources.storage.data_key import make_user_key
from resources.storage.encrypted import EncryptedStore
from resources.storage.manifest import Manifest, read_manifest
from resources.storage.object_store import ObjectStore
from resources.storage.store import Store, open_store
from tests.resources.loading import ids, write_parquet

ROWS = 2_000
ORDERS = ("sequential", "run", "window", "exact")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"memory://{tmp_path}", cache=tmp_path / "cache", cache_bytes=10**8)


@pytest.fixture
def digest(store: ObjectStore, tmp_path: Path) -> str:
    files = write_parquet(tmp_path / "files", (ROWS,), group_rows=500)
    return pack(files, store=store, scratch=tmp_path / "scratch", keep=["id"], shard_bytes=2**18).digest


def fresh(store: ObjectStore, tmp_path: Path) -> ObjectStore:
    """Return the same store with an empty cache."""
    return ObjectStore(store.url, cache=tmp_path / "empty", cache_bytes=10**8)


def lose(store: ObjectStore, manifest: Manifest, *shards: int) -> set[int]:
    """Delete shards, and return the numbers of their rows."""
    alone = Loader(manifest_digest(store, manifest), 64, store=store, columns=["id"], order="sequential")
    numbers, ends = ids(alone), np.cumsum(manifest.shards.rows).tolist()
    for shard in shards:
        store.delete(manifest.shards[shard].file.key)
    return {n for shard in shards for n in numbers[ends[shard] - manifest.shards[shard].rows : ends[shard]]}


def manifest_digest(store: ObjectStore, manifest: Manifest) -> str:
    from resources.storage.manifest import encode
    from resources.storage.objects import put_object

    return put_object(store, encode(manifest))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("threads", [0, 2])
def test_rows_of_lost_shards_are_left_out_counted_and_told(order, threads, digest, store, tmp_path, caplog):
    manifest = read_manifest(store, digest)
    whole = ids(Loader(digest, 50, store=store, columns=["id"], order=order, seed=3))
    lost = lose(store, manifest, 1, 3)

    loader = Loader(digest, 50, store=fresh(store, tmp_path), order=order, seed=3, threads=threads, on_error="skip")
    with caplog.at_level(logging.WARNING):
        batches = [(batch["id"].to_pylist(), batch["long"].to_pylist(), batch["text"].to_pylist()) for batch in loader]

    assert [number for numbers, _, _ in batches for number in numbers] == [n for n in whole if n not in lost]
    for numbers, longs, _ in batches:
        assert longs == [bytes([number % 251]) * (1500 + number % 100) for number in numbers]
    assert all(text is not None for _, _, texts in batches for text in texts)
    assert all(numbers for numbers, _, _ in batches)
    assert loader.stats().rows_skipped == len(lost)
    assert loader.stats().rows == ROWS - len(lost)
    assert sum("is left out with its" in line for line in caplog.messages) == 2
    assert f"shard 00001 ({manifest.shards[1].file.digest[:12]})" in caplog.text
    assert (loader.epoch, loader.state().position) == (1, 0)


def test_left_out_rows_are_positions_still(digest, store, tmp_path):
    lost = lose(store, read_manifest(store, digest), 2)
    options = {"store": fresh(store, tmp_path), "columns": ["id"], "seed": 4, "on_error": "skip"}
    whole = ids(Loader(digest, 50, **options))
    loader, seen, states = Loader(digest, 50, **options), list[int](), []
    for batch in loader.numpy():
        seen += batch["id"].tolist()
        states.append((loader.state(), len(seen)))

    for state, count in states[::7]:
        rest = Loader.from_state(
            digest, state, 33, **{name: options[name] for name in ("store", "columns", "on_error")}
        )
        assert ids(rest) == whole[count:]
    ranks = [Loader(digest, 10, rank=rank, world_size=5, **options) for rank in range(5)]
    assert sorted(n for rank in ranks for n in ids(rank)) == sorted(set(range(ROWS)) - lost)


def test_a_mixture_leaves_out_what_one_of_its_datasets_lost(digest, store, tmp_path):
    lost = lose(store, read_manifest(store, digest), 0)
    other = write_parquet(tmp_path / "other", (300,), group_rows=100)
    mixed = Loader({digest: 1.0, str(other): 1.0}, 64, store=fresh(store, tmp_path), columns=["id"], on_error="skip")

    seen = ids(mixed)

    assert len(seen) + mixed.stats().rows_skipped == mixed.rows
    assert mixed.stats().rows_skipped > 0
    assert not (lost & set(range(300, ROWS)) & set(seen))


def test_without_any_shard_there_is_no_batch(digest, store, tmp_path):
    manifest = read_manifest(store, digest)
    lose(store, manifest, *range(len(manifest.shards)))
    loader = Loader(digest, 50, store=fresh(store, tmp_path), on_error="skip")

    assert list(loader) == []
    assert loader.stats().rows_skipped == ROWS


@pytest.mark.parametrize("order", ORDERS)
def test_a_damaged_shard_is_named_by_default_and_left_out_on_demand(order, digest, store, tmp_path):
    shard = read_manifest(store, digest).shards[1]
    data = bytearray(store.get(shard.file.key))
    data[len(data) // 2] ^= 1
    store.put(shard.file.key, bytes(data))

    with pytest.raises(IntegrityError, match=rf"shard 00001 \({shard.file.digest[:12]}\).*was altered"):
        ids(Loader(digest, 50, store=fresh(store, tmp_path), columns=["id"], order=order))
    loader = Loader(digest, 50, store=fresh(store, tmp_path), columns=["id"], order=order, on_error="skip")
    assert len(ids(loader)) == ROWS - shard.rows


def test_a_missing_shard_is_named_by_default(digest, store, tmp_path):
    lose(store, read_manifest(store, digest), 1)

    with pytest.raises(ObjectMissing, match="shard 00001"):
        ids(Loader(digest, 50, store=fresh(store, tmp_path), columns=["id"]))


def test_a_store_that_cannot_be_reached_is_no_damage(digest, store, tmp_path):
    class Away(ObjectStore):
        def stream(self, *_: object) -> None:
            raise StoreError("cannot fetch: nobody answers")

    away = Away(store.url, cache=tmp_path / "empty", cache_bytes=10**8)
    with pytest.raises(StoreError, match="nobody answers"):
        ids(Loader(digest, 50, store=away, columns=["id"], on_error="skip"))


@pytest.mark.parametrize("kind", ["folder", "encrypted folder", "encrypted memory"])
@pytest.mark.parametrize("order", ORDERS)
def test_stores_whose_shards_are_at_hand_or_decrypted_give_the_same_rows(kind, order, digest, store, tmp_path):
    key = tmp_path / "key"
    make_user_key(key)
    url = str(tmp_path / "other") if kind.endswith("folder") else f"memory://{tmp_path}/other"
    other = open_store(
        url, cache=tmp_path / "c", cache_bytes=10**8, encryption_key=key if kind.startswith("encrypted") else None
    )
    files = write_parquet(tmp_path / "files", (ROWS,), group_rows=500)
    again = pack(files, store=other, scratch=tmp_path / "scratch", keep=["id"], shard_bytes=2**18).digest
    lost = read_manifest(other, again).shards[1]

    whole = ids(Loader(again, 50, store=other, columns=["id"], order=order, seed=3))
    other.delete(lost.file.key)
    rest = Loader(
        again, 50, store=fresh_twin(other, key, tmp_path), columns=["id"], order=order, seed=3, on_error="skip"
    )

    assert again == digest
    assert whole == ids(Loader(digest, 50, store=store, columns=["id"], order=order, seed=3))
    assert len(ids(rest)) == ROWS - lost.rows


def fresh_twin(store: Store, key: Path, tmp_path: Path) -> Store:
    encrypted = isinstance(store, EncryptedStore)
    return open_store(store.url, cache=tmp_path / "d", cache_bytes=10**8, encryption_key=key if encrypted else None)


def test_a_policy_that_nobody_knows_is_refused(digest, store):
    with pytest.raises(LoaderError, match="on_error is 'ignore': choose one of raise, skip"):
        Loader(digest, 50, store=store, on_error="ignore")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0, 2.0])
def test_kept_shards_fill_the_budget_but_for_less_than_one(share):
    chance = np.random.default_rng(7)
    files = [
        StoredFile(digest=f"{number:064x}", md5="0" * 32, size_bytes=int(size))
        for number, size in enumerate(chance.integers(900, 1_100, 50))
    ]
    total = sum(file.size_bytes for file in files)
    budget = int(share * total)

    chosen = sum(file.size_bytes for file in files if file.digest in kept(files, budget))

    assert chosen <= budget
    assert chosen == total or budget - chosen < 1_100
    assert kept(files, budget) == kept(files[::-1], budget)
