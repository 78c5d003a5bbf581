"""What the processes of a host count, added up."""

import multiprocessing
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.settings import PROJECT_ROOT
from resources.storage.cache import counters
from resources.storage.cache.cache import HostCache
from resources.storage.cache.counters import Counters, host_counts, process_stats
from resources.storage.cache.stats import CacheStats, cache_metadata, stats_of
from resources.storage.verified import has_digest
from tests.resources.disks import grow, tiny_disk
from tests.resources.remotes import remote

__all__ = ["tiny_disk"]

COUNTING = """
import os, signal, sys
from pathlib import Path
from resources.storage.cache.counters import Counters
counters = Counters(Path(sys.argv[1]))
for _ in range(10):
    counters.add(hits=1, hit_bytes=5)
os.kill(os.getpid(), signal.SIGKILL)
"""


def count_and_die(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", COUNTING, str(folder)], cwd=PROJECT_ROOT, check=False)


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "total"]


def test_the_counts_of_a_killed_process_are_kept_and_added_up_once(tmp_path):
    for _ in range(2):
        count_and_die(tmp_path)
    mine = Counters(tmp_path)
    mine.add(hits=1, waited_s=0.5)

    for _ in range(2):
        assert stats_of(host_counts(tmp_path)) == CacheStats(hits=21, hit_bytes=100, waited_s=0.5)
    assert len(files(tmp_path)) == 1  # that of this process, which lives


def test_a_file_that_was_added_up_but_not_yet_removed_is_not_added_twice(tmp_path):
    count_and_die(tmp_path)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    host_counts(tmp_path)

    path.write_bytes(data)  # as if whoever added it up had been killed just before

    assert host_counts(tmp_path)["hits"] == 10


def test_a_process_does_not_let_files_of_the_dead_pile_up(tmp_path):
    for number in range(100):
        counters = Counters(tmp_path)
        counters.add(hits=1)
        del counters
        assert len(files(tmp_path)) <= 66, number

    assert host_counts(tmp_path)["hits"] == 100


def count_in_child(folder: str) -> int:
    CHILDS[folder].add(misses=1)
    return CHILDS[folder].stats().hits


CHILDS: dict[str, Counters] = {}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_counts_for_itself(tmp_path):
    assert not has_digest(Path(__file__), "0" * 64)  # the parent's seconds of hashing, not the child's
    CHILDS[str(tmp_path)] = Counters(tmp_path)
    CHILDS[str(tmp_path)].add(hits=3)

    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(count_in_child, (str(tmp_path),)) == 0

    assert stats_of(host_counts(tmp_path)) == CacheStats(hits=3, misses=1)


def test_what_is_damaged_or_of_an_older_release_counts_as_far_as_it_goes(tmp_path):
    count_and_die(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:20])
    (tmp_path / "total").write_bytes(b"no JSON")

    assert stats_of(host_counts(tmp_path)) == CacheStats(hits=10, hit_bytes=50)


def test_a_full_disk_loses_counts_and_fails_nothing(tiny_disk):
    (tiny_disk / "filler").write_bytes(bytes(2**20 - 4096))
    counters = Counters(tiny_disk / "counters")

    counters.add(hits=1)

    assert counters.stats().hits == 1
    grow(tiny_disk)
    counters.add(hits=1)
    assert host_counts(tiny_disk / "counters")["hits"] == 2


def test_hits_misses_and_bytes_of_all_caches_on_a_folder_are_added_up(tmp_path):
    item, before = remote(1000), process_stats()
    for _ in range(3):
        cache = HostCache(tmp_path / "cache", budget_bytes=10_000)
        cache.lease(item.digest, item)

    total = cache.host_stats()
    assert (total.misses, total.hits, total.fetched_bytes, total.hit_bytes) == (1, 2, 1000, 2000)
    assert total.held_bytes == 1000
    shown = cache_metadata(before, process_stats())
    assert (shown["cache_misses"], shown["cache_hits"], shown["cache_hit_bytes"]) == (1, 2, 2000)


def test_a_cache_that_was_never_used_has_counted_nothing(tmp_path):
    assert HostCache(tmp_path / "none").host_stats() == CacheStats()


def test_threads_that_count_first_at_once_begin_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun = counters._begun

    def slowly(folder: Path) -> int:
        descriptor = begun(folder)
        time.sleep(0.05)
        return descriptor

    monkeypatch.setattr(counters, "_begun", slowly)
    mine = Counters(tmp_path / "counters")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(mine.add, fetched_bytes=100)
    assert host_counts(tmp_path / "counters")["fetched_bytes"] == 800
