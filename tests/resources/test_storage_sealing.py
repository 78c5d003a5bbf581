"""The form of encrypted values: known answers by an independent reader, round trips, and every kind of tampering."""

import hmac
import secrets
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.storage.content import CHUNK_BYTES, describe_bytes
from resources.storage.sealing import (
    FRAME_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    DataKey,
    key_id,
    plain_bytes,
    read_header,
    seal,
    seal_file,
    unseal,
)

KEY, OTHER = DataKey(bytes(range(32))), DataKey(bytes(32))
NAME = "files/md5/ab/cdef"
FRAME = FRAME_BYTES + TAG_BYTES
sizes = st.sampled_from([0, 1, 2, 3]).flatmap(
    lambda frames: st.integers(max(0, frames * FRAME_BYTES - 2), frames * FRAME_BYTES + 2)
)
values = st.one_of(st.binary(max_size=300), sizes.map(secrets.token_bytes))


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, one block."""
    return hmac.digest(hmac.digest(salt or bytes(32), secret, "sha256"), info + b"\1", "sha256")


def read_by_the_book(secret: bytes, name: str, sealed: bytes) -> bytes:
    """Decrypt as the module's text describes it, sharing nothing with it but AES-GCM."""
    magic, size, salt = sealed[:8], sealed[16:24], sealed[24:56]
    assert (magic, sealed[8:16]) == (
        b"PNSTKAE1", blake3(secret, derive_key_context="penstock 2026-11 id of an encryption key").digest()[:8],
    )  # fmt: skip
    cipher = AESGCM(hkdf(secret, salt, b"penstock 1 key of a value"))
    bound = b"PNSTKAE1" + name.encode() + b"\0" + size
    body = sealed[104:]
    digest = cipher.decrypt(b"\xff" * 12, sealed[56:104], bound)
    assert digest.hex() == describe_bytes(body)[0].digest
    frames = [body[start : start + 65_552] for start in range(0, len(body), 65_552)]
    plain = b""
    for number, frame in enumerate(frames):
        place = number.to_bytes(8, "big") + bytes([number == len(frames) - 1])
        plain += cipher.decrypt(number.to_bytes(12, "big"), frame, bound + place)
    assert len(plain) == int.from_bytes(size, "big")
    wanted = hmac.digest(
        hkdf(secret, b"", b"penstock 1 salt of a value"), name.encode() + b"\0" + blake3(plain).digest(), "sha256"
    )
    assert salt == wanted
    return plain


@pytest.mark.parametrize("size_bytes", [0, 1, 65_535, 65_536, 65_537, 200_000, CHUNK_BYTES + 1])
def test_a_value_is_encrypted_as_the_text_says(size_bytes):
    data = secrets.token_bytes(size_bytes)

    assert read_by_the_book(KEY.secret, NAME, seal(KEY, NAME, data)) == data


def test_the_form_stays_as_it_is():
    sealed = seal(KEY, NAME, bytes(range(256)) * 300)

    assert len(sealed) == 104 + 76_800 + 2 * 16
    assert sealed[:56].hex() == VECTOR_HEAD
    assert blake3(sealed).hexdigest() == VECTOR_DIGEST


VECTOR_HEAD = (
    "504e53544b414531d9e801ff8409a01a0000000000012c00d8be1a5e141afd3aa6d2855298c2d2eb4f046f929a49b45afeba9c5a92063471"
)
VECTOR_DIGEST = "e40a653c61d93d465baf08fb3c8d359509e73bdd337c5f564b2dd9d9808565b2"


@settings(max_examples=60)
@given(data=values, name=st.text(min_size=1, max_size=20))
def test_what_was_sealed_is_unsealed(data, name):
    sealed = seal(KEY, name, data)

    assert unseal(KEY, name, sealed) == data
    assert plain_bytes(len(sealed)) == len(data)
    assert seal(KEY, name, data) == sealed


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=values)
def test_a_file_becomes_what_its_bytes_become(tmp_path: Path, data: bytes):
    folder = tmp_path / secrets.token_hex(4)
    folder.mkdir()
    (folder / "plain").write_bytes(data)

    seal_file(KEY, NAME, folder / "plain", folder / "sealed")

    assert (folder / "sealed").read_bytes() == seal(KEY, NAME, data)


@settings(max_examples=60)
@given(data=values, where=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(data, where, bit):
    sealed = bytearray(seal(KEY, NAME, data))
    sealed[where % len(sealed)] ^= 1 << bit

    with pytest.raises(ValueError):
        unseal(KEY, NAME, bytes(sealed))


@settings(max_examples=60)
@given(data=values, where=st.integers(0))
def test_a_value_that_was_cut_anywhere_is_noticed(data, where):
    sealed = seal(KEY, NAME, data)

    with pytest.raises(ValueError):
        unseal(KEY, NAME, sealed[: where % len(sealed)])


DATA = secrets.token_bytes(3 * FRAME_BYTES)
SEALED = seal(KEY, NAME, DATA)
HEAD, BODY = SEALED[:HEADER_BYTES], SEALED[HEADER_BYTES:]
A, B, C = (BODY[number * FRAME : (number + 1) * FRAME] for number in range(3))
FOREIGN = seal(KEY, NAME, DATA[::-1])[HEADER_BYTES:][:FRAME]
SHORTER = seal(KEY, NAME, DATA[: 2 * FRAME_BYTES])[:HEADER_BYTES]


@pytest.mark.parametrize(
    "tampered",
    [
        HEAD + B + A + C, HEAD + A + A + C, HEAD + A + B, HEAD + A + C, HEAD + C, HEAD, HEAD + A + B + B + C,
        HEAD + A + B + C + C, HEAD + A + B + C + b"x", HEAD + FOREIGN + B + C, SHORTER + A + B, SHORTER + A + B + C,
        SHORTER + A + C, HEAD[:40] + A + B + C, DATA, b"",
    ],
    ids=[
        "swapped", "doubled", "last cut off", "middle cut out", "only the last", "no frames", "one inserted",
        "last doubled", "bytes appended", "a frame of another value", "header of a shorter value",
        "header of a shorter value, frames of this", "a frame in the place of another last", "half a header", "plain",
        "nothing",
    ],
)  # fmt: skip
def test_frames_that_are_not_where_they_were_written_are_noticed(tampered):
    assert unseal(KEY, NAME, HEAD + A + B + C) == DATA
    with pytest.raises(ValueError):
        unseal(KEY, NAME, tampered)


def test_every_frame_opens_only_in_its_place():
    header = read_header(KEY, NAME, SEALED)
    for frame, place in ((A, 0), (B, 1), (C, 2)):
        assert b"".join(header.opened(place, frame)) == DATA[place * FRAME_BYTES : (place + 1) * FRAME_BYTES]
        for other in {0, 1, 2, 3} - {place}:
            with pytest.raises(ValueError):
                list(header.opened(other, frame))


def test_a_value_under_another_name_or_key_is_noticed():
    with pytest.raises(ValueError, match="are not those that were written under this name"):
        unseal(KEY, "files/md5/ab/other", SEALED)
    with pytest.raises(ValueError, match=f"data key {KEY.id.hex()}, that of this store is {OTHER.id.hex()}"):
        unseal(OTHER, NAME, SEALED)
    with pytest.raises(ValueError, match="it is not encrypted"):
        unseal(KEY, NAME, DATA)


def test_no_two_values_share_a_key():
    salts = {seal(KEY, name, data)[24:56] for name in ("a", "b") for data in (b"", b"x", b"y", b"xy")}
    assert len(salts) == 8
    with pytest.raises(InvalidTag):
        KEY.cipher(SEALED[24:56]).decrypt(bytes(12), seal(KEY, NAME, b"x")[HEADER_BYTES:], b"")


def test_a_key_is_never_shown():
    assert KEY.secret.hex() not in repr(KEY) + repr(read_header(KEY, NAME, SEALED))
    assert repr(KEY.secret) not in repr(KEY)
    assert key_id(KEY.secret) == KEY.id != OTHER.id


@pytest.mark.parametrize("stored_bytes", [0, 103, 104, 119, 104 + FRAME_BYTES + 17, 104 + FRAME + 15, 104 + FRAME + 16])
def test_a_length_that_no_value_has_is_refused(stored_bytes):
    with pytest.raises(ValueError, match=f"{stored_bytes:,} bytes"):
        plain_bytes(stored_bytes)


def test_a_file_that_changes_while_it_is_encrypted_is_an_error(tmp_path):
    class Growing(type(tmp_path)):
        """A path whose file has grown since its size was asked for."""

        def stat(self, **_):
            found = super().stat()
            with super().open("ab") as file:
                file.write(b"more")
            return found

    (tmp_path / "plain").write_bytes(DATA)

    with pytest.raises(OSError, match="changed while it was encrypted"):
        seal_file(KEY, NAME, Growing(tmp_path / "plain"), tmp_path / "sealed")
