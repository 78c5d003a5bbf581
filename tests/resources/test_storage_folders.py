"""A folder of raw files goes into the store in few archives, and comes out file by file."""

import os
import tarfile
from pathlib import Path

import pytest

from resources.errors import IntegrityError, SourceError
from resources.storage import packs
from resources.storage.comparison import diff
from resources.storage.content import CHUNK_BYTES
from resources.storage.files import file_path, get_bytes
from resources.storage.folder import FolderStore
from resources.storage.folders import FolderManifest, Member, check_name, decode, encode, read_folder
from resources.storage.objects import put_object
from resources.storage.packing import put_folder
from resources.storage.pull import pull
from resources.storage.store import open_store
from resources.storage.verify import verify
from resources.storage.versions import version


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def filled(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SMALL = {f"{label}/{number:03d}.png": os.urandom(900 + number) for label in ("cat", "dog") for number in range(40)}
MIXED = SMALL | {
    "empty": b"",
    "large.bin": os.urandom(CHUNK_BYTES + 1),
    "ü/日本.txt": "grün".encode(),
    "edge": bytes(CHUNK_BYTES),
}


def test_a_folder_comes_back_byte_for_byte(store: FolderStore, tmp_path: Path):
    digest = put_folder(store, filled(tmp_path / "raw", MIXED), scratch=tmp_path / "scratch")
    found = version(store, digest)

    pulled = pull(store, found, tmp_path / "out")

    assert contents(tmp_path / "out") == MIXED
    assert (pulled.files, pulled.size_bytes) == (len(MIXED), sum(map(len, MIXED.values())))
    assert (found.kind, list(found.files)) == ("folder", ["_packs/00000.tar", "large.bin"])
    assert not verify(store, digest).faults
    assert pull(store, found, tmp_path / "out").unchanged
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_same_files_are_the_same_version_in_any_store(store: FolderStore, tmp_path: Path):
    one = put_folder(store, filled(tmp_path / "one", MIXED), scratch=tmp_path / "scratch")
    backwards = dict(reversed(MIXED.items()))
    other = open_store("memory://folders", cache=tmp_path / "cache")
    os.utime(filled(tmp_path / "two", backwards) / "empty", (1, 1))

    assert put_folder(other, tmp_path / "two", scratch=tmp_path / "scratch") == one
    assert put_folder(store, tmp_path / "two", scratch=tmp_path / "scratch") == one


def test_an_archive_is_a_tar_that_anybody_can_unpack(store: FolderStore, tmp_path: Path):
    files = SMALL | {"long/" + "x" * 120: b"1", "ü": b"2"}
    digest = put_folder(store, filled(tmp_path / "raw", files), scratch=tmp_path / "scratch")
    (pack,) = version(store, digest).files.values()

    with tarfile.open(file_path(store, pack)) as archive:
        archive.extractall(tmp_path / "out", filter="data")

    assert contents(tmp_path / "out") == files


def test_what_a_store_links_in_is_no_file_of_the_user(store: FolderStore, tmp_path: Path):
    raw = filled(tmp_path / "raw", MIXED)
    digest = put_folder(store, raw, scratch=tmp_path / "scratch")

    with (raw / "large.bin").open("r+b") as file:
        file.write(b"changed")

    assert get_bytes(store, version(store, digest).files["large.bin"]) == MIXED["large.bin"]


def test_a_new_file_leaves_most_archives_as_they_are(store, tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "PACK_BYTES", 20_000)
    monkeypatch.setattr(packs, "LARGEST_PACK_BYTES", 200_000)
    files = {f"{number:04d}": number.to_bytes(2, "big") * 500 for number in range(1500)}
    before = put_folder(store, filled(tmp_path / "raw", files), scratch=tmp_path / "scratch")
    (tmp_path / "raw" / "0001-new").write_bytes(b"new")

    after = put_folder(store, tmp_path / "raw", scratch=tmp_path / "scratch")

    old, new = ({file.digest for file in version(store, digest).files.values()} for digest in (before, after))
    assert len(old) > 10
    assert len(new - old) <= 3
    assert diff(store, before, after).named == (("0001-new", "added"),)


def test_a_file_whose_bytes_in_the_archive_are_not_its_own_is_refused(store: FolderStore, tmp_path: Path):
    made = read_folder(store, put_folder(store, filled(tmp_path / "raw", SMALL), scratch=tmp_path / "scratch"))
    first, second, *rest = made.members
    swapped = Member(
        name=first.name, stored=second.stored, offset=second.offset, size_bytes=second.size_bytes, digest=first.digest
    )
    data = encode(FolderManifest(stored=made.stored, members=(swapped, second, *rest)))
    digest = put_object(store, data)

    with pytest.raises(IntegrityError, match=r"cat/000\.png"):
        pull(store, version(store, digest), tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a//b", "../up", "a/./b", "a\0b", "\udcff"])
def test_a_name_that_leads_elsewhere_is_none(name: str):
    with pytest.raises(ValueError, match="cannot name a file"):
        check_name(name)


def test_a_manifest_that_names_a_place_outside_of_an_archive_is_refused(store: FolderStore, tmp_path: Path):
    data = encode(
        read_folder(store, put_folder(store, filled(tmp_path / "raw", {"a": b"1"}), scratch=tmp_path / "scratch"))
    )

    for old, new in ((b'"offset":[512]', b'"offset":[99999]'), (b'"stored":[0]', b'"stored":[7]')):
        assert old in data
        with pytest.raises(ValueError, match=r"lies outside|out of range"):
            decode(data.replace(old, new))


def test_what_cannot_be_kept_is_refused_by_name(store: FolderStore, tmp_path: Path):
    def refused(folder: Path) -> str:
        with pytest.raises(SourceError) as raised:
            put_folder(store, folder, scratch=tmp_path / "scratch")
        return str(raised.value)

    (tmp_path / "void").mkdir()
    assert "holds no file" in refused(tmp_path / "void")
    assert "is no folder" in refused(tmp_path / "nowhere")
    (filled(tmp_path / "linked", {"a": b"1"}) / "more").symlink_to(tmp_path / "void")
    assert "linked/more is neither a file nor a folder" in refused(tmp_path / "linked")
    assert "_packs is taken" in refused(filled(tmp_path / "taken", {"_packs/a": b"1"}))
    assert not (tmp_path / "store").exists()
