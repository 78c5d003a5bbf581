import secrets
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.errors import IntegrityError, ObjectMissing
from resources.settings import PROJECT_ROOT
from resources.storage import ranges
from resources.storage.content import BLOCK_BYTES, CHUNK_BYTES, StoredFile, describe_bytes
from resources.storage.files import file_path, put_bytes, tree_key
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore
from resources.storage.ranges import GAP_BYTES, REQUEST_BYTES, read_range, read_ranges
from resources.storage.renting import REQUEST_BYTES as REQUEST_COST_BYTES
from resources.storage.renting import Rents
from resources.storage.store import Store
from resources.storage.trees import Trees
from tests.resources.remotes import flip, until

SIZE = 3 * CHUNK_BYTES + 12_345
DATA = secrets.token_bytes(SIZE)
SMALL = DATA[:100_000]


class Recording(ObjectStore):
    """A store in memory that remembers which ranges were asked for, and lets them be changed on the way."""

    def __init__(self, name: str, cache: Path) -> None:
        super().__init__(f"memory://{name}", cache=cache, cache_bytes=10**8)
        self.asked: list[tuple[str, int, int]] = []
        self.way: Callable[[bytes], bytes] = bytes

    def fetch(self, key: str, start: int, end: int) -> memoryview:
        """Remember and fetch."""
        self.asked.append((key, start, end))
        return memoryview(self.way(bytes(super().fetch(key, start, end))))


@pytest.fixture(autouse=True)
def _new_rents(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(ranges, "RENTS", Rents())


@pytest.fixture
def store(tmp_path: Path) -> Recording:
    return Recording(secrets.token_hex(4), tmp_path / "cache")


@pytest.fixture
def file(store: Recording) -> StoredFile:
    return put_bytes(store, DATA)


def block(number: int) -> tuple[int, int]:
    return number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES


def test_an_aligned_block_is_one_request_of_that_block_and_fills_no_cache(store, file):
    start, end = block(70)

    assert read_range(store, file, start, end) == DATA[start:end]
    assert store.asked == [(file.key, start, end)]
    stats = store.cache.stats()
    assert (stats.held_bytes, stats.range_reads, stats.range_bytes) == (0, 1, BLOCK_BYTES)


def test_a_range_across_a_border_fetches_the_two_blocks_at_once(store, file):
    assert read_range(store, file, BLOCK_BYTES - 1, BLOCK_BYTES + 1) == DATA[BLOCK_BYTES - 1 : BLOCK_BYTES + 1]
    assert store.asked == [(file.key, 0, 2 * BLOCK_BYTES)]


def test_the_last_block_is_as_long_as_the_file(store, file):
    assert read_range(store, file, SIZE - 1, SIZE) == DATA[-1:]
    assert store.asked == [(file.key, SIZE // BLOCK_BYTES * BLOCK_BYTES, SIZE)]


def test_an_empty_range_asks_for_nothing(store, file):
    assert read_range(store, file, 5, 5) == b""
    assert read_ranges(store, [(file, SIZE, SIZE), (file, 0, 0)]) == [b"", b""]
    assert store.asked == []


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (4, 3), (0, SIZE + 1)])
def test_a_range_outside_the_file_is_refused(store, file, start, end):
    with pytest.raises(ValueError, match=f"not within file {file.digest}"):
        read_range(store, file, start, end)
    with pytest.raises(ValueError, match="not within"):
        read_ranges(store, [(file, 0, 1), (file, start, end)])
    assert store.asked == []


def test_neighbours_come_in_one_request_and_distant_ranges_in_others(store, file):
    wanted = [block(40), block(0), block(1), (block(2 + GAP_BYTES // BLOCK_BYTES)[0], block(7)[1])]

    found = read_ranges(store, [(file, *item) for item in wanted])

    assert found == [DATA[start:end] for start, end in wanted]
    assert sorted(store.asked) == [(file.key, 0, block(7)[1]), (file.key, *block(40))]


def test_a_long_range_comes_in_several_requests(store, file):
    assert read_range(store, file, 1, SIZE) == DATA[1:]
    assert sorted(store.asked) == [(file.key, 0, REQUEST_BYTES), (file.key, REQUEST_BYTES, SIZE)]


def test_a_small_file_comes_whole_through_the_cache_once(store):
    small = put_bytes(store, SMALL)

    assert read_range(store, small, 10, 20) == SMALL[10:20]
    assert read_ranges(store, [(small, 0, 5), (small, 99_999, 100_000)]) == [SMALL[:5], SMALL[-1:]]
    assert store.asked == [(small.key, 0, len(SMALL))]
    assert (store.cache.stats().range_reads, store.cache.stats().misses) == (0, 1)
    assert store.cache.stats().misses == 1


def test_what_the_cache_holds_is_read_there_without_block_digests(store, file):
    file_path(store, file)
    store.asked.clear()
    store.delete(tree_key(file.digest))
    store.delete(file.key)

    assert read_range(store, file, 7, 100_000) == DATA[7:100_000]
    assert store.asked == []


def test_a_damaged_copy_is_not_served(store, file):
    flip(file_path(store, file), 1000)

    assert read_range(store, file, 0, 2000) == DATA[:2000]


def test_a_file_of_which_many_parts_are_read_is_fetched_whole_and_the_rest_read_there(store, file):
    for _ in range(SIZE // REQUEST_COST_BYTES + 1):
        read_range(store, file, *block(3))
    until(lambda: store.cache.stats().held_bytes == SIZE and store.open_local(file) is not None)
    asked = len(store.asked)

    assert read_range(store, file, *block(100)) == DATA[slice(*block(100))]
    assert (len(store.asked), store.cache.stats().misses) == (asked, 1)


def test_one_pass_over_a_file_fetches_nothing_twice(store, file):
    step = 2 * 2**20
    for start in range(0, SIZE, step):
        read_range(store, file, start, min(start + step, SIZE))

    assert sum(end - start for _, start, end in store.asked) == SIZE


def test_where_the_cache_has_no_room_parts_go_on_being_read(tmp_path):
    store = ObjectStore(f"memory://{secrets.token_hex(4)}", cache=tmp_path / "cache", cache_bytes=CHUNK_BYTES)
    file = put_bytes(store, DATA)

    for number in range(3 * SIZE // REQUEST_COST_BYTES):
        assert read_range(store, file, *block(number)) == DATA[slice(*block(number))]
    assert store.cache.stats().held_bytes == 0
    until(lambda: any(ranges.RENTS.paid(file.digest, 1, 1) for _ in range(9)))  # the one that failed has ended


def test_a_store_without_copies_is_never_read_whole_for_the_sake_of_parts(tmp_path, monkeypatch):
    begun: list[object] = []
    monkeypatch.setattr(ranges, "in_background", begun.append)
    store = FolderStore(tmp_path)
    file = put_bytes(store, DATA)

    for number in range(3 * SIZE // REQUEST_COST_BYTES):
        assert read_range(store, file, *block(number)) == DATA[slice(*block(number))]
    assert begun == []


ENDING = """
import sys, time
from pathlib import Path
from resources.storage.content import BLOCK_BYTES, CHUNK_BYTES
from resources.storage.files import put_bytes
from resources.storage.object_store import ObjectStore
from resources.storage.ranges import read_range
from resources.storage.renting import REQUEST_BYTES

class Slow(ObjectStore):
    def fetch(self, key, start, end):
        if end - start > BLOCK_BYTES:
            time.sleep(0.5)
        return super().fetch(key, start, end)

cache = Path(sys.argv[1])
store = Slow("memory://ending", cache=cache, cache_bytes=10**9)
file = put_bytes(store, bytes(32 * CHUNK_BYTES))
for number in range(file.size_bytes // REQUEST_BYTES):
    read_range(store, file, number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES)
while not list(cache.glob("parts/*")):
    time.sleep(0.001)
"""


def test_a_process_that_ends_does_not_wait_for_a_copy_that_it_began(tmp_path):
    command = [sys.executable, "-c", ENDING, str(tmp_path)]
    ended = subprocess.run(command, check=False, cwd=PROJECT_ROOT, capture_output=True, timeout=60, text=True)

    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)
    assert list(tmp_path.glob("parts/*"))
    assert not list(tmp_path.glob("objects/*/*"))


def test_many_files_are_read_at_once_and_answered_in_order(store, file):
    other = put_bytes(store, DATA[::-1])
    small = put_bytes(store, SMALL)

    found = read_ranges(store, [(file, 0, 9), (small, 1, 2), (other, 0, 9), (file, SIZE - 9, SIZE)])

    assert found == [DATA[:9], SMALL[1:2], DATA[:-10:-1], DATA[-9:]]


def test_bytes_that_were_hurt_on_the_way_are_fetched_again(store, file):
    hurt = iter([True, False])
    store.way = lambda data: data[:-1] + b"?" if next(hurt) else data

    assert read_range(store, file, *block(3)) == DATA[slice(*block(3))]
    assert len(store.asked) == 2


@pytest.mark.parametrize("way", [lambda data: data[:-1], lambda data: bytes(len(data))])
def test_bytes_that_stay_wrong_are_an_error_that_names_them(store, file, way):
    store.way = way

    with pytest.raises(
        IntegrityError, match=rf"file {file.digest} in store .* altered between bytes 65,536 and 131,072"
    ):
        read_range(store, file, 70_000, 70_001)


def test_block_digests_that_were_altered_are_an_error(store, file, monkeypatch):
    monkeypatch.setattr(ranges, "TREES", Trees())
    store.put(tree_key(file.digest), bytes(len(describe_bytes(DATA)[1].blocks)))

    with pytest.raises(IntegrityError, match=r"trees/.* was altered"):
        read_range(store, file, 0, 1)


def test_a_file_that_is_not_there_is_missing(store):
    for data in (secrets.token_bytes(CHUNK_BYTES + 1), b"small"):
        with pytest.raises(ObjectMissing):
            read_range(store, describe_bytes(data)[0], 0, 1)


def test_block_digests_are_fetched_once_by_many_threads_and_held_within_a_bound(store, monkeypatch):
    files = [put_bytes(store, DATA + bytes([number])) for number in range(3)]
    held = Trees(most_bytes=2 * len(describe_bytes(DATA)[1].blocks))
    fetched: list[str] = []
    get = store.get
    monkeypatch.setattr(store, "get", lambda key: (fetched.append(key), get(key))[1])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: held.of(store, files[number % 2]), range(64)))
    assert sorted(fetched) == sorted(tree_key(file.digest) for file in files[:2])
    assert held.of(store, files[2]) == describe_bytes(DATA + bytes([2]))[1]
    assert held.held_bytes == 2 * len(describe_bytes(DATA)[1].blocks)
    held.of(store, files[2])
    assert len(fetched) == 3


LENGTH = 2 * CHUNK_BYTES + 77
WHOLE = DATA[:LENGTH]
positions = st.one_of(
    st.integers(0, LENGTH), st.integers(0, LENGTH // BLOCK_BYTES).map(lambda number: number * BLOCK_BYTES)
)
spans = st.tuples(positions, positions).map(lambda pair: (min(pair), max(pair)))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, ...]:
    """Return a folder and an object store that hold both files."""
    folder = tmp_path_factory.mktemp("any-ranges")
    found = (FolderStore(folder / "store"), ObjectStore("memory://any-ranges", cache=folder / "cache"))
    for store in found:
        put_bytes(store, WHOLE)
        put_bytes(store, SMALL)
    return found


FILES = [describe_bytes(WHOLE)[0], describe_bytes(SMALL)[0]]


@given(wanted=st.lists(spans, min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_in_every_store_any_ranges_are_those_of_the_bytes(stores, wanted):
    requests = [(FILES[0], *item) for item in wanted]
    requests += [(FILES[1], min(start, 100_000), min(end, 100_000)) for start, end in wanted]
    expected = [(WHOLE if file == FILES[0] else SMALL)[start:end] for file, start, end in requests]

    for store in stores:
        assert read_ranges(store, requests) == expected
        assert [read_range(store, *request) for request in requests] == expected
