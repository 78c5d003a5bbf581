"""Parts of a file are read out of its download while that is under way."""

import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, current_thread

import pytest

from resources.errors import StoreError
from resources.storage.cache import landing
from resources.storage.cache.download import RANGE_CHUNKS
from resources.storage.content import CHUNK_BYTES, StoredFile
from resources.storage.files import file_path, put_bytes
from resources.storage.object_store import ObjectStore
from resources.storage.ranges import read_range
from tests.resources.remotes import flip, until

RANGE_BYTES = RANGE_CHUNKS * CHUNK_BYTES
DATA = secrets.token_bytes(4 * RANGE_BYTES - 5)
READER = "reader"


class Slow(ObjectStore):
    """A store in memory whose ranges come, to whom downloads, when they are let; it remembers what readers ask for."""

    def __init__(self, cache: Path) -> None:
        super().__init__(f"memory://{secrets.token_hex(4)}", cache=cache, cache_bytes=10**8)
        self.let = [Event() for _ in range(4)]
        self.asked: list[int] = []
        self.failing = False

    def fetch(self, key: str, start: int, end: int) -> memoryview:
        """Fetch, or wait to be let."""
        if current_thread().name.startswith(READER):
            self.asked.append(start)
        else:
            self.let[start // RANGE_BYTES].wait(30)
            if self.failing:
                raise StoreError("the server went away")
        return super().fetch(key, start, end)


@pytest.fixture
def store(tmp_path: Path) -> Slow:
    return Slow(tmp_path / "cache")


@pytest.fixture
def file(store: Slow) -> StoredFile:
    return put_bytes(store, DATA)


@contextmanager
def downloading(store: Slow, file: StoredFile, *, landed: int) -> Iterator[None]:
    """Have a download under way, of which some ranges have landed."""
    with ThreadPoolExecutor(1) as pool:
        for event in store.let[:landed]:
            event.set()
        done = pool.submit(file_path, store, file)
        try:
            journal = store.cache.root / "parts" / f"{file.digest}.journal"
            until(lambda: journal.exists() and journal.read_bytes().count(b"\1") == landed)
            yield
        finally:
            for event in store.let:
                event.set()
            if not store.failing:
                assert done.result(30).read_bytes() == DATA


@contextmanager
def reading(store: Slow, file: StoredFile, start: int, end: int) -> Iterator[Future[bytes]]:
    with ThreadPoolExecutor(1, thread_name_prefix=READER) as pool:
        yield pool.submit(read_range, store, file, start, end)


def read(store: Slow, file: StoredFile, start: int, end: int) -> bytes:
    with reading(store, file, start, end) as found:
        return found.result(30)


def test_what_has_landed_is_read_before_the_rest_is_there_and_asks_the_store_for_nothing(store, file):
    with downloading(store, file, landed=2):
        assert read(store, file, 5, 2 * RANGE_BYTES) == DATA[5 : 2 * RANGE_BYTES]
        assert store.asked == []


def test_what_lands_soon_is_waited_for(store, file):
    with downloading(store, file, landed=1):
        with reading(store, file, len(DATA) - 9, len(DATA)) as found:
            store.let[3].set()
            assert found.result(30) == DATA[-9:]
        assert store.asked == []


def test_what_lands_late_is_fetched_by_its_reader(store, file, monkeypatch):
    monkeypatch.setattr(landing, "AHEAD_RANGES", 1)
    monkeypatch.setattr(landing, "STILL_S", 60)
    with downloading(store, file, landed=1):
        assert read(store, file, 3 * RANGE_BYTES, 3 * RANGE_BYTES + 9) == DATA[3 * RANGE_BYTES :][:9]
        assert store.asked == [3 * RANGE_BYTES]


def test_a_download_that_stands_still_is_not_waited_for(store, file, monkeypatch):
    monkeypatch.setattr(landing, "STILL_S", 0.05)
    with downloading(store, file, landed=1):
        assert read(store, file, RANGE_BYTES, RANGE_BYTES + 9) == DATA[RANGE_BYTES:][:9]
        assert store.asked == [RANGE_BYTES]


def test_a_bit_that_flipped_in_the_part_is_not_served(store, file):
    with downloading(store, file, landed=1):
        flip(next((store.cache.root / "parts").glob(f"{file.digest}.{len(DATA)}")), 7)
        assert read(store, file, 0, 9) == DATA[:9]
        assert store.asked == [0]
        flip(next((store.cache.root / "parts").glob(f"{file.digest}.{len(DATA)}")), 7)


def test_of_a_download_that_failed_nobody_waits_for_more_but_what_landed_is_used(store, file, monkeypatch):
    monkeypatch.setattr(landing, "STILL_S", 60)
    with downloading(store, file, landed=1):
        store.failing = True

    assert read(store, file, 0, 9) == DATA[:9]
    assert store.asked == []
    assert read(store, file, RANGE_BYTES, RANGE_BYTES + 9) == DATA[RANGE_BYTES:][:9]
    assert store.asked == [RANGE_BYTES]
