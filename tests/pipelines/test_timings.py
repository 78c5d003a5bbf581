import time

import pytest

from pipelines.cli.timings import LINES, OWN, START_UP, Timings, process_age_s, sampled


def test_the_whole_wall_time_is_told_and_belongs_to_somebody():
    timings, started = Timings(), time.perf_counter()
    with sampled(timings, start_up_s=0.25):
        time.sleep(0.1)
    elapsed = time.perf_counter() - started
    assert timings.seconds[START_UP] == 0.25
    assert 0.1 <= sum(timings.seconds.values()) - 0.25 <= elapsed
    assert sum(timings.shares().values()) == pytest.approx(1)


def test_work_that_a_library_does_for_penstock_counts_for_penstock():
    from pipelines.planning import held  # any function of ours will do as long as it waits inside a library

    class Slow:
        @property
        def partitions(self) -> None:
            time.sleep(0.1)

        ingest = None

    timings = Timings()
    with sampled(timings):
        assert held(Slow(), None) == ()  # type: ignore[arg-type]
    assert timings.seconds[OWN] == pytest.approx(sum(timings.seconds.values()))


def test_work_of_dagster_counts_for_dagster():
    import dagster as dg

    @dg.asset
    def slow() -> None:
        for number in range(2):
            context_free_work(number)

    def context_free_work(number: int) -> None:
        sum(range(100_000 * (number + 1)))

    timings = Timings()
    with sampled(timings), dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([slow], instance=instance)
    assert timings.seconds["dagster"] > 0
    assert set(timings.seconds) == set(LINES)


def test_the_age_of_a_process_grows():
    first = process_age_s()
    time.sleep(0.05)
    assert process_age_s() >= first
