"""What is sent again to a real S3 server that refuses, breaks off or stalls, and how that is told."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from resources.errors import StoreError
from resources.storage.cache.stats import CacheStats
from resources.storage.files import file_path, put_bytes
from resources.storage.object_store import ObjectStore
from tests.integration.faults.proxy import FaultProxy, NetworkFault
from tests.integration.seaweed import Seaweed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MB = 2**20
SLOW_DOWN = NetworkFault(kind="slow down", moment="before", times=2)


@dataclass(frozen=True)
class Shaky:
    """A store behind a proxy that goes wrong."""

    store: ObjectStore
    proxy: FaultProxy

    @property
    def stats(self) -> CacheStats:
        return self.store.cache.stats()

    def sent(self, method: str) -> list[int]:
        return [told.status for told in self.proxy.log if told.method == method]


@pytest.fixture
def shaky(s3_url: str, seaweed: Seaweed, tmp_path: Path) -> Callable[..., object]:
    """Return a context in which a store whose keys `a` and `b` exist is behind a proxy with a fault."""
    ObjectStore(s3_url, cache=tmp_path / "first").put("a", b"0123456789")

    @contextmanager
    def behind(fault: NetworkFault, *, retries: int = 3) -> Iterator[Shaky]:
        with FaultProxy(seaweed.endpoint, fault) as proxy, pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            yield Shaky(ObjectStore(s3_url, cache=tmp_path / "cache", timeout_s=5, retries=retries), proxy)

    return behind


USES: dict[str, Callable[[ObjectStore], object]] = {
    "read": lambda store: store.get("a") == b"0123456789",
    "read tagged": lambda store: store.get_tagged("a")[0] == b"0123456789",
    "read a range": lambda store: store.get_range("a", 2, 5) == b"234",
    "look up": lambda store: store.exists("a") and store.size_bytes("a") == 10,
    "create": lambda store: store.create("b", b"1"),
    "write": lambda store: store.put("a", b"2") is None,
    "replace": lambda store: store.swap("c", b"2", tag=None),
    "delete": lambda store: store.delete("a") is None,
}


@pytest.mark.parametrize("use", USES)
def test_a_refused_request_is_sent_again_and_counted(shaky, use):
    with shaky(SLOW_DOWN) as broken:
        assert USES[use](broken.store)

        assert broken.stats.retries == 2
        assert [told.status for told in broken.proxy.log][:3] != [200, 200, 200]


def test_a_list_is_repeated_by_the_client_page_by_page_and_not_counted(shaky):
    with shaky(SLOW_DOWN) as broken:
        assert broken.store.list("") == ["a"]

        assert broken.sent("GET") == [503, 503, 200]
        assert broken.stats.retries == 0


@pytest.mark.parametrize(
    ("kind", "moment"), [("reset", "before"), ("reset", "answer"), ("reset", "body"), ("short", "body")]
)
def test_an_answer_that_breaks_off_is_asked_for_again(shaky, kind, moment):
    with shaky(NetworkFault(kind=kind, moment=moment)) as broken:
        assert broken.store.get_range("a", 0, 10) == b"0123456789"

        assert broken.stats.retries == 1


def test_an_error_that_stays_names_operation_object_and_attempts(shaky):
    with shaky(NetworkFault(kind="slow down", moment="before", times=100), retries=2) as broken:
        with pytest.raises(StoreError, match=r"cannot fetch a in store s3://\S+ \(3 attempts\): .*503"):
            broken.store.get_range("a", 0, 5)

        assert broken.sent("GET") == [503] * 3
        assert broken.stats.retries == 2


def test_what_the_server_says_is_wrong_is_not_sent_again(shaky):
    with shaky(NetworkFault(kind="skew", moment="before", times=100)) as late:
        with pytest.raises(StoreError, match=r"cannot fetch a in store s3://\S+: .*403"):
            late.store.get_range("a", 0, 5)
        assert late.sent("GET") == [403]
    with shaky(NetworkFault(kind="reset", moment="before", request=100)) as whole:
        assert whole.store.get_range("a", 10, 20) == b""
        assert (whole.sent("GET"), whole.sent("HEAD"), whole.stats.retries) == ([416], [200], 0)


@contextmanager
def stalling(server: Seaweed, url: str, cache: Path, every: int, stalls: Callable[[], bool]) -> Iterator[Shaky]:
    """Yield a store whose server holds back one answer in `every` for two seconds if `stalls` says so."""
    ended = Event()
    fault = NetworkFault(
        kind="call", moment="answer", times=10**6, every=every, action=lambda: stalls() and ended.wait(2)
    )
    with FaultProxy(server.endpoint, fault) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield Shaky(ObjectStore(url, cache=cache, cache_bytes=10**9), proxy)
        ended.set()


def test_reads_that_stall_are_asked_for_again_and_right(s3_url, seaweed, tmp_path):
    data = secrets.token_bytes(8 * MB)
    file = put_bytes(ObjectStore(s3_url, cache=tmp_path / "writer"), data)
    reads = [(number % 7 * MB, number % 7 * MB + MB) for number in range(160)]

    with stalling(seaweed, s3_url, tmp_path / "cache", 20, lambda: True) as slow, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: slow.store.get_range(file.key, *part), reads))

    assert found == [data[start:end] for start, end in reads]
    stats = slow.stats
    assert 0 < stats.hedges_won <= stats.hedges <= 0.1 * len(reads)
    assert (stats.range_reads, stats.range_bytes, stats.retries) == (160, 160 * MB, 0)


def test_a_download_that_stalls_is_hedged_and_a_write_is_not(s3_url, seaweed, tmp_path):
    armed: list[bool] = []
    with stalling(seaweed, s3_url, tmp_path / "cache", 1, lambda: bool(armed) and armed.pop()) as slow:
        data = secrets.token_bytes(MB)
        file = put_bytes(slow.store, data)
        for _ in range(30):  # so that it is known what is usual
            slow.store.get_range(file.key, 0, MB)
        before = slow.stats

        armed.append(True)
        assert file_path(slow.store, file).read_bytes() == data
        hedges = slow.stats.hedges
        assert (hedges - before.hedges, slow.stats.hedges_won - before.hedges_won) == (1, 1)
        armed.append(True)
        slow.store.put("b", data)

    assert slow.sent("PUT").count(200) == 2
    assert slow.stats.hedges == hedges
