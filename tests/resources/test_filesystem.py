"""Versions are read by URL, through fsspec: what is listed is there, what is read is verified, nothing is written."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import fsspec
import polars as pl
import pytest

from resources.canonical import canonical_json
from resources.errors import IntegrityError
from resources.refs import DatasetRef
from resources.storage import refs
from resources.storage.contents import Contents
from resources.storage.datasets import write_table
from resources.storage.filesystem import PenstockFileSystem
from resources.storage.folder import FolderStore
from resources.storage.manifest import read_manifest
from resources.storage.naming import Address, parse
from resources.storage.objects import put_object
from resources.storage.packing import put_folder
from resources.storage.provenance import Provenance, record

FRAME = pl.DataFrame({"n": range(1000), "s": [f"text {number}" for number in range(1000)]})
NAME = "bike/raw@2012-01"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    for name in [name for name in os.environ if name.startswith("PENSTOCK_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    return FolderStore(tmp_path / "store")


@pytest.fixture
def dataset(store: FolderStore, tmp_path: Path) -> DatasetRef:
    return saved(store, tmp_path, FRAME)


def saved(store: FolderStore, folder: Path, frame: pl.DataFrame) -> DatasetRef:
    ref = write_table(store, frame, scratch=folder / "scratch", rows_per_shard=300)
    refs.save(store, "main", ("bike", "raw"), "2012-01", ref)
    record(store, Provenance(subject=ref.digest, kind="dataset", pipeline="bike", stage="raw", partition="2012-01"))
    return ref


def stored_bytes(store: FolderStore, ref: DatasetRef) -> list[bytes]:
    return [store.get(file.key) for file in read_manifest(store, ref.digest).shards.files]


@pytest.mark.parametrize(
    ("text", "name", "version", "path"),
    [
        ("bike/raw@2012-01/00000.parquet", "bike/raw", "2012-01", "00000.parquet"),
        ("bike/raw@a%2Fb", "bike/raw", "a/b", ""),
        ("bike@champion/model.txt", "bike", "champion", "model.txt"),
        ("bike/raw@/x/y@2x.png", "bike/raw", "", "x/y@2x.png"),
        ("0f3a5c/icons/a@2x.png", "", "0f3a5c", "icons/a@2x.png"),
        ("facade/raw", "facade/raw", None, ""),
        ("", "", None, ""),
    ],
)
def test_an_address_is_taken_apart(text: str, name: str, version: str | None, path: str):
    assert parse(text) == Address(name=name, version=version, path=path)


def test_assets_versions_and_files_are_listed_and_found(dataset: DatasetRef):
    fs = fsspec.filesystem("penstock")
    files = [f"{NAME}/0000{number}.parquet" for number in range(4)]

    assert fs.ls("penstock://", detail=False) == ["bike"]
    assert fs.ls("penstock://bike", detail=False) == [NAME]
    assert fs.ls(f"penstock://{NAME}/", detail=False) == files
    assert fs.find("penstock://") == files
    assert fs.glob("penstock://bike/raw@*/*1.parquet") == files[1:2]
    assert fs.isdir(NAME)
    assert fs.isfile(files[0])
    assert not fs.exists("penstock://bike/rare")
    assert not fs.exists(f"{NAME}/00004.parquet")


def test_a_file_tells_size_digest_and_md5_and_a_version_its_digest(store: FolderStore, dataset: DatasetRef):
    fs = PenstockFileSystem()
    shard = read_manifest(store, dataset.digest).shards[1].file
    path = f"{NAME}/00001.parquet"

    told = fs.info(f"penstock://{path}")

    assert told == {
        "name": path, "type": "file", "size": shard.size_bytes, "digest": shard.digest, "md5": shard.md5
    }  # fmt: skip
    assert (fs.ukey(path), fs.ukey(NAME)) == (shard.digest, dataset.digest)


def test_the_same_file_is_reached_by_partition_digest_and_first_digits(store: FolderStore, dataset: DatasetRef):
    first = stored_bytes(store, dataset)[0]
    digits = next(dataset.digest[:count] for count in range(8, 65) if not dataset.digest[:count].isalpha())

    for version in (NAME, dataset.digest, digits, f"bike/raw@{dataset.digest}", f"bike/raw@{digits}", f"bike@{digits}"):
        assert PenstockFileSystem().cat_file(f"penstock://{version}/00000.parquet") == first


def test_ranges_are_those_of_a_slice(store: FolderStore, dataset: DatasetRef):
    fs, (first, second, *_) = PenstockFileSystem(), stored_bytes(store, dataset)
    one, two = f"{NAME}/00000.parquet", f"{NAME}/00001.parquet"

    for start, end in ((0, 4), (-8, None), (None, -8), (5, 5), (10, 10**9), (None, None)):
        assert fs.cat_file(one, start, end) == first[start:end]
    assert fs.cat_ranges([one, two, one], [0, 4, -4], [4, 9, None], max_gap=8) == [first[:4], second[4:9], first[-4:]]
    assert fs.cat_ranges([one, two], 0, 2) == [first[:2], second[:2]]
    found = fs.cat_ranges([one, f"{NAME}/none"], 0, 2)
    assert found[0] == first[:2]
    assert isinstance(found[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{NAME}/none"], 0, 2, on_error="raise")


def test_an_open_file_seeks_and_reads(store: FolderStore, dataset: DatasetRef):
    first = stored_bytes(store, dataset)[0]
    with fsspec.open(f"penstock://{NAME}/00000.parquet", "rb") as file:
        assert file.read(4) == b"PAR1"
        file.seek(-4, 2)
        assert file.read() == b"PAR1"
        file.seek(0)
        assert file.read() == first
    with PenstockFileSystem().open(f"{NAME}/00000.parquet", block_size=64, cache_type="none") as file:
        file.seek(100)
        assert file.read(50) == first[100:150]


def test_damaged_bytes_are_never_returned(store: FolderStore, dataset: DatasetRef):
    shard = read_manifest(store, dataset.digest).shards[0].file
    path = Path(store.url, shard.key)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    fs = PenstockFileSystem()

    with pytest.raises(IntegrityError):
        fs.cat_file(f"{NAME}/00000.parquet", 90, 110)
    bad, good = fs.cat_ranges([f"{NAME}/00000.parquet", f"{NAME}/00001.parquet"], 90, 110)
    assert isinstance(bad, IntegrityError)
    assert len(good) == 20


def test_an_instance_sees_one_version_under_a_name_until_it_is_told_to_forget(
    store: FolderStore, dataset: DatasetRef, tmp_path: Path
):
    fs = PenstockFileSystem()
    assert fs.ukey(NAME) == dataset.digest

    newer = saved(store, tmp_path, FRAME.head(10))

    assert fs.ukey(NAME) == dataset.digest
    assert fs.cat_file(f"{NAME}/00003.parquet", 0, 4) == b"PAR1"
    assert fsspec.filesystem("penstock").ukey(NAME) == newer.digest
    fs.invalidate_cache()
    assert fs.ukey(NAME) == newer.digest


def test_raw_files_are_read_out_of_their_archive_and_objects_as_files(store: FolderStore, tmp_path: Path):
    raw = tmp_path / "raw"
    files = {"a.png": os.urandom(700), "sub/b.png": os.urandom(900), "sub/deep/c.bin": os.urandom(5 * 2**20)}
    for name, data in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(data)
    digest = put_folder(store, raw, scratch=tmp_path / "scratch")
    report = put_object(store, canonical_json({"verdict": "pass"}))
    fs = PenstockFileSystem()

    assert {path.removeprefix(f"{digest}/"): fs.cat_file(path) for path in fs.find(digest)} == files
    assert fs.ls(f"{digest}/sub", detail=False) == [f"{digest}/sub/b.png", f"{digest}/sub/deep"]
    assert fs.cat_file(f"{digest}/sub/b.png", 10, 20) == files["sub/b.png"][10:20]
    assert fs.cat_file(f"penstock://{report}") == b'{"verdict":"pass"}'
    fs.get(f"penstock://{digest}/sub", str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out" / "deep" / "c.bin").read_bytes() == files["sub/deep/c.bin"]


def test_nothing_can_be_written(dataset: DatasetRef, tmp_path: Path):
    fs, path = PenstockFileSystem(), f"{NAME}/00000.parquet"
    (tmp_path / "local").write_bytes(b"1")
    attempts = [
        lambda: fs.open(path, "wb"),
        lambda: fs.open(path, "ab"),
        lambda: fs.pipe(path, b"1"),
        lambda: fs.pipe_file(path, b"1"),
        lambda: fs.put(str(tmp_path / "local"), path),
        lambda: fs.rm(NAME, recursive=True),
        lambda: fs.delete(path),
        lambda: fs.mv(path, f"{path}2"),
        lambda: fs.cp(path, f"{path}2"),
        lambda: fs.touch(path),
        lambda: fs.mkdir("new"),
        lambda: fs.makedirs("new", exist_ok=True),
    ]
    for attempt in attempts:
        with pytest.raises(OSError, match="penstock:// is read-only"):
            attempt()
    assert fs.size(path) == len(fs.cat_file(path))


def test_what_is_not_there_is_named(store: FolderStore, dataset: DatasetRef):
    fs = PenstockFileSystem()
    told = {
        "bike/raw@2013-01/x": "it has values for 2012-01 to 2012-01: write bike/raw@2012-01",
        "bike/rare@2012-01": "bike/rare has no value",
        "0123456789ab/x": "no digest in store",
        f"bike/raw@{put_object(store, b'{}')}": "was not made as bike/raw",
        f"{NAME}/00009.parquet": "has no file '00009.parquet'",
        "bike@champion": "has no champion",
    }
    for path, why in told.items():
        with pytest.raises(FileNotFoundError, match=why):
            fs.info(f"penstock://{path}")
    with pytest.raises(IsADirectoryError):
        fs.cat_file(NAME)


def test_options_name_another_store_and_survive_pickling(dataset: DatasetRef, tmp_path: Path, monkeypatch):
    url = Path(tmp_path, "store")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "elsewhere"))
    assert not PenstockFileSystem().exists(NAME)

    for fs in (
        fsspec.filesystem("penstock", store=str(url)),
        PenstockFileSystem(store=FolderStore(url)),
        pickle.loads(pickle.dumps(PenstockFileSystem(store=str(url)))),  # noqa: S301 (its own)
    ):
        assert fs.ukey(NAME) == dataset.digest
    assert not PenstockFileSystem(store=str(url), registry="other").exists(NAME)


def test_a_version_of_many_files_is_listed_once(store: FolderStore, dataset: DatasetRef):
    contents = Contents(store, dataset.digest)

    assert list(contents.children("") or ()) == [f"0000{number}.parquet" for number in range(4)]
    assert contents.children("00000.parquet") is None


def test_fsspec_finds_it_by_its_scheme_without_dagster():
    code = (
        "import fsspec, sys; fsspec.get_filesystem_class('penstock'); "
        "print({'dagster', 'pipelines', 'dvc', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
