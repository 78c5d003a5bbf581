"""How many threads copy ahead: what took less time is kept, and tried against the other again."""

import pytest

from resources.loader.pace import KEPT_SLABS, TRIAL_SLABS, Pace


def run(pace: Pace, slabs: int, *, ahead_s: float, at_once_s: float) -> list[int]:
    """Return how many threads each slab had, when it takes so long with them, and without."""
    used = []
    for _ in range(slabs):
        used.append(pace.threads)
        pace.note(100, ahead_s if pace.threads else at_once_s)
    return used


def test_the_quicker_way_is_kept_after_both_were_tried():
    for ahead_s, at_once_s, better in ((2.0, 1.0, 0), (1.0, 2.0, 1)):
        used = run(Pace(None, 1), 2 * TRIAL_SLABS + KEPT_SLABS, ahead_s=ahead_s, at_once_s=at_once_s)
        assert used[: 2 * TRIAL_SLABS] == [1] * TRIAL_SLABS + [0] * TRIAL_SLABS
        assert set(used[2 * TRIAL_SLABS :]) == {better}


def test_a_way_that_becomes_slower_is_left():
    pace = Pace(None, 2)
    run(pace, 2 * TRIAL_SLABS, ahead_s=2.0, at_once_s=1.0)
    assert pace.threads == 0
    run(pace, KEPT_SLABS + 2 * TRIAL_SLABS, ahead_s=1.0, at_once_s=2.0)
    assert pace.threads == 2


def test_one_long_break_of_the_consumer_decides_nothing():
    pace = Pace(None, 1)
    pace.note(100, 1000.0)
    run(pace, 2 * TRIAL_SLABS - 1, ahead_s=1.0, at_once_s=2.0)
    assert pace.threads == 1


@pytest.mark.parametrize("threads", [0, 3])
def test_a_number_that_was_given_is_never_changed(threads):
    assert set(run(Pace(threads, 1), 500, ahead_s=2.0, at_once_s=1.0)) == {threads}


def test_a_machine_with_one_processor_never_copies_ahead():
    assert set(run(Pace(None, 0), 500, ahead_s=1.0, at_once_s=2.0)) == {0}
