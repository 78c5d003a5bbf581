import hashlib
import os
import secrets
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.storage.content import (
    BLOCK_BYTES,
    CHUNK_BYTES,
    StoredFile,
    Tree,
    block_digests,
    chunk_digest,
    describe_bytes,
    describe_file,
    digest_of_file,
    root_of,
)

SIZES = [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + BLOCK_BYTES + 3]


def written_out(data: bytes) -> str:
    """The definition, as docs/storage.md words it."""

    def joined(digests: list[bytes], before: bytes, context: str) -> bytes:
        if len(digests) == 1:
            return digests[0]
        return blake3(before + b"".join(digests), derive_key_context=context).digest()

    def parts(whole: bytes, size: int) -> list[bytes]:
        return [whole[start : start + size] for start in range(0, len(whole), size)] or [b""]

    chunks = [
        joined([blake3(block).digest() for block in parts(chunk, 65_536)], b"",
               "penstock 2026-11 digest of a chunk from those of its blocks")
        for chunk in parts(data, 4_194_304)
    ]  # fmt: skip
    context = "penstock 2026-11 digest of a file from its size and those of its chunks"
    return joined(chunks, len(data).to_bytes(8, "little"), context).hex()


@pytest.mark.parametrize("size", SIZES)
def test_the_digest_is_the_same_by_every_way_and_as_defined(tmp_path, size):
    data = secrets.token_bytes(size)
    (tmp_path / "file").write_bytes(data)

    file, tree = describe_bytes(data)

    assert (file, tree) == describe_file(tmp_path / "file")
    assert file.digest == tree.root == digest_of_file(tmp_path / "file") == written_out(data)
    assert file.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert file.size_bytes == size


def test_a_file_that_is_cut_while_it_is_hashed_is_an_error_not_the_end_of_the_process(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(bytes(2 * CHUNK_BYTES))
    read = os.preadv

    def cut(*arguments: Any) -> int:
        os.truncate(file, CHUNK_BYTES + 1)
        return read(*arguments)

    monkeypatch.setattr(os, "preadv", cut)
    with pytest.raises(OSError, match=r"ended before byte [\d,]+: somebody cut it meanwhile"):
        digest_of_file(file)


def test_a_file_of_one_block_is_named_by_its_plain_blake3_digest():
    assert describe_bytes(b"")[0].digest == blake3(b"").hexdigest()
    assert describe_bytes(b"x" * BLOCK_BYTES)[0].digest == blake3(b"x" * BLOCK_BYTES).hexdigest()


def test_a_tree_verifies_each_chunk_and_block():
    data = secrets.token_bytes(2 * CHUNK_BYTES + BLOCK_BYTES + 3)
    file, tree = describe_bytes(data)

    chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
    assert [tree.chunk(number) for number in range(3)] == [chunk_digest(chunk) for chunk in chunks]
    assert root_of([chunk_digest(chunk) for chunk in chunks], len(data)) == file.digest
    last = len(data) // BLOCK_BYTES
    assert tree.block(last) == block_digests(data[last * BLOCK_BYTES :])


@settings(max_examples=20, deadline=None)
@given(at=st.integers(min_value=0, max_value=CHUNK_BYTES + 99))
def test_any_flipped_bit_changes_the_digest(at):
    data = bytearray(CHUNK_BYTES + 100)
    before = describe_bytes(data)[0]
    data[at] ^= 1

    assert describe_bytes(data)[0].digest != before.digest


def test_parts_in_another_order_or_of_another_size_have_another_root():
    _, tree = describe_bytes(secrets.token_bytes(2 * CHUNK_BYTES))

    first, second = tree.chunk(0), tree.chunk(1)
    assert root_of([first, second], 2 * CHUNK_BYTES) == tree.root
    assert root_of([second, first], 2 * CHUNK_BYTES) != tree.root
    assert Tree(size_bytes=2 * CHUNK_BYTES - 1, blocks=tree.blocks).root != tree.root


@pytest.mark.parametrize(
    "wrong", [{"digest": "ab"}, {"digest": "G" * 64}, {"md5": "0" * 31}, {"md5": "../" + "a" * 29}, {"size_bytes": -1}]
)
def test_what_names_no_file_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StoredFile(**{"digest": "a" * 64, "md5": "b" * 32, "size_bytes": 1} | wrong)
