from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import IntegrityError, ObjectMissing
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore
from resources.storage.objects import get_object, has_object, hash_file, object_key, object_path, put_file, put_object

# Of the official BLAKE3 test vectors: inputs of 0 and 1,024 bytes counting up modulo 251.
VECTORS = {
    b"": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    bytes(i % 251 for i in range(1024)): "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.mark.parametrize(("data", "digest"), VECTORS.items())
def test_an_object_is_named_by_the_blake3_digest_of_its_bytes(store, tmp_path, data, digest):
    (tmp_path / "file").write_bytes(data)

    assert put_object(store, data) == digest
    assert put_file(store, tmp_path / "file") == digest
    assert store.list("") == [f"objects/{digest[:2]}/{digest}"]


def test_a_large_file_hashed_by_all_processors_has_the_digest_of_its_bytes(store, tmp_path):
    data = bytes(range(256)) * (17 * 2**20 // 256)
    (tmp_path / "large").write_bytes(data)

    assert hash_file(tmp_path / "large") == put_object(store, data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.binary(max_size=3000))
def test_what_is_put_is_what_is_got(store, data):
    digest = put_object(store, data)

    assert get_object(store, digest) == data
    assert object_path(store, digest).read_bytes() == data
    assert has_object(store, digest)


def test_altered_bytes_are_detected_however_they_are_read(store):
    digest = put_object(store, b"truth")
    store.local(object_key(digest)).write_bytes(b"a lie")

    for read in (get_object, object_path):
        with pytest.raises(IntegrityError, match=f"object {digest} .* was altered: .* delete objects/"):
            read(store, digest)


def test_bytes_altered_after_the_first_read_are_detected(store):
    digest = put_object(store, b"truth")
    path = object_path(store, digest)
    path.write_bytes(b"a lie")

    with pytest.raises(IntegrityError, match="was altered"):
        object_path(store, digest)


def test_a_truncated_object_is_detected(store):
    digest = put_object(store, b"truth")
    store.local(object_key(digest)).write_bytes(b"")

    with pytest.raises(IntegrityError, match="was altered"):
        object_path(store, digest)


def test_a_bad_local_copy_of_a_remote_object_is_fetched_anew(tmp_path):
    remote = ObjectStore("memory://bad-local-copy", cache=tmp_path)
    digest = put_object(remote, b"truth")
    copy = object_path(remote, digest)
    copy.chmod(0o644)
    copy.write_bytes(b"a lie")

    assert object_path(remote, digest).read_bytes() == b"truth"


def test_an_object_altered_in_the_remote_store_is_detected(tmp_path):
    remote = ObjectStore("memory://altered-remote", cache=tmp_path)
    digest = put_object(remote, b"truth")
    remote.put(object_key(digest), b"a lie")

    with pytest.raises(IntegrityError, match="was altered"):
        object_path(remote, digest)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "A" * 64, "../" + "a" * 61])
def test_what_is_no_digest_names_no_object(store, digest):
    with pytest.raises(ObjectMissing, match="names no object"):
        get_object(store, digest)
