"""A slow read is asked for again, not a usual one, and the share of second requests is bounded."""

import multiprocessing
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from resources.settings import PROJECT_ROOT
from resources.storage.background import THREAD_NAME
from resources.storage.hedging import hedged
from resources.storage.latencies import FLOOR_S, LEAST, MOST_SHARE, WINDOW, Latencies, Policy

MB = 2**20
READS = 20_000
Draw = Callable[[random.Random], float]


def usual(chance: random.Random) -> float:
    """Seconds of a read: median 0.135, 99th percentile 0.27."""
    return chance.lognormvariate(-2, 0.3)


def stalls(share: float) -> Draw:
    return lambda chance: usual(chance) + (2.0 if chance.random() < share else 0.0)


def simulated(draw: Draw) -> tuple[list[float], list[float], float]:
    """Return the durations of reads without hedging and with it, and the share of reads that were asked for twice."""
    chance, policy = random.Random(1), Policy()
    plain, with_hedges, hedges = [], [], 0
    for _ in range(READS):
        delay_s, first_s = policy.delay_s(8 * MB), draw(chance)
        plain.append(first_s)
        if delay_s is None or first_s <= delay_s or not policy.may_ask_again():
            took_s = first_s
        else:
            hedges += 1
            second_s = draw(chance)
            took_s = min(first_s, delay_s + second_s)
            if took_s < first_s:
                policy.ended(8 * MB, second_s)
        policy.ended(8 * MB, took_s)
        with_hedges.append(took_s)
    return plain, with_hedges, hedges / READS


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


def test_quantiles_are_those_of_the_last_requests_of_the_size_class():
    latencies = Latencies()
    for number in range(10 * WINDOW):
        latencies.add(8 * MB, number)
        latencies.add(4 * MB, 0.5)

    assert latencies.quantile(8 * MB, 0.5) == 9 * WINDOW + WINDOW // 2 - 1
    assert latencies.quantile(8 * MB + 1, 0.99) == 9 * WINDOW + WINDOW * 99 // 100 - 1
    assert latencies.quantile(8 * MB - 1, 0.99) == 0.5
    assert latencies.quantile(16 * MB, 0.99) is None


def test_quantiles_of_a_known_distribution_are_found():
    chance, latencies = random.Random(2), Latencies(window=20_000)
    for _ in range(20_000):
        latencies.add(MB, chance.expovariate(1.0))

    assert latencies.quantile(MB, 0.5) == pytest.approx(0.6931, rel=0.03)  # ln 2
    assert latencies.quantile(MB, 0.99) == pytest.approx(4.6052, rel=0.05)  # ln 100


def test_nothing_is_asked_twice_before_it_is_known_what_is_usual():
    policy = Policy()
    for _ in range(LEAST):
        assert policy.delay_s(MB) is None
        policy.ended(MB, 1.0)

    assert policy.delay_s(MB) == 1.0


def test_what_is_fast_is_given_the_shortest_wait():
    policy = Policy()
    for _ in range(WINDOW):
        policy.ended(MB, 0.001)

    assert policy.delay_s(MB) == FLOOR_S


def test_where_nothing_stalls_about_one_read_in_a_hundred_is_asked_twice():
    plain, with_hedges, share = simulated(usual)

    assert 0.005 < share < 0.02
    assert p99(with_hedges) == pytest.approx(p99(plain), rel=0.02)


@pytest.mark.parametrize("stalled", [0.01, 0.03, 0.05])
def test_stalls_of_up_to_one_in_twenty_leave_the_99th_percentile(stalled):
    plain, with_hedges, share = simulated(stalls(stalled))

    assert p99(plain) > 2
    assert p99(with_hedges) < 0.8
    assert share < stalled + 0.02


def test_a_server_that_stalls_half_of_all_requests_is_not_asked_more_than_the_share_allows():
    _, _, share = simulated(stalls(0.5))

    assert share <= MOST_SHARE + 0.001


def test_a_server_that_became_slow_as_a_whole_is_soon_taken_as_it_is():
    calls = iter(range(10 * READS))

    _, _, share = simulated(lambda chance: usual(chance) * (10 if next(calls) > READS / 2 else 1))

    assert share < 0.03


class Server:
    """Answers with the number of the request after as many seconds as it was told; or fails, after 30 ms."""

    def __init__(self, *answers: float | Exception) -> None:
        self.asked = 0
        self.ending = threading.Event()
        self._answers = answers

    def __call__(self) -> int:
        number, self.asked = self.asked, self.asked + 1
        answer = self._answers[number]
        if isinstance(answer, Exception):
            self.ending.wait(0.03)
            raise answer
        self.ending.wait(answer)
        return number


def ready(*, may: bool = True) -> Policy:
    """Return a policy that asks again after 10 ms."""
    policy = Policy(floor_s=0.01, most_share=0.1 if may else 0.0)
    for _ in range(WINDOW):
        policy.ended(MB, 0.001)
        policy.delay_s(MB)
    return policy


def test_an_answer_in_time_is_taken_and_nothing_is_asked_again():
    server = Server(0.0)
    answer = hedged(ready(), MB, server)
    assert (answer.value, answer.hedges, answer.hedges_won, server.asked) == (0, 0, 0, 1)


def test_of_two_requests_the_first_answer_counts_and_nobody_waits_for_the_other():
    slow, slower = Server(60.0, 0.0), Server(0.1, 60.0)

    won, lost = hedged(ready(), MB, slow), hedged(ready(), MB, slower)

    assert (won.value, won.hedges, won.hedges_won) == (1, 1, 1)
    assert (lost.value, lost.hedges, lost.hedges_won) == (0, 1, 0)
    slow.ending.set()
    slower.ending.set()


def test_without_a_share_left_a_slow_answer_is_waited_for():
    server = Server(0.05)
    answer = hedged(ready(may=False), MB, server)
    assert (answer.value, answer.hedges, server.asked) == (0, 0, 1)


def test_one_request_may_fail_if_the_other_does_not():
    failing = RuntimeError("reset")

    assert hedged(ready(), MB, Server(0.2, failing)).value == 0
    assert hedged(ready(), MB, Server(failing, 0.2)).value == 1
    both = Server(failing, failing)
    with pytest.raises(RuntimeError, match="reset"):
        hedged(ready(), MB, both)
    assert both.asked == 2
    with pytest.raises(RuntimeError, match="reset"):
        hedged(ready(may=False), MB, Server(failing))


def test_readers_in_many_threads_each_get_their_own_answer():
    policy = ready()

    def read(number: int) -> int:
        return hedged(policy, MB, lambda: (time.sleep(0.001), number)[1]).value

    before = threads()
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(read, range(200))) == list(range(200))
    assert threads() - before <= 16 + 200 * MOST_SHARE  # those that are there are used again


ENDING = """
import threading, time
from resources.settings import PROJECT_ROOT
from resources.storage.hedging import hedged
from resources.storage.latencies import WINDOW, Policy
policy = Policy(floor_s=0.01)
for _ in range(WINDOW):
    policy.ended(2**20, 0.001)
    policy.delay_s(2**20)
calls = iter((3600, 0))
print(hedged(policy, 2**20, lambda: time.sleep(next(calls))).hedges_won)
"""


def test_a_request_that_lost_keeps_no_process_from_ending():
    command = [sys.executable, "-c", ENDING]
    ended = subprocess.run(command, check=False, cwd=PROJECT_ROOT, capture_output=True, timeout=60, text=True)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("1\n", "", 0)


def forked_read() -> object:
    return hedged(ready(), MB, Server(0.0)).value


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_reads_by_threads_of_its_own():
    assert forked_read() == 0
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(forked_read) == 0


def threads() -> int:
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())
