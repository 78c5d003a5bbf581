"""Compressed shards: the same rows and orders, decompressed once into the host's cache, which holds them plain."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.errors import IntegrityError, LoaderError, ObjectMissing
from resources.loader import Loader
from resources.loader.columns import fixed
from resources.loader.pack import pack
from resources.loader.packing import packed, packed_schema
from resources.loader.shard_file import write_shard
from resources.loader.shuffled import read_in_order, write_shuffled
from resources.storage.cache.intake import behind
from resources.storage.cache.scrub import scrub
from resources.storage.comparison import diff
from resources.storage.compressed import CODECS, PLAIN, compress, expand
from resources.storage.content import describe_file
from resources.storage.datasets import read_frame, reference, scan
from resources.storage.layered import LayeredStore
from resources.storage.manifest import Manifest, Shards, decode, encode, read_manifest
from resources.storage.object_store import ObjectStore
from resources.storage.objects import get_object
from resources.storage.store import open_store
from resources.storage.verify import verify
from resources.storage.versions import kind_of, version
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


def packed_in(store, files, codec, **more) -> str:
    scratch = files.parent / "scratch"
    return pack(files, store=store, scratch=scratch, keep=["id"], shard_bytes=SHARD_BYTES, codec=codec, **more).digest


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
