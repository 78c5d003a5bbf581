import hashlib
import secrets
from pathlib import Path

import pytest

from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.storage.content import CHUNK_BYTES, describe_bytes
from resources.storage.files import borrowed, file_path, get_bytes, has_file, put_bytes, put_file, tree_key, tree_of
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_file_lies_where_dvc_looks_for_it(store, tmp_path):
    (tmp_path / "file").write_bytes(b"bytes")

    file = put_file(store, tmp_path / "file")

    md5 = hashlib.md5(b"bytes", usedforsecurity=False).hexdigest()
    assert store.list("") == [f"files/md5/{md5[:2]}/{md5[2:]}"]
    assert put_bytes(store, b"bytes") == file
    assert get_bytes(store, file) == file_path(store, file).read_bytes() == b"bytes"
    assert has_file(store, file)
    assert not has_file(store, describe_bytes(b"others")[0])


def test_a_file_of_several_chunks_has_its_block_digests_beside_it(store):
    file = put_bytes(store, data := secrets.token_bytes(CHUNK_BYTES + 1))

    assert tree_of(store, file) == describe_bytes(data)[1]
    blocks = tree_of(store, file).blocks
    store.put(tree_key(file.digest), blocks[:-1] + bytes([blocks[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"trees/.* was altered"):
        tree_of(store, file)


def test_altered_bytes_are_detected_however_they_are_read(store):
    file = put_bytes(store, b"truth")
    damage(store.local(file), b"a lie")

    for read in (get_bytes, file_path):
        with pytest.raises(IntegrityError, match=f"file {file.digest} .* was altered: .* delete files/md5/"):
            read(store, file)


@pytest.mark.parametrize("lie", [b"a lie", b""])
def test_bytes_altered_after_the_first_read_are_detected(store, lie):
    file = put_bytes(store, b"truth")
    damage(file_path(store, file), lie)

    with pytest.raises(IntegrityError, match="was altered"):
        file_path(store, file)


def test_a_bad_local_copy_of_a_remote_file_is_fetched_anew(tmp_path):
    remote = ObjectStore("memory://bad-local-copy", cache=tmp_path)
    file = put_bytes(remote, b"truth")
    damage(file_path(remote, file), b"a lie")

    assert file_path(remote, file).read_bytes() == b"truth"


def test_a_file_altered_in_the_remote_store_is_detected(tmp_path):
    remote = ObjectStore("memory://altered-remote", cache=tmp_path)
    file = put_bytes(remote, b"truth")
    remote.put(file.key, b"a lie")

    with pytest.raises(IntegrityError, match="was altered"):
        file_path(remote, file)


def test_a_missing_file_and_one_that_cannot_be_read_are_named(store, tmp_path):
    none = describe_bytes(b"none")[0]

    with pytest.raises(ObjectMissing, match=none.key), borrowed(store, [none]):
        pass
    with pytest.raises(StoreError, match=r"cannot read .*/none: No such file"):
        put_file(store, tmp_path / "none")


def test_a_local_file_that_cannot_be_read_is_named(store):
    file = put_bytes(store, b"bytes")
    path = store.local(file)
    path.unlink()
    path.mkdir()

    with pytest.raises(
        StoreError, match=rf"cannot read {path} of file {file.digest}.*: Is a directory; check the disk"
    ):
        file_path(store, file)


class Losing(ObjectStore):
    """A store before whose upload the file goes away."""

    def upload(self, key: str, path: Path) -> bool:
        """Remove the file, then upload it."""
        path.unlink()
        return super().upload(key, path)


def test_a_file_that_cannot_be_read_a_second_time_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"bytes")

    with pytest.raises(StoreError, match=r"cannot read .*/file: No such file"):
        put_file(Losing("memory://losing", cache=tmp_path / "cache"), tmp_path / "file")
