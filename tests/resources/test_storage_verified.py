"""When local files are hashed: at their first read, always or never."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.errors import IntegrityError
from resources.settings import load_settings
from resources.storage.content import StoredFile
from resources.storage.files import borrowed, file_path, put_bytes
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore
from resources.storage.ranges import read_range
from resources.storage.store import Store
from resources.storage.verified import take_hashed_s, use_mode
from resources.workspace import open_workspace
from tests.resources.remotes import flip


@pytest.fixture(autouse=True)
def usual_mode() -> Iterator[None]:
    take_hashed_s()  # what other tests spent
    yield
    use_mode("first")


@pytest.fixture
def copied(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"memory://{tmp_path.name}", cache=tmp_path / "cache", cache_bytes=10**6)


def flip_unseen(path: Path) -> None:
    """Flip a bit and leave the time as it was, as a failing disk does."""
    status = path.stat()
    flip(path, 3)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def is_writable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o222)


def in_parts(store: Store, file: StoredFile) -> bytes:
    return read_range(store, file, 0, 5)


def in_cache(store: ObjectStore) -> tuple[Store, StoredFile, Callable[[], None]]:
    file = put_bytes(store, b"truth")
    path = file_path(store, file)
    return store, file, lambda: flip_unseen(path)


def in_folder(folder: Path) -> tuple[Store, StoredFile, Callable[[], None]]:
    store = FolderStore(folder)
    file = put_bytes(store, b"truth")
    return store, file, lambda: flip_unseen(file_path(store, file))


def test_by_default_a_file_is_hashed_once_a_process(copied, tmp_path):
    for store, file, damage in (in_cache(copied), in_folder(tmp_path / "folder")):
        file_path(store, file)
        damage()

        assert file_path(store, file).read_bytes() != b"truth"


def test_always_hashes_each_time_so_that_a_copy_is_mended_and_a_folder_refused(copied, tmp_path):
    use_mode("always")
    store, file, damage = in_cache(copied)
    damage()
    with borrowed(store, [file]) as (path,):
        assert path.read_bytes() == b"truth"
    damage()
    assert read_range(store, file, 0, 5) == b"truth"

    store, file, damage = in_folder(tmp_path / "folder")
    damage()
    with pytest.raises(IntegrityError, match="was altered"):
        file_path(store, file)


def test_never_trusts_what_lies_there_but_not_what_comes_from_a_store(copied, tmp_path):
    use_mode("never")
    for store, file, damage in (in_cache(copied), in_folder(tmp_path / "folder")):
        damage()
        assert file_path(store, file).read_bytes() != b"truth"
        assert read_range(store, file, 0, 5) != b"truth"
    assert copied.cache.stats().verify_s == 0

    other = put_bytes(copied, b"other")
    copied.put(other.key, b"lying")
    with pytest.raises(IntegrityError, match="was altered"):
        file_path(copied, other)


@pytest.mark.parametrize("read", [lambda store, file: file_path(store, file).read_bytes(), in_parts])
def test_never_hashes_what_was_not_flushed_since_a_loss_of_power_may_have_torn_it(copied, read):
    store, file, _ = in_cache(copied)
    path = file_path(store, file)
    assert is_writable(path)
    flip(path, 3)  # unlike `damage`, at a time that this process does not know

    use_mode("never")

    assert read(store, file) == b"truth"
    assert not is_writable(path)  # the copy in its place was flushed
    flip(path, 3)
    path.chmod(0o444)
    assert read(store, file) != b"truth"


def test_the_mode_is_a_setting_of_the_workspace(copied, tmp_path):
    store, file, damage = in_cache(copied)
    damage()

    open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_VERIFY": "always"}))

    assert file_path(store, file).read_bytes() == b"truth"


def test_the_seconds_that_hashing_takes_are_counted(copied):
    use_mode("always")
    store, file, _ = in_cache(copied)
    before = copied.cache.stats().verify_s

    file_path(store, file)

    assert copied.cache.stats().verify_s > before
