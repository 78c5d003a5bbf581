"""A pushed version is whole on the other side, or not there, and nothing else changes there."""

import secrets
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from resources.errors import IntegrityError, ObjectMissing
from resources.refs import DatasetRef
from resources.signing import Keyring, Signer, sign_object, verify_object
from resources.storage.data_key import make_user_key
from resources.storage.datasets import read_frame, reference, write_table
from resources.storage.files import put_bytes, put_file
from resources.storage.folder import FolderStore
from resources.storage.objects import object_key, put_object
from resources.storage.provenance import Parent, Provenance, ancestors, record
from resources.storage.push import Pushed, push
from resources.storage.store import Store, open_store
from resources.storage.verify import verify
from resources.storage.versions import encode_bundle, version

RAW = pl.DataFrame({"n": range(300)})
SIGNER = Signer(Ed25519PrivateKey.generate())
RING = Keyring({SIGNER.key_id: SIGNER._key.public_key().public_bytes_raw()})


@pytest.fixture
def source(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "own")


@pytest.fixture(params=["folder", "memory", "encrypted"])
def new_target(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    def new() -> Store:
        name = secrets.token_hex(4)
        url = str(tmp_path / name) if request.param == "folder" else f"memory://{name}"
        key = tmp_path / "key" if request.param == "encrypted" else None
        if key is not None:
            make_user_key(key)
        return open_store(url, cache=tmp_path / "cache", encryption_key=key, scratch=tmp_path / "scratch")

    return new


@pytest.fixture
def made(source: FolderStore, tmp_path: Path) -> tuple[DatasetRef, str, str]:
    """Store raw rows, features of them with a profile beside, and a model of those; return their names."""
    raw = write_table(source, RAW, scratch=tmp_path, rows_per_shard=100)
    made_of(source, raw.digest, "raw", Parent(kind="source", name="s3://x/raw.csv", digest="e" * 64))
    features = write_table(source, RAW.with_columns(m=pl.col("n") * 2), scratch=tmp_path)
    profile = put_object(source, b'{"rows":300}')
    made_of(source, features.digest, "features", Parent(kind="dataset", name="bike/raw", digest=raw.digest))
    (tmp_path / "large").write_bytes(secrets.token_bytes(5 * 2**20))
    files = {"model.txt": put_bytes(source, b"model"), "weights": put_file(source, tmp_path / "large")}
    model = put_object(source, encode_bundle(files))
    sign_object(source, "model", model, SIGNER)
    made_of(source, model, "model", Parent(kind="dataset", name="bike/features", digest=features.digest))
    return raw, model, profile


def made_of(store: Store, digest: str, stage: str, *parents: Parent) -> None:
    kind = "model" if stage == "model" else "dataset"
    record(store, Provenance(subject=digest, kind=kind, pipeline="bike", stage=stage, parents=parents))


def content(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("")}


def pushed(source: Store, target: Store, made: tuple[DatasetRef, str, str], scratch: Path) -> Pushed:
    return push(source, target, made[1], beside=[made[2]], scratch=scratch / "scratch")


def test_a_version_arrives_with_all_that_it_was_made_of(source, new_target, made, tmp_path):
    target = new_target()

    done = pushed(source, target, made, tmp_path)

    assert content(target) == content(source)
    assert len(done.copied) == 4
    assert done.there == done.absent == ()
    records = ("provenance", "children")
    assert done.copied_bytes == sum(len(data) for key, data in content(source).items() if not key.startswith(records))
    assert read_frame(target, made[0].digest).equals(RAW)
    assert verify_object(target, "model", made[1], RING) == SIGNER.key_id
    assert ancestors(target, made[1]) == ancestors(source, made[1])


def test_pushing_again_copies_nothing_and_says_so(source, new_target, made, tmp_path):
    target = new_target()
    first = pushed(source, target, made, tmp_path)

    again = pushed(source, target, made, tmp_path)

    assert (again.copied, again.copied_files, again.copied_bytes) == ((), 0, 0)
    assert sorted(again.there) == sorted(first.copied)


def test_what_the_other_side_has_is_not_copied_again(source, new_target, made, tmp_path):
    target = new_target()
    write_table(target, RAW, scratch=tmp_path, rows_per_shard=100)

    done = pushed(source, target, made, tmp_path)

    assert done.there == (made[0].digest,)
    assert content(target) == content(source)


def test_refs_logs_and_memos_are_not_copied(source, new_target, made, tmp_path):
    target = new_target()
    for store, value in ((source, b"mine"), (target, b"theirs")):
        for key in ("refs/main/bike/raw/_.json", "registry/main/bike/00000001.json", "memo/aa/a.json"):
            store.put(key, value)

    pushed(source, target, made, tmp_path)

    kept = {key: data for key, data in content(target).items() if key.split("/")[0] in ("refs", "registry", "memo")}
    assert set(kept.values()) == {b"theirs"}
    assert len(kept) == 3


def test_a_folder_gets_files_of_its_own_and_no_links(source, made, tmp_path):
    target = FolderStore(tmp_path / "target")

    pushed(source, target, made, tmp_path)

    for key in target.list(""):
        assert (tmp_path / "target" / key).stat().st_ino != (tmp_path / "own" / key).stat().st_ino
        assert (tmp_path / "target" / key).stat().st_nlink == 1
    assert list((tmp_path / "scratch").iterdir()) == []


class Killed(FolderStore):
    """A store whose writer is killed after so many writes."""

    writes = 0

    def create(self, key: str, data: bytes) -> bool:
        self._spend()
        return super().create(key, data)

    def upload(self, key: str, path: Path) -> bool:
        self._spend()
        return super().upload(key, path)

    def _spend(self) -> None:
        if self.writes == 0:
            raise KeyboardInterrupt
        self.writes -= 1


def test_whoever_is_killed_leaves_no_manifest_without_its_files_and_goes_on_from_there(source, made, tmp_path):
    for writes in range(40):
        target = Killed(tmp_path / f"target {writes}")
        target.writes = writes
        try:
            pushed(source, target, made, tmp_path)
            break
        except KeyboardInterrupt:
            pass
        for key in target.list("objects"):
            digest = key.rsplit("/", 1)[1]
            assert not verify(target, digest).faults
            assert all(target.exists(file.key) for file in version(target, digest).files.values())
        target.writes = 1000
        pushed(source, target, made, tmp_path)
        assert content(target) == content(source)
    assert 15 < writes < 39


def test_altered_bytes_are_not_pushed(source, new_target, made, tmp_path):
    (key, *_) = [file.key for file in version(source, made[1]).files.values() if file.size_bytes < 100]
    (tmp_path / "own" / key).write_bytes(b"wrong")
    target = new_target()

    with pytest.raises(IntegrityError, match="was altered"):
        pushed(source, target, made, tmp_path)

    assert not target.exists(object_key(made[1]))


def test_a_file_cut_short_on_the_other_side_is_named(source, new_target, made, tmp_path):
    target = new_target()
    (key, *_) = [file.key for file in version(source, made[1]).files.values()]
    target.put(key, b"")

    with pytest.raises(IntegrityError, match=rf"{key} in store .* has 0 bytes, .*delete it there, then push again"):
        pushed(source, target, made, tmp_path)


def test_ancestors_that_are_gone_are_told_and_a_version_that_is_gone_is_an_error(source, new_target, made, tmp_path):
    source.delete(object_key(made[0].digest))

    assert pushed(source, new_target(), made, tmp_path).absent == (made[0].digest,)
    with pytest.raises(ObjectMissing):
        push(source, new_target(), made[0].digest, scratch=tmp_path)


def test_the_manifest_tells_the_reference_but_for_what_lies_beside(source, made):
    assert reference(source, made[0].digest) == made[0]
