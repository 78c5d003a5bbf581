import fcntl
import mmap
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.settings import PROJECT_ROOT
from resources.storage import content
from resources.storage.cache import download as downloading
from resources.storage.cache.cache import HostCache
from resources.storage.cache.locks import locked
from resources.storage.content import describe_bytes
from resources.storage.files import borrowed, file_path, put_bytes
from resources.storage.object_store import ObjectStore
from tests.resources.disks import grow, tiny_disk
from tests.resources.remotes import MemoryRemote, bytes_on_disk, fails_at, flip, flipped, remote

__all__ = ["tiny_disk"]

RANGE = 1000


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", RANGE // 4)
    monkeypatch.setattr(content, "CHUNK_BYTES", RANGE)
    monkeypatch.setattr(content, "_BLOCKS", 4)
    monkeypatch.setattr(downloading, "CHUNK_BYTES", RANGE)
    monkeypatch.setattr(downloading, "RANGE_CHUNKS", 1)
    monkeypatch.setattr(downloading, "CONCURRENT_RANGES", 1)


@pytest.fixture
def cache(tmp_path: Path) -> HostCache:
    return HostCache(tmp_path / "cache", budget_bytes=10_000, patience_s=0.3)


def read(cache: HostCache, item: MemoryRemote) -> bytes:
    data = cache.lease(item.digest, item).read_bytes()
    cache.release(item.digest)
    return data


@pytest.mark.parametrize("size", [0, 1, RANGE, RANGE + 1, 9 * RANGE + 7])
def test_an_object_is_fetched_once_and_then_found(cache, size):
    item = remote(size)

    assert read(cache, item) == item.data
    reads = item.reads
    assert read(cache, item) == item.data
    assert item.reads == reads == -(-size // RANGE)
    assert (cache.stats().hits, cache.stats().misses, cache.stats().fetched_bytes) == (1, 1, size)
    assert cache.stats().held_bytes == size
    assert [path for name in ("parts", "locks") for path in (cache.root / name).iterdir()] == []


def test_an_object_larger_than_the_budget_is_an_error_with_both_sizes(cache):
    with pytest.raises(StoreError, match=r"of 10,001 bytes: it may hold 10,000 bytes .*PENSTOCK_CACHE_BYTES"):
        read(cache, remote(10_001))
    assert read(cache, item := remote(10_000)) == item.data


def test_without_a_budget_half_of_the_free_disk_is_kept_free(tiny_disk):
    cache = HostCache(tiny_disk / "cache")

    with pytest.raises(StoreError, match="no room"):
        read(cache, remote(600_000))
    for _ in range(4):
        read(cache, remote(300_000))
        assert bytes_on_disk(cache.root) <= 2**19


def test_what_is_not_in_use_makes_room(cache):
    for _ in range(20):
        read(cache, remote(2_500))
        assert bytes_on_disk(cache.root) == cache.stats().held_bytes <= 10_000

    assert cache.stats().evictions == 16


def test_what_is_leased_stays_and_the_error_says_what_is_needed(cache):
    first, second = remote(6_000), remote(6_000)
    path = cache.lease(first.digest, first)

    with pytest.raises(StoreError, match=r"of 6,000 bytes: this process is using 6,000 of its 10,000 bytes"):
        cache.lease(second.digest, second)
    assert path.read_bytes() == first.data
    cache.release(first.digest)
    assert read(cache, second) == second.data
    assert not path.exists()


def test_what_is_mapped_stays_readable_after_eviction(cache):
    first, second = remote(6_000), remote(6_000)
    with cache.lease(first.digest, first).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    cache.release(first.digest)

    read(cache, second)

    assert bytes(mapped) == first.data
    mapped.close()


def test_a_lease_is_shared_by_all_caches_of_a_process_on_one_folder(cache, tmp_path):
    first, second = remote(6_000), remote(6_000)
    path = cache.lease(first.digest, first)
    other = HostCache(tmp_path / "cache", budget_bytes=10_000)

    with pytest.raises(StoreError, match="no room"):
        other.lease(second.digest, second)
    assert path.exists()


LEASING = """
import sys, time
from pathlib import Path
from resources.storage.cache.cache import HostCache
from tests.resources.remotes import MemoryRemote
item = MemoryRemote(b"x" * 6000)
HostCache(Path(sys.argv[1]), budget_bytes=10_000).lease(item.digest, item)
print("leased", flush=True)
time.sleep(60)
"""


def test_a_lease_of_another_process_holds_until_that_process_is_killed(cache):
    command = [sys.executable, "-c", LEASING, str(cache.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "leased\n"
        with pytest.raises(StoreError, match="other processes are reading or fetching all the rest"):
            read(cache, remote(6_000))
        other.kill()
        other.wait()
    assert read(cache, item := remote(6_000)) == item.data


def leased_names(folder: str) -> frozenset[str]:
    return HostCache(Path(folder))._leases.names()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_none_of_its_parents_leases(cache):
    item = remote(10)
    cache.lease(item.digest, item)

    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(leased_names, (str(cache.root),)) == frozenset()
    assert leased_names(str(cache.root)) == {item.digest}


def test_a_download_that_failed_is_resumed(cache):
    item = MemoryRemote(remote(8 * RANGE).data, fails_at(6))
    with pytest.raises(StoreError, match="went away"):
        read(cache, item)
    before = cache.stats().fetched_bytes
    reads = item.reads

    assert read(cache, item) == item.data
    assert item.reads - reads <= 4  # of 8
    assert cache.stats().fetched_bytes - before <= 4 * RANGE


def test_a_bit_that_flips_in_a_part_is_not_served(cache):
    item = MemoryRemote(remote(8 * RANGE).data, fails_at(6))
    with pytest.raises(StoreError, match="went away"):
        read(cache, item)
    (part,) = (cache.root / "parts").glob(f"{item.digest}.{8 * RANGE}")
    flip(part, 10)

    assert read(cache, item) == item.data


def test_a_journal_that_lies_is_not_believed(cache):
    item = MemoryRemote(remote(8 * RANGE).data, fails_at(6))
    with pytest.raises(StoreError, match="went away"):
        read(cache, item)
    (cache.root / "parts" / f"{item.digest}.journal").write_bytes(b"\1" * 8)

    assert read(cache, item) == item.data


def test_bytes_that_are_wrong_once_are_fetched_again(cache):
    item = MemoryRemote(remote(3 * RANGE).data, lambda number, data: flipped(data) if number == 2 else data)

    assert read(cache, item) == item.data
    assert item.reads == 6


def test_bytes_that_stay_wrong_are_an_error_that_names_the_object_and_hold_nothing(cache):
    item = MemoryRemote(remote(3 * RANGE).data, lambda _number, data: flipped(data))

    with pytest.raises(IntegrityError, match=f"file {item.digest} in store memory://test was altered"):
        read(cache, item)
    assert bytes_on_disk(cache.root) == cache.stats().held_bytes == 0
    assert list((cache.root / "parts").iterdir()) == []


def test_a_short_answer_is_an_error_not_a_hole(cache):
    item = MemoryRemote(remote(3 * RANGE).data, lambda _number, data: data[:-1])

    with pytest.raises(StoreError, match=r"got 999 bytes at 0, expected 1,000"):
        read(cache, item)


def test_of_many_threads_one_fetches(cache):
    item = remote(9 * RANGE)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: read(cache, item), range(32)))

    assert set(found) == {item.data}
    assert item.reads == 9
    assert cache.stats().misses == 1
    assert cache.stats().hits + cache.stats().waits == 31


def test_waiting_for_a_download_that_hangs_ends_with_the_process_to_look_at(cache):
    item = remote(10)
    (cache.root / "locks").mkdir(parents=True)
    with (
        locked(cache.root / "locks" / item.digest, patience_s=1),
        pytest.raises(StoreError, match=r"process \d+ has held .* for 0.3 s without progress: end that process"),
    ):
        read(cache, item)
    assert read(cache, item) == item.data


def test_a_lock_whose_file_cannot_be_removed_is_given_back(tmp_path):
    lock, same = tmp_path / "lock", tmp_path / "same"
    with locked(lock, patience_s=1):
        os.link(lock, same)
        lock.unlink()
        lock.mkdir()

    with same.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("damage", [b"", b"no database at all, but long enough to be looked at" * 100, None])
def test_an_index_that_is_lost_or_damaged_is_made_anew_from_the_files(cache, damage):
    items = [remote(4_000), remote(4_000)]
    for item in items:
        read(cache, item)
    if damage is None:
        (cache.root / "index").unlink()
    else:
        (cache.root / "index").write_bytes(damage)

    assert cache.stats().held_bytes == 8_000
    read(cache, remote(4_000))
    assert bytes_on_disk(cache.root) == cache.stats().held_bytes == 8_000


def test_files_that_a_person_removes_are_fetched_again_and_no_longer_counted(cache, tmp_path):
    item = remote(4_000)
    cache.lease(item.digest, item).unlink()

    assert read(cache, item) == item.data
    assert HostCache(tmp_path / "cache", budget_bytes=10_000).stats().held_bytes == 4_000


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half(tiny_disk):
    cache, item = HostCache(tiny_disk / "cache", budget_bytes=10**8), remote(2 * 10**6)

    with pytest.raises(StoreError, match=r"No space left on device; free some space, lower PENSTOCK_CACHE_BYTES"):
        read(cache, item)
    assert item.reads == 0
    assert bytes_on_disk(cache.root) == cache.stats().held_bytes == 0
    grow(tiny_disk)
    assert read(cache, item) == item.data


def test_a_bit_that_flips_in_a_cached_file_is_noticed_and_the_file_fetched_anew(tmp_path):
    store = ObjectStore("memory://flipped-final", cache=tmp_path, cache_bytes=10_000)
    digest = put_bytes(store, b"truth" * 100)
    flip(file_path(store, digest), 7)

    assert file_path(store, digest).read_bytes() == b"truth" * 100
    assert store.cache.stats().misses == 2


def test_a_copy_that_another_process_has_mended_is_kept(cache):
    item = remote(100)
    cache.lease(item.digest, item)

    cache.mend(item.digest, item)

    assert read(cache, item) == item.data
    assert cache.stats().misses == 1


def test_a_damaged_copy_is_replaced_under_its_name_which_never_vanishes(cache):
    item = MemoryRemote(remote(4 * RANGE).data, lambda _number, data: (seen.append(path.exists()), data)[1])
    seen: list[bool] = []
    path = cache.root
    path = cache.lease(item.digest, item)
    flip(path, 7)
    seen.clear()

    cache.mend(item.digest, item)

    assert seen == [True] * 4
    assert path.read_bytes() == item.data
    assert bytes_on_disk(cache.root) == cache.stats().held_bytes == 4 * RANGE
    assert (cache.stats().damaged, cache.stats().evictions) == (1, 0)


def test_a_replacement_has_room_of_its_own_within_the_budget(cache):
    for _ in range(3):
        read(cache, remote(3 * RANGE))
    item = MemoryRemote(remote(RANGE).data, lambda _number, data: (held.append(bytes_on_disk(cache.root)), data)[1])
    held: list[int] = []
    flip(cache.lease(item.digest, item), 0)

    cache.mend(item.digest, item)

    assert read(cache, item) == item.data
    assert held == [10_000, 8_000]
    assert cache.stats().evictions == 1


def test_where_there_is_no_room_for_two_copies_the_damaged_one_goes_first(cache):
    item = remote(6 * RANGE)
    path = cache.lease(item.digest, item)
    flip(path, 7)

    cache.mend(item.digest, item)

    assert not path.exists()
    assert read(cache, item) == item.data


def test_a_copy_that_cannot_be_replaced_is_neither_served_nor_lost_to_who_leases_it(tmp_path):
    store = ObjectStore("memory://no-replacement", cache=tmp_path, cache_bytes=10_000)
    file = put_bytes(store, b"truth" * 100)
    path = file_path(store, file)
    flip(path, 7)
    store.put(file.key, b"lies!" * 100)

    with pytest.raises(IntegrityError, match="was altered"):
        file_path(store, file)
    assert path.exists()
    store.put(file.key, b"truth" * 100)
    assert file_path(store, file).read_bytes() == b"truth" * 100


def test_a_damaged_copy_is_dropped_unless_others_lease_it_who_then_notice(tmp_path):
    store = ObjectStore("memory://dropped", cache=tmp_path, cache_bytes=10_000)
    files = [put_bytes(store, bytes([number]) * 600) for number in range(3)]
    leased, free, good = (file_path(store, file) for file in files)
    for file in files[1:]:
        store.release_local(file)
    for path in (leased, free):
        status = path.stat()
        flip(path, 7)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # so that nobody notices

    assert [store.cache.drop_damaged(file.digest) for file in files] == [True, True, False]

    assert (leased.exists(), free.exists(), good.exists()) == (True, False, True)
    assert [file_path(store, file).read_bytes()[0] for file in files] == [0, 1, 2]


def test_two_stores_share_the_copy_of_one_object(tmp_path):
    stores = [ObjectStore(f"memory://shares-{number}", cache=tmp_path, cache_bytes=10_000) for number in range(2)]
    digest = {put_bytes(store, b"same") for store in stores}.pop()

    paths = {file_path(store, digest) for store in stores}

    assert len(paths) == 1
    assert [store.cache.stats().misses for store in stores] == [1, 0]


def test_borrowed_objects_may_be_evicted_afterwards(tmp_path):
    store = ObjectStore("memory://borrowed", cache=tmp_path, cache_bytes=1_000)
    digests = [put_bytes(store, bytes([number]) * 600) for number in range(3)]

    for digest in digests:
        with borrowed(store, [digest]) as (path,):
            assert len(path.read_bytes()) == 600
    with pytest.raises(StoreError, match="no room"), borrowed(store, digests):
        pass


def test_a_missing_object_leaves_no_trace(tmp_path):
    store = ObjectStore("memory://missing", cache=tmp_path)

    with pytest.raises(ObjectMissing):
        store.local(describe_bytes(b"none")[0])
    assert [path for name in ("parts", "locks", "objects") for path in (tmp_path / name).iterdir()] == []
