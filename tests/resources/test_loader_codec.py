"""Compressed shards: the same rows and orders, decompressed once into the host's cache, which holds them plain."""

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.canonical import canonical_json
from resources.errors import IntegrityError, LoaderError, ObjectMissing
from resources.loader import Loader
from resources.loader.columns import fixed
from resources.loader.pack import pack
from resources.loader.packing import packed, packed_schema
from resources.loader.shard_file import write_shard
from resources.loader.shuffled import read_in_order, write_shuffled
from resources.storage.buffers import Buffers
from resources.storage.cache.intake import behind
from resources.storage.cache.layout import Layout
from resources.storage.cache.scrub import scrub
from resources.storage.comparison import diff
from resources.storage.compressed import CODECS, PLAIN, compress, expand
from resources.storage.content import describe_bytes, describe_file
from resources.storage.data_key import make_user_key
from resources.storage.datasets import read_frame, reference, scan
from resources.storage.layered import LayeredStore
from resources.storage.manifest import Manifest, Shard, Shards, decode, encode, read_manifest
from resources.storage.object_store import ObjectStore
from resources.storage.objects import get_object, put_object
from resources.storage.shard_copies import borrowed_shards
from resources.storage.store import open_store
from resources.storage.verify import verify
from resources.storage.versions import kind_of, version
from resources.storage.whole import read_whole
from tests.resources.loading import ids, rows_of, write_parquet
from tests.resources.remotes import flip

ROWS = 3_000
SHARD_BYTES = 2**19


@pytest.fixture
def files(tmp_path) -> Path:
    return write_parquet(tmp_path / "files", (ROWS,), group_rows=1_000)


@pytest.fixture
def remote(tmp_path) -> ObjectStore:
    return ObjectStore(f"memory://{tmp_path.name}", cache=tmp_path / "cache", cache_bytes=10**9)


def packed_in(store, files, codec, keep=("id",)) -> str:
    scratch = files.parent / "scratch"
    return pack(files, store=store, scratch=scratch, keep=keep, shard_bytes=SHARD_BYTES, codec=codec).digest


def copies(store: ObjectStore) -> dict[str, int]:
    """Return digest and bytes of what the cache holds."""
    return {path.name: path.stat().st_size for path in (store.cache.root / "objects").rglob("*") if path.is_file()}


def plain_files(store, digest) -> dict[str, int]:
    return {shard.plain.digest: shard.plain.size_bytes for shard in read_manifest(store, digest).shards}


@settings(max_examples=40)
@given(rows=st.integers(0, 300), first=st.integers(0, 9), codec=st.sampled_from(CODECS))
def test_a_compressed_shard_is_an_arrow_file_and_becomes_its_plain_file_byte_for_byte(
    tmp_path_factory, rows, first, codec
):
    folder = tmp_path_factory.mktemp("shard")
    batch = rows_of(first, rows)
    batch = packed(batch, packed_schema(batch.schema, holed=["holed"]))
    write_shard(folder / "plain", batch)
    compress(folder / "plain", folder / "packed", codec)
    data = pa.py_buffer((folder / "packed").read_bytes())
    assert pa.ipc.open_file(data).get_batch(0).equals(batch)
    assert pl.read_ipc(folder / "packed").height == rows
    target = bytearray(b"\xff" * (folder / "plain").stat().st_size)
    assert expand(data, memoryview(target)) == describe_file(folder / "plain")[0].digest
    assert bytes(target) == (folder / "plain").read_bytes()


def test_what_cannot_be_a_compressed_shard_is_no_shard_and_never_overruns_its_memory(tmp_path):
    batch = packed(rows_of(0, 640), packed_schema(rows_of(0, 1).schema, holed=["holed"]))
    write_shard(tmp_path / "plain", batch)
    compress(tmp_path / "plain", tmp_path / "packed", "lz4")
    data, size_bytes = (tmp_path / "packed").read_bytes(), (tmp_path / "plain").stat().st_size
    for short in (0, 1, size_bytes - 1):
        with pytest.raises(ValueError, match="stands for"):
            expand(pa.py_buffer(data), memoryview(bytearray(short)))
    truth = describe_file(tmp_path / "plain")[0].digest
    assert expand(pa.py_buffer(data), memoryview(bytearray(size_bytes + 8))) != truth
    for other in (b"", b"no Arrow file", data[:-10], (tmp_path / "plain").read_bytes()):
        with pytest.raises(ValueError, match=r"."):
            expand(pa.py_buffer(other), memoryview(bytearray(size_bytes)))
    with pa.ipc.new_file(tmp_path / "two", batch.schema, metadata={PLAIN: b"{}"}) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)
    with pytest.raises(ValueError, match=r"head|one record batch"):
        expand(pa.py_buffer((tmp_path / "two").read_bytes()), memoryview(bytearray(size_bytes)))


@pytest.mark.parametrize("at", range(0, 4000, 37))
def test_a_byte_that_is_wrong_gives_another_digest_or_an_error(tmp_path, at):
    batch = packed(rows_of(0, 64), packed_schema(rows_of(0, 1).schema, holed=["holed"]))
    write_shard(tmp_path / "plain", batch)
    compress(tmp_path / "plain", tmp_path / "packed", "zstd")
    truth = describe_file(tmp_path / "plain")[0]
    data = bytearray((tmp_path / "packed").read_bytes())
    data[at % len(data)] ^= 0x41
    target = bytearray(truth.size_bytes)
    try:
        found = expand(pa.py_buffer(data), memoryview(target))
    except ValueError:
        return
    assert (found == truth.digest) == (bytes(target) == (tmp_path / "plain").read_bytes())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("order", ["sequential", "run", "window", "exact"])
def test_the_rows_are_those_of_the_plain_dataset_in_every_order(files, remote, codec, order):
    digest, plain = packed_in(remote, files, codec), packed_in(remote, files, None)
    made, other = read_manifest(remote, digest), read_manifest(remote, plain)
    assert made.size_bytes < 0.5 * other.size_bytes  # most of it are bytes that repeat themselves
    assert len(made.shards) > 6
    assert [shard.plain for shard in made.shards] == [shard.file for shard in other.shards]
    loader = Loader(digest, 100, store=remote, order=order, seed=3)
    for _ in range(2):
        seen = ids(loader)
        assert sorted(seen) == list(range(ROWS))
    whole = Loader(digest, ROWS, store=remote, order="sequential").numpy()
    expected = Loader(plain, ROWS, store=remote, order="sequential").numpy()
    for batch, truth in zip(whole, expected, strict=True):
        assert np.array_equal(batch["float64"], truth["float64"])
        assert bytes(batch["long"].values) == bytes(truth["long"].values)


@pytest.mark.parametrize("order", ["window", "exact"])
def test_the_cache_has_the_plain_files_and_a_second_epoch_fetches_nothing(files, remote, order):
    digest = packed_in(remote, files, "zstd")
    size_bytes = read_manifest(remote, digest).size_bytes
    before = remote.cache.stats().fetched_bytes
    loader = Loader(digest, 100, store=remote, order=order)
    first = sorted(ids(loader))
    behind().flush()
    assert remote.cache.stats().fetched_bytes - before == size_bytes
    assert copies(remote) == plain_files(remote, digest)
    again = Loader(digest, 100, store=ObjectStore(remote.url, cache=remote.cache.root), order=order)
    assert sorted(ids(again)) == sorted(ids(loader)) == first
    assert remote.cache.stats().fetched_bytes - before == size_bytes
    assert scrub(remote.cache).damaged == ()


def test_numbers_of_a_plain_copy_lie_at_multiples_of_64_bytes(files, remote):
    digest = packed_in(remote, files, "lz4")
    sorted(ids(Loader(digest, 100, store=remote)))
    behind().flush()
    for path in (remote.cache.root / "objects").rglob("*/*"):
        data = pa.py_buffer(path.read_bytes())
        batch = pa.ipc.open_file(data).get_batch(0)
        numbers = [
            column for field, column in zip(batch.schema, batch.columns, strict=True) if fixed(field.type) is not None
        ]
        places = [column.buffers()[-1].address - data.address for column in numbers if not column.null_count]
        assert places
        assert all(place % 64 == 0 for place in places[:1])


def test_a_store_in_a_folder_has_no_cache_so_the_file_itself_is_decompressed_in_each_epoch(files, tmp_path):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    digest = packed_in(store, files, "zstd")
    loader = Loader(digest, 100, store=store, order="exact")
    assert sorted(ids(loader)) == sorted(ids(loader)) == list(range(ROWS))
    assert read_frame(store, digest)["id"].sort().to_list() == list(range(ROWS))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("codec", CODECS)
def test_frames_scans_and_packing_anew_read_compressed_shards(files, remote, codec):
    digest = packed_in(remote, files, codec)
    plain = read_frame(remote, packed_in(remote, files, None))
    other = ObjectStore(remote.url, cache=remote.cache.root.parent / "other")
    assert read_frame(other, digest).equals(plain)
    assert scan(other, digest).select("third").collect().equals(plain.select("third"))
    assert set(copies(other)) == set(plain_files(remote, digest))
    again = pack(digest, store=remote, scratch=files.parent / "scratch", keep=["id"]).digest
    assert sorted(read_frame(remote, again)["id"]) == list(range(ROWS))
    assert read_manifest(remote, again).codec is None


def test_a_damaged_plain_copy_is_made_anew(files, remote):
    digest = packed_in(remote, files, "lz4")
    expected = read_frame(remote, digest)
    path = remote.cache.path_of(next(iter(plain_files(remote, digest))))
    flip(path, 1_000)
    assert read_frame(remote, digest).equals(expected)
    assert remote.cache.stats().damaged >= 1
    flip(path, 1_000)
    assert scrub(remote.cache).dropped == (path.name,)
    assert sorted(ids(Loader(digest, 100, store=remote))) == list(range(ROWS))
    behind().flush()
    assert copies(remote) == plain_files(remote, digest)


def alter(store: ObjectStore, key: str) -> None:
    data = bytearray(store.get(key))
    data[len(data) // 2] ^= 1
    store.put(key, bytes(data))


@pytest.mark.parametrize("order", ["run", "exact"])
def test_an_altered_shard_is_fetched_twice_named_and_never_kept(files, remote, order):
    digest = packed_in(remote, files, "zstd")
    lost = read_manifest(remote, digest).shards[3]
    alter(remote, lost.file.key)
    assert [fault.key for fault in verify(remote, digest).faults] == [lost.file.key]
    with pytest.raises(IntegrityError, match=rf"{lost.file.digest} .*was altered: its bytes, fetched twice"):
        ids(Loader(digest, 100, store=remote, order=order))
    behind().flush()
    assert lost.plain.digest not in copies(remote)
    seen = ids(Loader(digest, 100, store=remote, order=order, on_error="skip"))
    assert len(seen) == ROWS - lost.rows


def in_memory(store: ObjectStore, shard: Shard) -> None:
    read_whole([store], shard.file, Buffers(), keep=True, plain=shard.plain)


def in_a_file(store: ObjectStore, shard: Shard) -> None:
    with borrowed_shards(store, [shard]):
        behind().flush()


@pytest.mark.parametrize("read", [in_memory, in_a_file])
def test_a_shard_that_was_altered_is_fetched_once_more_and_one_that_was_not_is_fetched_once(files, remote, read):
    whole, lost = read_manifest(remote, packed_in(remote, files, "zstd")).shards[:2]
    alter(remote, lost.file.key)
    for shard, times in ((whole, 1), (lost, 2)):
        before = remote.cache.stats()
        with suppress(IntegrityError) if shard is lost else nullcontext():
            read(remote, shard)
        behind().flush()
        now = remote.cache.stats()
        assert (now.fetched_bytes - before.fetched_bytes) == times * shard.file.size_bytes
        assert now.retries - before.retries == times - 1
    assert set(copies(remote)) == {whole.plain.digest}
    read(remote, whole)
    assert remote.cache.stats().fetched_bytes == now.fetched_bytes


def misnamed(store: ObjectStore, digest: str) -> str:
    """Store a manifest that names for its first shard the plain form of other rows, and return its digest."""
    made = read_manifest(store, digest)
    first = made.shards[0]
    other = describe_bytes(bytes(first.plain.size_bytes))[0]
    shards = [replace(first, plain=other), *list(made.shards)[1:]]
    return put_object(store, encode(replace(made, shards=Shards.of(shards))))


@pytest.mark.parametrize("order", ["run", "exact"])
def test_a_manifest_that_names_another_plain_form_poisons_no_cache(files, remote, order):
    digest = packed_in(remote, files, "lz4")
    lying = misnamed(remote, digest)
    with pytest.raises(IntegrityError, match="make the dataset again"):
        ids(Loader(lying, 100, store=remote, order=order))
    behind().flush()
    assert scrub(remote.cache).damaged == ()
    assert sorted(ids(Loader(digest, 100, store=remote, order=order))) == list(range(ROWS))


def test_a_cache_without_room_for_all_keeps_plain_bytes_within_its_budget(files, remote):
    digest = packed_in(remote, files, "zstd")
    made = read_manifest(remote, digest)
    budget_bytes = made.plain_bytes // 2
    assert made.size_bytes < budget_bytes  # compressed, all of it would have room
    store = ObjectStore(remote.url, cache=remote.cache.root.parent / "small", cache_bytes=budget_bytes)
    loader = Loader(digest, 100, store=store, order="run")
    for _ in range(3):
        assert sorted(ids(loader)) == list(range(ROWS))
        behind().flush()
    held = copies(store)
    assert held.keys() < plain_files(remote, digest).keys()
    assert 0.5 * budget_bytes < sum(held.values()) <= budget_bytes
    assert store.cache.stats().unkept == 0


def test_a_disk_that_is_full_costs_the_copies_alone(files, remote, monkeypatch):
    digest = packed_in(remote, files, "zstd")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "part")

    monkeypatch.setattr("resources.storage.cache.intake.write_past_cache", full)
    before = remote.cache.stats().unkept
    assert sorted(ids(Loader(digest, 100, store=remote))) == list(range(ROWS))
    behind().flush()
    assert remote.cache.stats().unkept - before == len(read_manifest(remote, digest).shards)
    assert copies(remote) == {}


def test_a_plain_copy_that_is_leased_is_not_evicted_and_goes_afterwards(files, remote):
    digest = packed_in(remote, files, "lz4")
    sizes = plain_files(remote, digest)
    store = ObjectStore(remote.url, cache=remote.cache.root.parent / "two", cache_bytes=2 * max(sizes.values()))
    shards = read_manifest(remote, digest).shards
    with borrowed_shards(store, [shards[0]]) as (path,):
        for shard in shards:
            with borrowed_shards(store, [shard]):
                assert path.exists()
    for shard in (*shards, *shards):
        with borrowed_shards(store, [shard]):
            pass
    assert sum(copies(store).values()) <= 2 * max(sizes.values())
    assert store.cache.stats().evictions > 0


def test_what_the_base_has_compressed_is_kept_plain_over_a_folder_of_ones_own(files, remote, tmp_path):
    digest = packed_in(remote, files, "zstd")
    own = open_store(str(tmp_path / "own"), cache=tmp_path / "unused")
    base = ObjectStore(remote.url, cache=tmp_path / "cache-of-base")
    store = LayeredStore(own, base)
    loader = Loader(digest, 100, store=store)
    assert sorted(ids(loader)) == sorted(ids(loader)) == list(range(ROWS))
    assert copies(base) == plain_files(remote, digest)
    assert base.cache.stats().fetched_bytes >= read_manifest(remote, digest).size_bytes
    lost = read_manifest(remote, digest).shards[0].file.key
    remote.delete(lost)
    with pytest.raises(ObjectMissing, match=lost):
        ids(Loader(digest, 100, store=LayeredStore(own, ObjectStore(remote.url, cache=tmp_path / "new"))))


def test_an_encrypted_store_keeps_no_plain_copy_on_a_disk(files, tmp_path):
    make_user_key(tmp_path / "key")
    store = open_store(f"memory://{tmp_path.name}", cache=tmp_path / "cache", encryption_key=tmp_path / "key")
    digest = packed_in(store, files, "zstd")
    loader = Loader(digest, 100, store=store)
    assert sorted(ids(loader)) == sorted(ids(loader)) == list(range(ROWS))
    held = {path.name for path in (tmp_path / "cache" / "objects").rglob("*") if path.is_file()}
    assert held
    assert held.isdisjoint(plain_files(store, digest))


def test_where_is_answered_from_plain_copies(files, remote):
    digest = packed_in(remote, files, "zstd")
    size_bytes = read_manifest(remote, digest).size_bytes
    before = remote.cache.stats().fetched_bytes
    loader = Loader(digest, 100, store=remote, where=[("id", "<", 1_000)])
    assert sorted(ids(loader)) == sorted(ids(loader)) == list(range(1_000))
    behind().flush()
    assert remote.cache.stats().fetched_bytes - before <= size_bytes
    assert set(copies(remote)) <= set(plain_files(remote, digest))


def test_auto_compresses_behind_an_object_store_what_is_worth_it(files, remote, tmp_path):
    folder = open_store(str(tmp_path / "store"), cache=tmp_path / "unused")
    assert read_manifest(remote, packed_in(remote, files, "auto")).codec == "zstd"
    assert packed_in(remote, files, "auto") == packed_in(remote, files, "zstd")
    assert packed_in(folder, files, "auto") == packed_in(folder, files, None)
    noise = np.random.default_rng(1).standard_normal((8, 20_000))
    pq.write_table(pa.table({f"x{number}": pa.array(column) for number, column in enumerate(noise)}), tmp_path / "n")
    assert read_manifest(remote, packed_in(remote, tmp_path / "n", "auto", keep=())).codec is None
    assert read_manifest(remote, packed_in(remote, tmp_path / "n", "zstd", keep=())).codec == "zstd"


def test_a_codec_that_is_none_is_refused(files, remote):
    with pytest.raises(LoaderError, match=r"codec is 'gzip': give one of lz4, zstd, auto"):
        packed_in(remote, files, "gzip")


def test_frames_are_stored_compressed_and_come_back_in_their_order(remote, tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "label": rng.integers(0, 2, 5_000).astype(float),
            "x": rng.integers(0, 9, 5_000).astype(float),
            "y": [None if number % 11 == 0 else float(number % 13) for number in range(5_000)],
            "text": [("red", "green", None)[number % 3] for number in range(5_000)],
        }
    )
    scratch = tmp_path / "scratch"
    refs = [write_shuffled(remote, frame, scratch=scratch, keep=["label"], codec=codec) for codec in ("auto", None)]
    assert read_manifest(remote, refs[0].digest).codec == "zstd"
    assert read_in_order(remote, refs[0].digest).equals(read_in_order(remote, refs[1].digest))
    assert read_in_order(remote, refs[0].digest).select(frame.columns).equals(frame)
    assert refs[0].size_bytes < refs[1].size_bytes
    together = Loader(refs, 1_000, store=remote)  # of both kinds
    assert sum(batch.num_rows for batch in together) == 10_000


def test_a_manifest_of_compressed_shards_says_so_and_older_ones_are_what_they_were(files, remote):
    digest, plain = packed_in(remote, files, "lz4"), packed_in(remote, files, None)
    data, older = get_object(remote, digest), get_object(remote, plain)
    assert data.startswith(b'{"codec":"lz4","encoding":"arrow","format":4,"kind":"dataset"')
    assert older.startswith(b'{"encoding":"arrow","format":3,"kind":"dataset"')
    assert b"plain" not in older
    assert kind_of(data) == kind_of(older) == "dataset"
    assert encode(decode(data)) == data
    assert encode(decode(older)) == older
    made = decode(data)
    assert made.shards[2:5].plain.digests == [shard.plain.digest for shard in list(made.shards)[2:5]]
    assert (made.plain_bytes, decode(older).plain_bytes) == (decode(older).size_bytes,) * 2
    assert reference(remote, digest).size_bytes == version(remote, digest).size_bytes == made.size_bytes
    assert list(version(remote, digest).files)[:1] == ["00000.arrow"]
    assert diff(remote, plain, digest).rows == (ROWS, ROWS)
    assert diff(remote, plain, digest).columns == ()


@pytest.mark.parametrize(
    "change",
    [
        {"codec": "gzip"},
        {"codec": None},
        {"format": 3},
        {"format": 5},
        {"encoding": "parquet"},
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(files, remote, change):
    value = json.loads(get_object(remote, packed_in(remote, files, "zstd")))
    with pytest.raises(ValueError, match=r"."):
        decode(canonical_json(value | change))


def test_plain_forms_of_other_rows_or_of_some_shards_are_refused(files, remote):
    value = json.loads(get_object(remote, packed_in(remote, files, "zstd")))
    for column in ("digest", "md5", "size_bytes"):
        shards = value["shards"] | {"plain": value["shards"]["plain"] | {column: value["shards"][column][1:]}}
        with pytest.raises(ValueError, match="differ in length"):
            decode(canonical_json(value | {"shards": shards}))
    shards = list(decode(canonical_json(value)).shards)
    with pytest.raises(ValueError, match="other rows"):
        Shards.of([replace(shards[0], plain=None), *shards[1:]])
    with pytest.raises(ValueError, match="codec is None"):
        Manifest(schema=pa.schema([]), shards=Shards.of(shards), encoding="arrow")


def test_what_a_killed_process_left_of_a_plain_copy_is_written_over(files, remote):
    digest = packed_in(remote, files, "zstd")
    layout = Layout(remote.cache.root)
    layout.make()
    for name, size_bytes in plain_files(remote, digest).items():
        layout.part(name, size_bytes).write_bytes(b"half" * 1_000)
        layout.journal(name).write_bytes(b"\1")
    assert sorted(read_frame(remote, digest)["id"]) == list(range(ROWS))
    assert copies(remote) == plain_files(remote, digest)
    assert list((remote.cache.root / "parts").iterdir()) == []


def test_threads_of_a_process_decompress_a_shard_once(files, remote):
    digest = packed_in(remote, files, "lz4")
    shards = read_manifest(remote, digest).shards
    before = remote.cache.stats().fetched_bytes
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: in_a_file(remote, shards[number % len(shards)]), range(8 * len(shards))))
    assert remote.cache.stats().fetched_bytes - before == sum(shards.sizes_bytes)
