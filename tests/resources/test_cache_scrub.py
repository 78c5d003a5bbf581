"""A scrub finds damaged copies before their readers do, one at a time on a host, and at the pace that it was given."""

import errno
import os
import random
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resources.errors import StoreError
from resources.settings import PROJECT_ROOT
from resources.storage.cache.cache import HostCache
from resources.storage.cache.locks import locked
from resources.storage.cache.pace import Pace
from resources.storage.cache.scrub import Scrub, least_recently_verified, scrub
from resources.storage.content import CHUNK_BYTES, describe_bytes
from resources.storage.data_key import make_user_key
from resources.storage.encrypted import EncryptedStore
from resources.storage.files import borrowed, put_bytes
from resources.storage.object_store import ObjectStore
from tests.resources.disks import tiny_disk
from tests.resources.remotes import MemoryRemote, flip, remote

__all__ = ["tiny_disk"]

LARGE = CHUNK_BYTES + 1000


class Clock:
    """A clock that only sleeping moves, and each look at it a little."""

    def __init__(self, tick_s: float = 0.0) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._tick_s = tick_s

    def __call__(self) -> float:
        self.now += self._tick_s
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def cache(tmp_path: Path) -> HostCache:
    return HostCache(tmp_path / "cache", budget_bytes=10**8)


def fill(cache: HostCache, *sizes: int, release: bool = True) -> list[MemoryRemote]:
    """Cache random files, oldest first."""
    items = [remote(size) for size in sizes]
    for number, item in enumerate(items):
        path = cache.lease(item.digest, item)
        os.utime(path, (1e9 + number, 1e9 + number))
        if release:
            cache.release(item.digest)
    return items


def path_of(cache: HostCache, item: MemoryRemote) -> Path:
    return cache.root / "objects" / item.digest[:2] / item.digest


def test_whole_copies_are_read_once_each_and_stay(cache):
    items = fill(cache, 0, 1, LARGE, 70_000)

    done = scrub(cache)

    assert done == Scrub(copies=4, read_bytes=LARGE + 70_001)
    assert all(path_of(cache, item).read_bytes() == item.data for item in items)
    stats = cache.host_stats()
    assert (stats.scrubbed, stats.scrubbed_bytes, stats.damaged) == (4, LARGE + 70_001, 0)
    assert stats.verify_s > 0


@pytest.mark.parametrize("damage", ["bit", "short", "long", "empty"])
def test_a_damaged_copy_is_dropped_and_the_next_reader_fetches_a_good_one(cache, damage):
    items = fill(cache, 500, LARGE, 500)
    path = path_of(cache, items[1])
    if damage == "bit":
        flip(path, LARGE - 1)
    else:
        path.chmod(0o644)
        os.truncate(path, {"short": LARGE - 1, "long": LARGE + 1, "empty": 0}[damage])

    done = scrub(cache)

    assert (done.damaged, done.dropped, done.copies) == ((items[1].digest,), (items[1].digest,), 3)
    assert not path.exists()
    assert cache.lease(items[1].digest, items[1]).read_bytes() == items[1].data
    assert cache.stats().damaged == 1
    assert cache.stats().held_bytes == LARGE + 1000
    assert scrub(cache).damaged == ()


def test_a_damaged_copy_that_is_in_use_keeps_its_name_and_is_looked_at_first_the_next_time(cache):
    items = fill(cache, 400, 500, 600, release=False)
    path = path_of(cache, items[1])
    flip(path, 7)

    done = scrub(cache)

    assert (done.damaged, done.dropped) == ((items[1].digest,), ())
    assert path.exists()
    again = scrub(cache, Pace(for_s=1e-9))
    assert (again.copies, again.damaged, again.left) == (1, (items[1].digest,), 2)


def test_a_sector_that_cannot_be_read_is_damage(cache, monkeypatch):
    (item,) = fill(cache, 500)

    def failing(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", failing)
    monkeypatch.setattr(os, "pread", failing)
    done = scrub(cache)

    assert (done.damaged, done.dropped) == ((item.digest,), (item.digest,))


def test_the_least_recently_verified_go_first_and_each_has_its_turn(cache):
    items = fill(cache, *range(1000, 1007))
    seen: list[int] = []
    for _ in range(2 * len(items)):
        before = cache.stats().scrubbed_bytes
        done = scrub(cache, Pace(for_s=1e-9))
        assert (done.copies, done.left) == (1, len(items) - 1)
        seen.append(cache.stats().scrubbed_bytes - before)

    assert seen == [len(item.data) for item in items] * 2
    newer = remote(10)
    cache.lease(newer.digest, newer)  # verified when it was fetched, later than all others
    assert scrub(cache, Pace(for_s=1e-9)).read_bytes == 1000


def test_what_was_scrubbed_is_told_by_its_oldest_date(cache):
    assert least_recently_verified(cache) is None
    fill(cache, 10, 20)
    assert least_recently_verified(cache) == datetime.fromtimestamp(1e9, UTC)

    scrub(cache, Pace(for_s=1e-9))
    assert least_recently_verified(cache) == datetime.fromtimestamp(1e9 + 1, UTC)
    began = datetime.now(UTC)
    scrub(cache)
    last = least_recently_verified(cache)
    assert last is not None
    assert last < datetime.now(UTC)
    scrub(cache)
    last = least_recently_verified(cache)
    assert last is not None
    assert last >= began


@pytest.mark.parametrize("damage", ["missing", "torn", "noise", "future"])
def test_a_memory_that_is_lost_or_lies_costs_nothing_but_the_order(cache, damage):
    items = fill(cache, 100, 200, 300)
    scrub(cache)
    file = cache.root / "verifications"
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        name = bytes.fromhex(items[2].digest)
        future = name + b"\0\0\0\0\0\0\xf0\x7f"  # infinity
        file.write_bytes({"torn": data[:-3], "noise": random.Random(1).randbytes(999), "future": future}[damage])

    done = scrub(cache, Pace(for_s=1e-9))

    first = {"torn": 300, "future": 300}.get(damage, 100)
    assert (done.copies, done.read_bytes, done.left) == (1, first, 2)
    assert scrub(cache).copies == 3


def test_no_more_is_read_in_a_time_than_the_rate_allows(cache):
    fill(cache, *[LARGE] * 3)
    clock = Clock()

    done = scrub(cache, Pace(rate_bytes_per_s=10**6, clock=clock, sleep=clock.sleep))

    assert done.copies == 3
    assert sum(clock.slept) == pytest.approx((3 * LARGE - 1000) / 1e6)  # nobody waits after the last chunk


def test_what_was_not_read_in_time_is_not_made_up_for():
    clock = Clock()
    pace = Pace(rate_bytes_per_s=100, clock=clock, sleep=clock.sleep)
    pace.wait(1000)
    clock.now = 1_000.0

    for _ in range(3):
        pace.wait(1000)

    assert clock.slept == [10.0, 10.0]


def test_it_ends_with_its_time_but_one_copy_is_always_finished(cache):
    fill(cache, 3 * CHUNK_BYTES, 100, 3 * CHUNK_BYTES)
    clock = Clock()

    done = scrub(cache, Pace(rate_bytes_per_s=CHUNK_BYTES, for_s=4, clock=clock, sleep=clock.sleep))

    assert (done.copies, done.left) == (2, 1)  # the third is given up in its middle
    assert scrub(cache, Pace(for_s=1e-9)).read_bytes == 3 * CHUNK_BYTES


@pytest.mark.parametrize("wrong", [{"rate_bytes_per_s": 0}, {"for_s": 0}, {"for_s": -1}])
def test_a_pace_that_stands_still_is_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        Pace(**wrong)


def test_while_one_process_scrubs_others_do_not_and_readers_go_on(cache):
    items = fill(cache, 500, 600)
    told: list[object] = []

    def meanwhile(_: float) -> None:
        told.append(subprocess.run(
            [sys.executable, "-c", SCRUBBING, str(cache.root)],
            cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
        ).stdout)  # fmt: skip
        other = HostCache(cache.root, budget_bytes=10**8)
        told.append([other.lease(item.digest, item).read_bytes() == item.data for item in items])
        told.append(other.stats().misses)

    clock = Clock()
    done = scrub(cache, Pace(rate_bytes_per_s=1000, clock=clock, sleep=meanwhile))

    assert told == ["Scrub(copies=0, read_bytes=0, damaged=(), dropped=(), left=0, busy=True)\n", [True, True], 0]
    assert done.copies == 2
    assert not (cache.root / "scrub.lock").exists()


SCRUBBING = """
import sys
from pathlib import Path
from resources.storage.cache.cache import HostCache
from resources.storage.cache.pace import Pace
from resources.storage.cache.scrub import scrub
rate = float(sys.argv[2]) if len(sys.argv) > 2 else 1e8
def sleep(_): print("asleep", flush=True); sys.stdin.read()
print(scrub(HostCache(Path(sys.argv[1]), budget_bytes=10**8), Pace(rate_bytes_per_s=rate, sleep=sleep)))
"""


def test_a_scrub_that_is_killed_blocks_no_other_and_its_work_is_not_done_twice(cache):
    fill(cache, 500, 600, 700)
    killed = subprocess.Popen(
        [sys.executable, "-c", SCRUBBING, str(cache.root), "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT,
    )  # fmt: skip
    assert killed.stdout is not None
    assert killed.stdout.readline() == "asleep\n"  # it has read the first, and waits before the second
    killed.kill()
    killed.communicate()

    done = scrub(cache, Pace(for_s=1e-9))

    assert (done.busy, done.copies, done.read_bytes) == (False, 1, 600)


def test_a_copy_that_is_evicted_meanwhile_is_let_go(cache):
    fill(cache, 3 * CHUNK_BYTES, 500)
    clock = Clock()

    def evict(_: float) -> None:
        for path in (cache.root / "objects").rglob("*"):
            if path.is_file():
                path.unlink()

    done = scrub(cache, Pace(rate_bytes_per_s=1, clock=clock, sleep=evict))

    assert done == Scrub()


def test_a_copy_that_was_replaced_by_a_good_one_meanwhile_is_not_damaged(cache):
    (item,) = fill(cache, 3 * CHUNK_BYTES)
    path = path_of(cache, item)
    flip(path, 0)
    clock = Clock()

    def mend(_: float) -> None:
        cache.mend(item.digest, item)

    done = scrub(cache, Pace(rate_bytes_per_s=1, clock=clock, sleep=mend))

    assert done.damaged == ()
    assert path.read_bytes() == item.data


def test_the_page_cache_keeps_what_others_have_read_and_nothing_else(cache):
    used, idle = fill(cache, LARGE, LARGE)
    for item in (used, idle):
        forget_pages(path_of(cache, item))
    if in_memory(path_of(cache, idle)) is not False:
        pytest.skip("not here: this file system does not tell what is in memory, or never forgets it")
    path_of(cache, used).read_bytes()

    assert scrub(cache).copies == 2

    assert in_memory(path_of(cache, used))
    assert not in_memory(path_of(cache, idle))


def forget_pages(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def in_memory(path: Path) -> bool | None:
    """Return whether the first page is, or None where nobody can tell."""
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(4096)], 0, os.RWF_NOWAIT) == 4096
        except BlockingIOError:
            return False
        except OSError:
            return None


def test_copies_of_an_encrypted_store_are_verified_without_its_key(tmp_path):
    key = tmp_path / "user.key"
    make_user_key(key)
    behind = ObjectStore(f"memory://{secrets.token_hex(4)}", cache=tmp_path / "cache", cache_bytes=10**8)
    store = EncryptedStore(behind, key=key, scratch=tmp_path / "scratch")
    data = secrets.token_bytes(LARGE)
    file = put_bytes(store, data)
    with borrowed(store, [file]) as (path,):
        assert path.read_bytes() == data
    key.unlink()
    host = HostCache(tmp_path / "cache", budget_bytes=10**8)
    assert scrub(host).damaged == ()
    (copy,) = (path for path in (tmp_path / "cache" / "objects").rglob("*") if path.is_file())
    assert copy.name != describe_bytes(data)[0].digest
    flip(copy, LARGE // 2)

    assert scrub(host).dropped == (copy.name,)

    with borrowed(store, [file]) as (path,):
        assert path.read_bytes() == data


def test_a_cache_that_was_never_used_is_not_made(tmp_path):
    assert scrub(HostCache(tmp_path / "none")) == Scrub()
    assert not (tmp_path / "none").exists()


def test_a_full_disk_stops_no_scrub(tiny_disk):
    cache = HostCache(tiny_disk / "cache", budget_bytes=10**6)
    (item, _) = fill(cache, 1000, 2000)
    flip(path_of(cache, item), 3)
    free = os.statvfs(tiny_disk)
    (tiny_disk / "filler").write_bytes(bytes(free.f_bavail * free.f_bsize))

    assert scrub(cache).dropped == (item.digest,)


def test_a_folder_that_cannot_be_used_is_named(cache):
    fill(cache, 100)
    (cache.root / "scrub.lock").mkdir()

    with pytest.raises(StoreError, match=r"cannot scrub the cache .*scrub.lock: Is a directory; make it a folder that"):
        scrub(cache)
    (cache.root / "scrub.lock").rmdir()
    with locked(cache.root / "scrub.lock", patience_s=0):
        assert scrub(cache) == Scrub(busy=True)
