"""Stock DVC on a store of Penstock: it pulls, reads and finds everything clean, with nothing of Penstock in the way."""

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from resources.canonical import canonical_json
from resources.errors import ObjectMissing, SourceError, StoreError
from resources.storage.datasets import write_table
from resources.storage.dvc.export import export
from resources.storage.dvc.outs import read_dvc_file
from resources.storage.dvc.repository import cache_of, make_repository, remote_for
from resources.storage.files import get_bytes, put_bytes
from resources.storage.folder import FolderStore
from resources.storage.garbage.collect import collect
from resources.storage.garbage.pins import unpin
from resources.storage.layered import LayeredStore
from resources.storage.object_store import ObjectStore
from resources.storage.objects import get_object, put_object
from resources.storage.packing import put_folder
from resources.storage.pull import pull
from resources.storage.store import Store, open_store
from resources.storage.verify import verify
from resources.storage.versions import Version, encode_bundle, version
from tests.integration.instance import BIN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

READ = """
import sys
import dvc.api
from dvc.api import DVCFileSystem
folder, name = sys.argv[1:3]
first = dvc.api.read(f"data/{name}", repo=folder, mode="rb")
with dvc.api.open(f"data/{name}", repo=folder, mode="rb") as file:
    assert file.read() == first
assert DVCFileSystem(folder).cat_file(f"data/{name}") == first
sys.stdout.buffer.write(first)
"""


@dataclass(frozen=True)
class Filled:
    """A store with a dataset, a model and a report in it."""

    store: Store
    dataset: Version
    model: Version
    report: Version


@pytest.fixture(params=["folder", "s3"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Filled:
    store: Store = (
        FolderStore(tmp_path / "store")
        if request.param == "folder"
        else ObjectStore(request.getfixturevalue("s3_url"), cache=tmp_path / "cache")
    )
    frame = pl.DataFrame({"n": range(300), "s": [f"text {number}" for number in range(300)]})
    dataset = write_table(store, frame, scratch=tmp_path / "scratch", rows_per_shard=100).digest
    files = {"model.txt": put_bytes(store, b"tree"), "schema.json": put_bytes(store, b"{}")}
    model = put_object(store, encode_bundle(files))
    report = put_object(store, canonical_json({"verdict": "pass"}))
    return Filled(store, *(version(store, digest) for digest in (dataset, model, report)))


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(BIN / "dvc"), *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "DVC_NO_ANALYTICS": "1"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expected(store: Store, found: Version) -> dict[str, bytes]:
    return {name: get_bytes(store, file) for name, file in found.files.items()}


def test_stock_dvc_pulls_and_reads_the_exact_bytes_and_is_clean(filled: Filled, tmp_path: Path):
    store, repo = filled.store, tmp_path / "repo"

    done = export(store, filled.dataset, repo, name="bike/raw", called="data")
    export(store, filled.model, repo, name="bike", called="model")
    export(store, filled.report, repo, name="report", called="report.json")

    first = next(iter(filled.dataset.files))
    read = subprocess.run(
        [sys.executable, "-c", READ, str(repo), first], capture_output=True, check=True, env=environment()
    )
    assert read.stdout == get_bytes(store, filled.dataset.files[first])
    dvc(repo, "pull")
    assert contents(repo / "data") == expected(store, filled.dataset)
    assert contents(repo / "model") == {"model.txt": b"tree", "schema.json": b"{}"}
    assert (repo / "report.json").read_bytes() == get_object(store, filled.report.digest)
    assert "up to date" in dvc(repo, "status")
    written = "".join(path.read_text() for path in (done.file, repo / ".dvc" / "config"))
    assert filled.dataset.digest in written
    assert not [
        value for name, value in os.environ.items() if name.startswith("AWS_") and "KEY" in name and value in written
    ]


def test_what_penstock_pulls_stock_dvc_finds_whole(filled: Filled, tmp_path: Path):
    store, repo = filled.store, tmp_path / "repo"
    done = export(store, filled.dataset, repo, name="bike/raw", called="data")
    pointer = read_dvc_file(done.file)
    assert pointer.version == filled.dataset.digest

    pulled = pull(store, filled.dataset, pointer.target, dvc_cache=cache_of(repo))

    assert (pulled.files, pulled.unchanged) == (3, False)
    assert contents(repo / "data") == expected(store, filled.dataset)
    cached = [path for path in cache_of(repo).rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in cached} == {0o444}  # other modes DVC hashes again
    assert "up to date" in dvc(repo, "status")
    shutil.rmtree(repo / "data")
    dvc(repo, "checkout")  # from its cache alone
    assert contents(repo / "data") == expected(store, filled.dataset)
    assert pull(store, filled.dataset, pointer.target, dvc_cache=cache_of(repo)).unchanged


def test_a_copy_may_be_changed_and_the_store_keeps_its_bytes(filled: Filled, tmp_path: Path):
    target = tmp_path / "out"
    pull(filled.store, filled.model, target, copy=True)

    (target / "model.txt").write_bytes(b"changed")

    assert get_bytes(filled.store, filled.model.files["model.txt"]) == b"tree"
    with pytest.raises(SourceError, match=r"holds something else.*--force"):
        pull(filled.store, filled.model, target)
    pull(filled.store, filled.model, target, force=True)
    assert (target / "model.txt").read_bytes() == b"tree"


def test_a_bucket_of_the_same_name_elsewhere_is_another_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store, root = ObjectStore("s3://bucket/prefix", cache=tmp_path / "cache"), make_repository(tmp_path)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    first = remote_for(store, root)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://somebody:hidden@127.0.0.1:2/?key=hidden")

    other, again = remote_for(store, root), remote_for(store, root)

    assert (first.name, first.is_default) == ("penstock", True)
    assert (other.name, other.is_default, other.added) == ("penstock-2", False, True)
    assert (again.name, again.added) == ("penstock-2", False)
    assert "hidden" not in (root / ".dvc" / "config").read_text()


def test_git_ignores_what_is_exported_into_a_git_repository(tmp_path: Path):
    subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True)
    store = FolderStore(tmp_path / "store")
    found = version(store, put_object(store, b"{}"))

    done = export(store, found, tmp_path / "repo" / "sub", name="x", called="x")

    assert done.root == tmp_path / "repo"
    assert (tmp_path / "repo" / "sub" / ".gitignore").read_text() == "/x\n"
    dvc(tmp_path / "repo" / "sub", "pull")
    assert (tmp_path / "repo" / "sub" / "x").read_bytes() == b"{}"


def test_dvc_sees_a_folder_of_raw_files_as_archives(filled: Filled, tmp_path: Path):
    store, repo, raw = filled.store, tmp_path / "repo", tmp_path / "raw"
    raw.mkdir()
    for number in range(50):
        (raw / f"{number:02d}.png").write_bytes(os.urandom(500))
    found = version(store, put_folder(store, raw, scratch=tmp_path / "scratch"))
    done = export(store, found, repo, name="photos/raw", called="photos")

    dvc(repo, "pull")
    with tarfile.open(repo / "photos" / "_packs" / "00000.tar") as archive:
        archive.extractall(tmp_path / "out", filter="data")
    assert contents(tmp_path / "out") == contents(raw)
    shutil.rmtree(repo / "photos")
    shutil.rmtree(repo / ".dvc" / "cache")
    pull(store, found, read_dvc_file(done.file).target, dvc_cache=cache_of(repo), packed=True)
    assert "up to date" in dvc(repo, "status")
    pull(store, found, repo / "unpacked", dvc_cache=cache_of(repo))
    assert contents(repo / "unpacked") == contents(raw)


def test_no_garbage_collection_takes_what_was_exported(tmp_path: Path):
    store = FolderStore(tmp_path / "store")
    digest = write_table(store, pl.DataFrame({"n": [1, 2, 3]}), scratch=tmp_path / "scratch").digest
    report = put_object(store, canonical_json({"verdict": "pass"}))
    lost = write_table(store, pl.DataFrame({"n": [4]}), scratch=tmp_path / "scratch").digest
    for name, item in (("data", digest), ("report.json", report)):
        export(store, version(store, item), tmp_path / "repo", name=name, called=name)

    collect(store, grace_s=0.0)

    with pytest.raises(ObjectMissing):
        version(store, lost)
    dvc(tmp_path / "repo", "pull")
    assert contents(tmp_path / "repo" / "data") == expected(store, version(store, digest))
    unpin(store, digest)
    collect(store, grace_s=0.0)
    assert not [key for key in store.list("files") if key.endswith(".dir")]


def test_over_a_base_everything_that_dvc_needs_comes_into_the_own_store(tmp_path: Path):
    base, own = FolderStore(tmp_path / "base"), FolderStore(tmp_path / "own")
    digest = write_table(base, pl.DataFrame({"n": [1, 2, 3]}), scratch=tmp_path / "scratch").digest
    layered = LayeredStore(own, base)

    export(layered, version(layered, digest), tmp_path / "repo", name="data", called="data")
    collect(own, grace_s=0.0)

    dvc(tmp_path / "repo", "pull")
    assert contents(tmp_path / "repo" / "data") == expected(base, version(base, digest))
    assert not verify(own, digest).faults


def test_a_store_that_dvc_cannot_read_is_refused(tmp_path: Path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    sealed = open_store(str(tmp_path / "store"), cache=tmp_path / "c", encryption_key=key, scratch=tmp_path / "s")
    memory = open_store("memory://dvc", cache=tmp_path / "c")

    for store, why in ((sealed, "is encrypted, so DVC cannot read it"), (memory, "lives in one process")):
        found = version(store, put_object(store, b"{}"))
        with pytest.raises(StoreError, match=why):
            export(store, found, tmp_path / "repo", name="x", called="x")
