import os
import time
from pathlib import Path

import pytest

from resources.canonical import digest_bytes
from resources.errors import ObjectMissing, StoreError
from resources.storage import folder
from resources.storage.cache.locks import locked
from resources.storage.files import put_file
from resources.storage.folder import STAGING, STALE_S, FolderStore
from resources.storage.objects import put_object
from tests.resources.disks import lockable_disk, other_disk, tiny_disk

__all__ = ["lockable_disk", "other_disk", "tiny_disk"]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_nothing_is_made_before_the_first_write(tmp_path):
    store = FolderStore(tmp_path / "store")

    assert store.list("") == []
    assert not store.exists("a")
    assert not (tmp_path / "store").exists()


def test_a_file_of_the_same_disk_is_linked_in_not_copied(tmp_path):
    shard = tmp_path / "shard"
    shard.write_bytes(b"x" * 1000)

    FolderStore(tmp_path / "store").upload("objects/a", shard)

    assert (tmp_path / "store/objects/a").stat().st_ino == shard.stat().st_ino


def test_a_file_of_another_disk_is_copied_whole(tmp_path, other_disk):
    shard = other_disk / "shard"
    shard.write_bytes(b"x" * 1000)
    store = FolderStore(tmp_path / "store")

    assert store.upload("objects/a", shard)
    assert not store.upload("objects/a", shard)

    assert store.get("objects/a") == b"x" * 1000
    assert files(tmp_path / "store") == ["objects/a"]


def test_writes_leave_nothing_aside(tmp_path):
    store = FolderStore(tmp_path)
    store.create("a", b"1")
    store.create("a", b"2")
    store.put("a", b"3")

    assert files(tmp_path) == ["a"]


def test_a_file_under_the_folder_is_reported_with_its_remedy(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = FolderStore(tmp_path / "file" / "store")

    for use in (store.get, store.exists, store.list, store.delete, lambda key: store.put(key, b"")):
        with pytest.raises(
            StoreError, match=r"cannot \w+.* x in store .*/file/store: .*choose another folder"
        ) as error:
            use("x")
        assert not isinstance(error.value, ObjectMissing)


def test_a_read_only_store_refuses_writes_by_name_and_stays_readable(lockable_disk):
    folder, lock = lockable_disk
    store = FolderStore(folder / "store")
    store.create("x/a", b"kept")
    lock()

    writes = {
        "create": lambda: store.create("x/b", b""),
        "write": lambda: store.put("x/a", b""),
        "delete": lambda: store.delete("x/a"),
    }
    for operation, write in writes.items():
        with pytest.raises(StoreError, match=rf"cannot {operation} x/\w in store .*read-only: mount it writable"):
            write()
    assert store.get("x/a") == b"kept"
    assert not store.create("x/a", b"other")
    assert store.list("") == ["x/a"]


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tiny_disk, tmp_path):
    store = FolderStore(tiny_disk / "store")
    store.put("x/pointer", b"old")
    (tmp_path / "big").write_bytes(b"x" * 2 * 2**20)
    big = b"x" * 2 * 2**20

    writes = {
        "x/created": lambda: store.create("x/created", big),
        "x/pointer": lambda: store.put("x/pointer", big),
        "x/uploaded": lambda: store.upload("x/uploaded", tmp_path / "big"),
    }
    for key, write in writes.items():
        with pytest.raises(StoreError, match=rf"{key} in store .*No space left on device; free some space"):
            write()
    assert store.get("x/pointer") == b"old"
    assert files(tiny_disk) == ["store/x/pointer"]
    assert store.create("x/small", b"fits again")


def test_a_full_disk_never_shows_an_object_under_its_digest(tiny_disk, tmp_path):
    store = FolderStore(tiny_disk / "store")
    (tmp_path / "big").write_bytes(b"x" * 2 * 2**20)

    for put in (lambda: put_file(store, tmp_path / "big"), lambda: put_object(store, b"y" * 2 * 2**20)):
        with pytest.raises(StoreError, match="No space left"):
            put()

    assert store.list("objects") == store.list("files") == []


def test_what_killed_writers_left_aside_is_swept_when_it_is_old(tmp_path):
    (tmp_path / STAGING).mkdir()
    old, young = tmp_path / STAGING / "1-old", tmp_path / STAGING / "2-young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time(), time.time() - STALE_S - 1))

    FolderStore(tmp_path).put("a", b"")

    assert not old.exists()
    assert young.exists()


def test_what_lies_aside_is_not_part_of_the_store(tmp_path):
    (tmp_path / STAGING).mkdir()
    (tmp_path / STAGING / "1-half").write_bytes(b"half")

    assert FolderStore(tmp_path).list("") == []


def test_a_writer_that_hangs_while_it_swaps_is_named_and_keeps_its_lock_however_old_it_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "SWAP_PATIENCE_S", 0.1)
    FolderStore(tmp_path).put("refs/a", b"1")
    lock = tmp_path / STAGING / f"swap-{digest_bytes(b'refs/a')[:2]}"
    with locked(lock, patience_s=1):
        os.utime(lock, (0, 0))
        store = FolderStore(tmp_path)  # sweeps at its first write
        _, tag = store.get_tagged("refs/a")

        with pytest.raises(StoreError, match=f"process {os.getpid()} has held .* end that process"):
            store.swap("refs/a", b"2", tag=tag)

    assert store.swap("refs/a", b"2", tag=tag)
    assert files(tmp_path) == ["refs/a"]
