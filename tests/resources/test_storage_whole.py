"""Whole files in memory: verified whatever way they came, kept behind the reader or not, their memory used again."""

import gc
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.storage import inflow
from resources.storage.buffers import Buffers
from resources.storage.cache import intake
from resources.storage.cache.intake import behind, read_past_cache, write_past_cache
from resources.storage.content import StoredFile
from resources.storage.distance import Distance
from resources.storage.files import file_path, put_bytes
from resources.storage.folder import FolderStore
from resources.storage.layered import LayeredStore
from resources.storage.object_store import ObjectStore
from resources.storage.whole import read_whole, remotes_of
from tests.resources.disks import lockable_disk, tiny_disk

__all__ = ["lockable_disk", "tiny_disk"]

RANGE = 2 * 2**16
SIZES = (0, 1, 2**16, RANGE, RANGE + 1, 5 * RANGE + 7)
Land = Callable[[int, Iterator[memoryview]], None]


class Lying(ObjectStore):
    """A store in memory that breaks its streams, or flips a bit in the pieces that it is told to."""

    def __init__(self, cache: Path, *, cache_bytes: int = 10**8) -> None:
        super().__init__(f"memory://{secrets.token_hex(4)}", cache=cache, cache_bytes=cache_bytes)
        self.flips: list[int] = []
        self.streams = 0

    def stream(self, file: StoredFile, land: Land, landed: Callable[[], int], end: int) -> None:
        """Stream the file, the numbers in `flips` telling which streams, counted from 0, have one bit wrong."""
        number, self.streams = self.streams, self.streams + 1

        def hurt(start: int, pieces: Iterator[memoryview]) -> None:
            for place, piece in enumerate(pieces):
                data = bytearray(piece)
                if number in self.flips and place == 0 and data:
                    data[0] ^= 1
                land(start, iter([memoryview(data)]))
                start += len(data)

        super().stream(file, hurt, landed, end)


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflow, "RANGE_BYTES", RANGE)


@pytest.fixture
def store(tmp_path: Path) -> Lying:
    return Lying(tmp_path / "cache")


def read(store: ObjectStore, file: StoredFile, *, keep: bool = True) -> bytes:
    data = bytes(read_whole([store], file, Buffers(), keep=keep).view[: file.size_bytes])
    behind().flush()
    return data


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_from_the_store_and_then_from_the_copy_that_was_kept(store, size):
    data = secrets.token_bytes(size)
    file = put_bytes(store, data)

    assert read(store, file) == data
    store.delete(file.key)
    assert read(store, file) == data
    assert file_path(store, file).read_bytes() == data
    stats = store.cache.stats()
    assert (stats.misses, stats.fetched_bytes, stats.unkept) == (1, size, 0)
    assert stats.hits == 2


def test_what_shall_not_be_kept_is_not(store):
    file = put_bytes(store, secrets.token_bytes(RANGE))

    read(store, file, keep=False)

    assert store.cache.stats().held_bytes == 0
    assert store.cache.stats().fetched_bytes == RANGE


@pytest.mark.parametrize("size", [7, RANGE, 3 * RANGE + 5])
def test_a_flipped_bit_costs_a_second_way_and_never_a_wrong_byte(store, size):
    data = secrets.token_bytes(size)
    file = put_bytes(store, data)
    store.flips = [0]

    assert read(store, file) == data
    assert store.cache.stats().retries == 1
    assert store.cache.stats().fetched_bytes == 2 * size


def test_a_file_that_is_wrong_twice_is_named_and_leaves_nothing_behind(store):
    file = put_bytes(store, secrets.token_bytes(RANGE))
    store.flips = [0, 1]

    with pytest.raises(IntegrityError, match=rf"{file.digest} .* was altered: its bytes, fetched twice"):
        read(store, file)
    assert store.cache.stats().held_bytes == 0
    assert read(store, file) != b""


def test_a_file_of_another_length_is_named(store):
    data = secrets.token_bytes(RANGE)
    file = put_bytes(store, data)
    store.put(file.key, data[:-1])

    with pytest.raises(IntegrityError, match="it has 131,071 bytes there, its manifest says 131,072"):
        read(store, file)


def test_a_missing_file_is_named(store):
    file = put_bytes(store, b"gone")
    store.delete(file.key)

    with pytest.raises(ObjectMissing, match=file.key):
        read(store, file)
    assert store.cache.stats().held_bytes == 0


def test_a_damaged_copy_is_found_by_who_has_not_seen_it_whole_and_fetched_anew(store):
    data = secrets.token_bytes(RANGE)
    file = put_bytes(store, data)
    read(store, file)
    path = store.cache.path_of(file.digest)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    assert read(store, file) == data
    assert store.cache.stats().damaged == 1
    assert path.read_bytes() == data


def test_a_full_cache_disk_costs_the_copy_alone_and_is_told(tiny_disk, caplog):
    store = Lying(tiny_disk / "cache", cache_bytes=10**8)
    data = secrets.token_bytes(2 * 2**20)
    file = put_bytes(store, data)

    with caplog.at_level(logging.WARNING):
        assert read(store, file) == data
    assert store.cache.stats().unkept == 1
    assert "without being kept in the cache" in caplog.text
    assert not list((tiny_disk / "cache" / "parts").iterdir())


def test_a_read_only_cache_disk_costs_the_copy_alone(lockable_disk):
    folder, lock = lockable_disk
    store = Lying(folder / "cache")
    data = secrets.token_bytes(RANGE)
    file = put_bytes(store, data)
    lock()

    assert read(store, file) == data
    assert store.cache.stats().unkept == 1


def test_a_budget_without_room_costs_the_copy_alone(tmp_path):
    store = Lying(tmp_path / "cache", cache_bytes=RANGE - 1)
    data = secrets.token_bytes(RANGE)

    assert read(store, put_bytes(store, data)) == data
    assert store.cache.stats().unkept == 1


def test_what_is_read_again_and_again_evicts_what_may_not_be_though_that_came_later(tmp_path):
    store = Lying(tmp_path / "cache", cache_bytes=4 * RANGE)
    wanted, passing, last = ([put_bytes(store, secrets.token_bytes(RANGE)) for _ in range(n)] for n in (2, 2, 2))
    for file in wanted:
        read(store, file)
    for file in passing:
        file_path(store, file)
        store.release_local(file)
    for file in last:
        read(store, file)

    assert all(store.cache.path_of(file.digest).exists() for file in (*wanted, *last))


def test_who_waits_for_what_another_writes_fetches_nothing(store, monkeypatch):
    may_write, data = Event(), secrets.token_bytes(RANGE)
    file = put_bytes(store, data)

    def slowly(path: Path, buffer: object, size_bytes: int) -> None:
        assert may_write.wait(30)
        write_past_cache(path, buffer, size_bytes)

    monkeypatch.setattr(intake, "write_past_cache", slowly)
    held = read_whole([store], file, Buffers(), keep=True)
    assert bytes(held.view[:RANGE]) == data
    assert not store.cache.path_of(file.digest).exists()
    may_write.set()
    assert read(store, file) == data
    assert store.cache.stats().fetched_bytes == RANGE


@pytest.mark.parametrize("size", SIZES)
def test_files_are_written_and_read_past_the_page_cache_byte_by_byte(tmp_path, size):
    buffers = Buffers()
    data, there, again = secrets.token_bytes(size), buffers.take(size), buffers.take(size)
    there.view[:size] = data

    write_past_cache(tmp_path / "file", there, size)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert read_past_cache(descriptor, again, size)
        assert not read_past_cache(descriptor, again, size + 1)
    finally:
        os.close(descriptor)
    assert bytes(again.view[:size]) == data == (tmp_path / "file").read_bytes()


def test_a_file_system_in_memory_takes_files_too(tiny_disk):
    there = Buffers().take(RANGE)
    there.view[:RANGE] = (data := secrets.token_bytes(RANGE))

    write_past_cache(tiny_disk / "file", there, RANGE)

    assert (tiny_disk / "file").read_bytes() == data


def test_memory_that_nobody_uses_is_used_again_and_other_is_not(tmp_path):
    buffers = Buffers()
    first, second = buffers.take(100), buffers.take(100)
    made_bytes = buffers.made_bytes
    second.view[0] = 7
    del first
    gc.collect()

    third = buffers.take(100)
    third.view[0] = 9

    assert buffers.made_bytes == made_bytes
    assert second.view[0] == 7


def test_each_layer_of_object_stores_is_asked_and_a_folder_is_mapped_instead(tmp_path):
    own, base = Lying(tmp_path / "cache"), Lying(tmp_path / "cache")
    data = secrets.token_bytes(9)
    file = put_bytes(base, data)

    remotes = remotes_of(LayeredStore(own, base))

    assert remotes is not None
    assert bytes(read_whole(remotes, file, Buffers(), keep=False).view[:9]) == data
    with pytest.raises(ObjectMissing, match=own.url):
        read_whole([own], file, Buffers(), keep=False)
    assert remotes_of(LayeredStore(FolderStore(tmp_path / "own"), base)) is None


def test_streams_that_race_for_a_range_write_each_byte_once(store):
    data = secrets.token_bytes(RANGE)
    target, taken = bytearray(RANGE), list[tuple[int, int]]()

    class Racing:
        name, size_bytes, is_far = "a file", RANGE, False

        def stream(self, land: Land, landed: Callable[[], int], end: int) -> None:
            def slower() -> Iterator[memoryview]:
                for start in range(0, end, 1000):
                    yield memoryview(b"\0" * min(1000, end - start) if start < landed() else data[start : start + 1000])
                    taken.append((start, landed()))
                    if start == 3000:  # another stream, which begins behind what has landed and gets further
                        land(2500, iter([memoryview(data[2500:90_000])]))

            land(0, slower())

    found = inflow.fetch_into(Racing(), memoryview(target), store.cache.hedging)

    assert target == data
    assert found.value == put_bytes(store, data).digest


@pytest.mark.parametrize(("is_far", "ranges"), [(False, 3), (True, 6)])
def test_a_server_that_is_far_is_asked_for_more_and_smaller_ranges_at_once(store, monkeypatch, is_far, ranges):
    monkeypatch.setattr(inflow, "FAR_RANGE_BYTES", RANGE // 2)
    data = secrets.token_bytes(3 * RANGE)
    asked = list[tuple[int, int]]()

    class Whole:
        name, size_bytes = "a file", len(data)

        def stream(self, land: Land, landed: Callable[[], int], end: int) -> None:
            asked.append((landed(), end))
            land(landed(), iter([memoryview(data[landed() : end])]))

    Whole.is_far = is_far
    target = bytearray(len(data))
    found = inflow.fetch_into(Whole(), memoryview(target), store.cache.hedging)
    assert target == data
    assert found.value == put_bytes(store, data).digest
    size = len(data) // ranges
    assert sorted(asked) == [(start, start + size) for start in range(0, len(data), size)]


@pytest.mark.parametrize(("took_s", "is_far"), [([], False), ([0.03], True), ([0.05, 0.002, 0.03], False)])
def test_the_quickest_answer_tells_how_far_a_server_is(monkeypatch, took_s, is_far):
    now_s = iter([moment for took in took_s for moment in (7.0, 7.0 + took)])
    monkeypatch.setattr("resources.storage.distance.time", SimpleNamespace(perf_counter=lambda: next(now_s)))
    distance = Distance()
    assert [distance.timed(lambda: "head") for _ in took_s] == ["head"] * len(took_s)
    assert distance.is_far == is_far


def test_a_request_that_fails_tells_nothing_of_the_distance():
    distance = Distance()
    with pytest.raises(ZeroDivisionError):
        distance.timed(lambda: 1 // 0)
    assert distance.quickest_s == inf
    assert not distance.is_far


def test_a_range_that_ends_early_again_and_again_is_an_error_that_tells_where(store, monkeypatch):
    file = put_bytes(store, secrets.token_bytes(3 * RANGE))
    reached = list[int]()

    def ends(start: int, pieces: Iterator[memoryview]) -> None:
        reached.append(start)

    with pytest.raises(StoreError, match=r"the answer ended at byte 5, expected 9"):
        store.stream(file, ends, lambda: 5, 9)
    assert reached == [5]
