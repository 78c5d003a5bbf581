import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from resources.canonical import digest_bytes
from resources.errors import SettingsError, SignatureError
from resources.signing import Keyring, Signer, load_keyring, load_signer, public_pem, sign_object, verify_object
from resources.storage.folder import FolderStore

DIGEST = "d" * 64


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "signing.pem"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ring(*signers: Signer) -> Keyring:
    return Keyring({signer.key_id: signer._key.public_key().public_bytes_raw() for signer in signers})


def fresh() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def test_the_key_is_made_on_first_use_for_this_user_only(key):
    previous = os.umask(0)
    try:
        load_signer(key)
    finally:
        os.umask(previous)

    assert mode(key) == 0o600
    assert mode(key.parent) == 0o700
    assert [path.name for path in key.parent.iterdir()] == ["signing.pem"]


def test_the_same_key_signs_ever_after(key):
    assert load_signer(key).sign("model", DIGEST) == load_signer(key).sign("model", DIGEST)


def test_a_signature_is_plain_ed25519_over_the_documented_message(key):
    signer = load_signer(key)
    raw = load_keyring(key, None).keys[signer.key_id]

    signature = bytes.fromhex(signer.sign("model", DIGEST))

    Ed25519PublicKey.from_public_bytes(raw).verify(signature, b"penstock-v1\nmodel\n" + DIGEST.encode())
    assert signer.key_id == digest_bytes(raw)[:16]


def first_key(path: str) -> str:
    return load_signer(Path(path)).key_id


def test_processes_that_start_together_share_one_key(key):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.map(first_key, [str(key)] * 4)

    assert set(made) == {load_signer(key).key_id}


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_key_that_others_can_use_is_refused_with_the_command_to_mend_it(key, bits):
    load_signer(key)
    key.chmod(bits)

    for load in (load_signer, lambda path: load_keyring(path, None)):
        with pytest.raises(SettingsError, match=f"can be read by others: chmod 600 {key}"):
            load(key)


def test_what_is_no_ed25519_key_is_refused(key):
    other = ec.generate_private_key(ec.SECP256R1())
    locked = Ed25519PrivateKey.generate()
    texts = {
        "is no plain PEM private key": [
            b"",
            b"hello",
            locked.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        ],
        "not an ed25519 key": [other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())],
    }
    load_signer(key)
    for said, contents in texts.items():
        for content in contents:
            key.write_bytes(content)
            with pytest.raises(SettingsError, match=said):
                load_signer(key)


def test_a_key_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SettingsError, match=f"{tmp_path}/file/signing.pem"):
        load_signer(tmp_path / "file" / "signing.pem")


def test_a_true_signature_verifies():
    signer = fresh()

    ring(signer).verify("model", DIGEST, signer.sign("model", DIGEST), signer.key_id)


def test_missing_foreign_and_false_signatures_are_told_apart():
    signer, stranger = fresh(), fresh()
    keys, signature = ring(signer), signer.sign("model", DIGEST)
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    false = [
        ("model", "e" * 64, signature),
        ("report", DIGEST, signature),
        ("model", DIGEST, flipped),
        ("model", DIGEST, signature[:-2]),
        ("model", DIGEST, "not hex"),
        ("model", DIGEST, stranger.sign("model", DIGEST)),
    ]

    for given in (("", signer.key_id), (signature, "")):
        with pytest.raises(SignatureError, match="model dddddddddddd is not signed: make it again"):
            keys.verify("model", DIGEST, *given)
    with pytest.raises(SignatureError, match=f"unknown key {stranger.key_id}: .*PENSTOCK_TRUSTED_KEYS"):
        keys.verify("model", DIGEST, stranger.sign("model", DIGEST), stranger.key_id)
    for kind, digest, text in false:
        with pytest.raises(SignatureError, match=r"false signature .* altered after signing"):
            keys.verify(kind, digest, text, signer.key_id)


def test_kind_and_digest_cannot_be_shifted_into_each_other():
    signer = fresh()

    with pytest.raises(ValueError, match="kind must be one line"):
        signer.sign("model\nx", "y")
    with pytest.raises(SignatureError):
        ring(signer).verify("model\nx", "y", signer.sign("model", "x\ny"), signer.key_id)


def test_a_public_key_in_the_trusted_folder_counts(tmp_path, key, store):
    theirs = tmp_path / "theirs" / "signing.pem"
    sign_object(store, "model", DIGEST, load_signer(theirs))
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    load_signer(key)

    with pytest.raises(SignatureError, match="unknown key"):
        verify_object(store, "model", DIGEST, load_keyring(key, trusted))
    (trusted / "them.pem").write_text(public_pem(theirs))
    assert verify_object(store, "model", DIGEST, load_keyring(key, trusted)) == load_signer(theirs).key_id


def test_a_machine_without_a_key_of_its_own_can_verify(tmp_path, key):
    signer = load_signer(tmp_path / "theirs.pem")
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "them.pem").write_text(public_pem(tmp_path / "theirs.pem"))

    load_keyring(key, trusted).verify("model", DIGEST, signer.sign("model", DIGEST), signer.key_id)
    assert not key.exists()


def test_trusted_keys_that_cannot_be_read_are_refused_by_name(tmp_path, key):
    trusted = tmp_path / "trusted"
    with pytest.raises(SettingsError, match=f"{trusted} is no folder"):
        load_keyring(key, trusted)

    trusted.mkdir()
    (trusted / "a.pem").write_text("hello")
    with pytest.raises(SettingsError, match=r"a\.pem is no PEM public key"):
        load_keyring(key, trusted)

    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    (trusted / "a.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(SettingsError, match=r"a\.pem holds .*not an ed25519 key"):
        load_keyring(key, trusted)


def test_an_object_is_verified_by_its_detached_signature(store):
    signer = fresh()

    sign_object(store, "model", DIGEST, signer)

    assert verify_object(store, "model", DIGEST, ring(signer)) == signer.key_id
    assert store.list("") == [f"signatures/{DIGEST}/{signer.key_id}.json"]


def test_an_object_without_or_with_a_foreign_signature_is_refused(store):
    with pytest.raises(SignatureError, match="is not signed"):
        verify_object(store, "model", DIGEST, ring(fresh()))

    sign_object(store, "model", DIGEST, fresh())
    with pytest.raises(SignatureError, match="unknown key"):
        verify_object(store, "model", DIGEST, ring(fresh()))


def test_a_foreign_signature_beside_a_trusted_one_does_no_harm(store):
    signer = fresh()
    for item in (fresh(), signer, fresh()):
        sign_object(store, "model", DIGEST, item)

    assert verify_object(store, "model", DIGEST, ring(signer)) == signer.key_id


def test_a_signature_moved_to_another_object_or_kind_is_false(store):
    signer = fresh()
    sign_object(store, "model", DIGEST, signer)
    text = store.get(f"signatures/{DIGEST}/{signer.key_id}.json")
    store.put(f"signatures/{'e' * 64}/{signer.key_id}.json", text)

    with pytest.raises(SignatureError, match="false signature"):
        verify_object(store, "model", "e" * 64, ring(signer))
    with pytest.raises(SignatureError, match="false signature"):
        verify_object(store, "report", DIGEST, ring(signer))


def test_an_altered_signature_is_refused_until_the_object_is_signed_again(store):
    signer = fresh()
    sign_object(store, "model", DIGEST, signer)
    key = store.list("signatures")[0]
    value = json.loads(store.get(key))

    for content in (json.dumps(value | {"signature": "00" * 64}), "{}", "[]", "", "\x00"):
        store.put(key, content.encode())
        with pytest.raises(SignatureError):
            verify_object(store, "model", DIGEST, ring(signer))

    sign_object(store, "model", DIGEST, signer)
    assert verify_object(store, "model", DIGEST, ring(signer)) == signer.key_id
