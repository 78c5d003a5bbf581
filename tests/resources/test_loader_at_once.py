"""Shards that are brought here at once: within their bound, in their order, and told of the first that failed."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import StoreError
from resources.loader.at_once import AtOnce, Berths, for_each, joined

SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=20)


class Flying:
    """Notes how many bytes were on their way at a time."""

    def __init__(self, sizes_bytes: list[int]) -> None:
        self.sizes_bytes = sizes_bytes
        self.begun = list[int]()
        self.now = set[int]()
        self.most_bytes = self.most_shards = 0
        self._lock = threading.Lock()

    def bring(self, shard: int) -> int:
        with self._lock:
            self.begun.append(shard)
            self.now.add(shard)
            flying = [self.sizes_bytes[one] for one in self.now]
            self.most_shards = max(self.most_shards, len(flying))
            if len(flying) > 1:
                self.most_bytes = max(self.most_bytes, sum(flying))
        time.sleep(0.0005 * (shard % 3))
        with self._lock:
            self.now.remove(shard)
        return 7 * shard


@given(sizes_bytes=SIZES, room_bytes=st.integers(1, 120))
def test_answers_keep_their_order_and_no_more_is_on_its_way_than_there_is_room_for(sizes_bytes, room_bytes):
    flying = Flying(sizes_bytes)
    shards = list(range(len(sizes_bytes)))[::-1]
    found = for_each(shards, flying.bring, AtOnce(sizes_bytes=sizes_bytes, room_bytes=room_bytes))
    assert found == [7 * shard for shard in shards]
    assert sorted(flying.begun) == sorted(shards)
    assert flying.most_bytes <= room_bytes


def test_several_are_on_their_way_at_once():
    both_there = threading.Barrier(2)

    def bring(shard: int) -> int:
        both_there.wait(timeout=20)  # breaks, which is an error, if the other never comes
        return shard

    assert for_each([0, 1], bring, AtOnce(sizes_bytes=[5, 5], room_bytes=10)) == [0, 1]


def test_without_a_bound_all_come_in_the_thread_that_asks():
    assert for_each([2, 0, 1], lambda _: threading.get_ident(), None) == [threading.get_ident()] * 3


def test_what_failed_first_is_told_nothing_begins_afterwards_and_what_had_begun_has_ended():
    sizes_bytes = [10] * 30
    flying = Flying(sizes_bytes)

    def bring(shard: int) -> int:
        if shard == 2:
            raise StoreError("shard 2 is gone")
        return flying.bring(shard)

    with pytest.raises(StoreError, match="shard 2 is gone"):
        for_each(range(30), bring, AtOnce(sizes_bytes=sizes_bytes, room_bytes=30))
    assert not flying.now
    assert len(flying.begun) < 10


def test_datasets_that_are_read_together_share_the_room_of_the_one_with_the_least():
    first, second = (AtOnce(sizes_bytes=[size], room_bytes=10 * size) for size in (3, 2))
    assert joined([first, second]) == AtOnce(sizes_bytes=[3, 2], room_bytes=20)
    assert joined([first, None]) is None
    assert first.share(3).room_bytes == 10
    assert not first.share(11).takes_any
    assert first.share(10).takes_any


def test_one_of_several_datasets_has_two_shards_on_their_way_where_there_is_room():
    plenty = AtOnce(sizes_bytes=[64, 60], room_bytes=10**9)
    assert plenty.begins_below_bytes(parts=10**9) == 65  # one of 64 is on its way: another may begin
    assert AtOnce(sizes_bytes=[64], room_bytes=100).begins_below_bytes(parts=2) == 37


@given(sizes_bytes=SIZES, room_bytes=st.integers(1, 120))
def test_of_all_threads_together_no_more_comes_than_there_is_room_for_unless_one_is_alone(sizes_bytes, room_bytes):
    flying, berths = Flying(sizes_bytes), Berths(room_bytes)

    def bring(shard: int) -> int:
        with berths.of(sizes_bytes[shard]):
            return flying.bring(shard)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(bring, range(len(sizes_bytes)))) == [7 * one for one in range(len(sizes_bytes))]
    assert flying.most_bytes <= room_bytes


def test_who_fails_leaves_its_berth():
    berths = Berths(10)
    with pytest.raises(StoreError), berths.of(10):
        raise StoreError("gone")
    with berths.of(10):
        pass


def test_a_fork_has_all_the_room():
    berths = Berths(10)
    with berths.of(10):
        process_id = os.fork()
        if not process_id:  # would wait for a thread that it does not have
            signal.alarm(20)
            with berths.of(10):
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]) == 0
