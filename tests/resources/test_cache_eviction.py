"""Eviction against plain LRU, and the whole cache against a model."""

import random
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resources.canonical import digest_bytes
from resources.errors import StoreError
from resources.storage.cache.cache import HostCache
from resources.storage.cache.eviction import admit, make_room
from resources.storage.cache.index import Table
from tests.resources.remotes import MemoryRemote, bytes_on_disk

ROOM = 100


class S3Fifo:
    """The policy over entries of one byte."""

    def __init__(self) -> None:
        self._queues = Table.in_memory()
        self._counts = Counts()
        self._held: set[str] = set()

    def hits(self, name: str) -> bool:
        if name in self._held:
            self._counts.set(name, min(3, self._counts.get(name) + 1))
            return True
        fits, _ = make_room(self._queues, self._counts, need_bytes=1, budget_bytes=ROOM, drop=self._drop)
        assert fits
        admit(self._queues, self._counts, name, 1)
        self._held.add(name)
        assert len(self._held) == self._queues.count() <= ROOM
        return False

    def _drop(self, name: str, _size_bytes: int) -> bool:
        self._held.remove(name)
        return True


class Counts:
    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    def get(self, name: str) -> int:
        return self._of[name]

    def set(self, name: str, count: int) -> None:
        self._of[name] = count


class Lru:
    def __init__(self) -> None:
        self._held: OrderedDict[str, None] = OrderedDict()

    def hits(self, name: str) -> bool:
        found = name in self._held
        self._held[name] = None
        self._held.move_to_end(name)
        if len(self._held) > ROOM:
            self._held.popitem(last=False)
        return found


def mixed_trace(seed: int) -> Iterator[str]:
    """Yield reads of a hot set of 60 in turn with passes over 300 that are never read again."""
    chance = random.Random(seed)
    for epoch in range(12):
        yield from (f"hot {chance.randrange(60)}" for _ in range(300))
        yield from (f"scan {epoch} {number}" for number in range(300))


@pytest.mark.parametrize("seed", range(3))
def test_on_a_trace_of_a_hot_set_and_scans_s3_fifo_beats_lru_by_far(seed):
    ratios: list[float] = []
    for policy in (S3Fifo(), Lru()):
        reads = [(name.startswith("hot"), policy.hits(name)) for name in mixed_trace(seed)]
        hot = [hit for is_hot, hit in reads if is_hot]
        ratios.append(sum(hot) / len(hot))

    assert ratios[0] > ratios[1] + 0.1
    assert ratios[0] > 0.95


def test_one_pass_over_more_than_the_cache_does_not_flush_the_hot_set():
    policy, hot = S3Fifo(), [f"hot {number}" for number in range(50)]
    for name in hot * 4:
        policy.hits(name)
    for number in range(10 * ROOM):
        policy.hits(f"scan {number}")

    assert sum(policy.hits(name) for name in hot) == 50


def test_what_is_in_use_is_passed_over_and_the_rest_goes():
    queues, counts = Table.in_memory(), Counts()
    for number in range(10):
        admit(queues, counts, str(number), 1)

    done = make_room(queues, counts, need_bytes=3, budget_bytes=10, drop=lambda name, _: name not in "0123456")
    assert done == (True, 3)
    assert make_room(queues, counts, need_bytes=4, budget_bytes=10, drop=lambda _name, _size: False) == (False, 0)
    assert queues.count() == 7


OBJECTS = [bytes([number]) * (number * 90 + 1) for number in range(12)]
BUDGET = 2_000


class CacheAgainstModel(RuleBasedStateMachine):
    """Two views of one folder; the model is the multiset of leases."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name) / "cache"
        self.leases: Counter[int] = Counter()
        self.reopen()

    @rule()
    def reopen(self) -> None:
        self.caches = [HostCache(self.root, budget_bytes=BUDGET, patience_s=0.05) for _ in range(2)]

    @rule(view=st.integers(0, 1), number=st.integers(0, len(OBJECTS) - 1))
    def lease(self, view: int, number: int) -> None:
        item = MemoryRemote(OBJECTS[number])
        in_use = sum(len(OBJECTS[other]) for other, count in self.leases.items() if count and other != number)
        try:
            path = self.caches[view].lease(item.digest, item)
        except StoreError:
            assert not self.leases[number]
            assert in_use + len(item.data) > BUDGET
        else:
            assert path.read_bytes() == item.data
            self.leases[number] += 1

    @rule(view=st.integers(0, 1), data=st.data())
    def release(self, view: int, data: st.DataObject) -> None:
        if leased := sorted(number for number, count in self.leases.items() if count):
            number = data.draw(st.sampled_from(leased))
            self.caches[view].release(digest_bytes(OBJECTS[number]))
            self.leases[number] -= 1

    @rule()
    def lose_the_index(self) -> None:
        (self.root / "index").unlink(missing_ok=True)

    @rule(number=st.integers(0, len(OBJECTS) - 1))
    def leave_a_part_behind(self, number: int) -> None:
        def die(_number: int, _data: bytes) -> bytes:
            raise StoreError("killed")

        item = MemoryRemote(OBJECTS[number], die)
        if not self.leases[number]:
            try:
                self.caches[0].lease(item.digest, item)
            except StoreError:
                return
            self.caches[0].release(item.digest)

    @invariant()
    def the_bound_is_kept_and_every_file_is_right(self) -> None:
        if not (self.root / "objects").exists():
            return
        assert bytes_on_disk(self.root) <= BUDGET
        whole = {path.name: path for path in (self.root / "objects").rglob("*") if path.is_file()}
        assert all(digest_bytes(path.read_bytes()) == name for name, path in whole.items())
        assert {digest_bytes(OBJECTS[number]) for number, count in self.leases.items() if count} <= whole.keys()

    def teardown(self) -> None:
        self.folder.cleanup()


TestCacheAgainstModel = CacheAgainstModel.TestCase
TestCacheAgainstModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
