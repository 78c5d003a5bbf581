from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import IntegrityError, ObjectMissing
from resources.storage.folder import FolderStore
from resources.storage.objects import get_object, has_object, object_key, put_object

# Of the official BLAKE3 test vectors: inputs of 0 and 1,024 bytes counting up modulo 251.
VECTORS = {
    b"": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    bytes(i % 251 for i in range(1024)): "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.mark.parametrize(("data", "digest"), VECTORS.items())
def test_an_object_is_named_by_the_blake3_digest_of_its_bytes(store, data, digest):
    assert put_object(store, data) == digest
    assert store.list("") == [f"objects/{digest[:2]}/{digest}"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.binary(max_size=3000))
def test_what_is_put_is_what_is_got(store, data):
    digest = put_object(store, data)

    assert get_object(store, digest) == data
    assert has_object(store, digest)


def test_altered_bytes_are_detected(store):
    digest = put_object(store, b"truth")
    store.put(object_key(digest), b"a lie")

    with pytest.raises(IntegrityError, match=f"object {digest} .* was altered: .* delete objects/"):
        get_object(store, digest)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "A" * 64, "../" + "a" * 61])
def test_what_is_no_digest_names_no_object(store, digest):
    with pytest.raises(ObjectMissing, match="names no object"):
        get_object(store, digest)
