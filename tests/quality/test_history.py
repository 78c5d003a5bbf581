"""Volume and freshness against the past."""

from datetime import UTC, datetime, timedelta

import pytest

from quality.history import Volume, judge_freshness, judge_volume
from resources.errors import DeclarationError

DAY_S = 86_400.0


def month(days, rows, partition="2011-03"):
    return Volume(partition=partition, rows=rows, length_s=days * DAY_S)


PAST = [month(31, 744), month(28, 672), month(31, 743), month(30, 719), month(31, 744)]


def test_two_past_partitions_are_not_enough_history():
    found = judge_volume(month(31, 5), PAST[:2])
    assert found.verdict == "pass"
    assert found.reason == "not enough history: 2 earlier partitions, the volume check needs 3"


def test_a_short_month_is_no_anomaly():
    assert judge_volume(month(28, 672, "2012-02"), [month(31, 744)] * 12, tolerance=0.05).verdict == "pass"


def test_half_a_month_is_an_anomaly_and_the_reason_says_what_was_expected():
    found = judge_volume(month(31, 372), PAST)
    assert found.verdict == "warn"
    # 744 rows, give or take sqrt(744) x sqrt(1 + 1/5) x 8.610, Student's 99.95 % quantile for 4 degrees of freedom.
    assert found.reason == "372 rows in 2011-03, 487 to 1,001 expected from 5 earlier partitions"


def test_twice_the_rows_are_an_anomaly():
    assert judge_volume(month(31, 1488), PAST).verdict == "warn"


def test_an_anomaly_in_the_past_does_not_hide_a_new_one():
    past = [*PAST, month(31, 20)]
    assert judge_volume(month(31, 300), past).verdict == "warn"


def test_a_change_within_the_tolerance_passes_however_regular_the_past():
    assert judge_volume(month(31, 744 - 150), [month(31, 744)] * 24).verdict == "pass"
    assert judge_volume(month(31, 744 - 150), [month(31, 744)] * 24, tolerance=0.15).verdict == "warn"


def test_a_partition_within_the_scatter_of_a_noisy_past_passes():
    past = [month(30, rows) for rows in (100, 900, 400, 1500, 700, 200, 1100)]
    assert judge_volume(month(30, 1400), past, tolerance=0.1).verdict == "pass"


def test_a_quiet_sunday_is_compared_with_sundays():
    week = [100, 100, 100, 100, 100, 40, 10]
    past = [Volume(partition=str(i), rows=week[i % 7], length_s=DAY_S) for i in range(41)]
    monday_rows = Volume(partition="sunday", rows=100, length_s=DAY_S)
    sunday_rows = Volume(partition="sunday", rows=10, length_s=DAY_S)
    assert judge_volume(sunday_rows, past, season=7).verdict == "pass"
    assert judge_volume(monday_rows, past, season=7).verdict == "warn"


def test_an_empty_partition_after_full_ones_warns():
    assert judge_volume(month(31, 0), PAST).verdict == "warn"


def test_a_partition_of_no_length_is_refused():
    with pytest.raises(DeclarationError, match="5 rows in 0 s is impossible"):
        Volume(partition="x", rows=5, length_s=0)


DUE = datetime(2011, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(("age_h", "verdict"), [(1, "pass"), (6, "pass"), (7, "warn")])
def test_the_newest_event_may_be_as_old_as_tolerated(age_h, verdict):
    found = judge_freshness(DUE - timedelta(hours=age_h), due=DUE, max_age_s=6 * 3600)
    assert found.verdict == verdict
    assert f"is {age_h} h before 2011-04-01T00:00:00+00:00, 6 h tolerated" in found.reason


def test_no_event_at_all_warns():
    assert judge_freshness(None, due=DUE, max_age_s=60).verdict == "warn"


def test_a_time_without_zone_is_refused():
    with pytest.raises(DeclarationError, match="newest 2011-03-31T00:00:00 has no time zone"):
        judge_freshness(datetime(2011, 3, 31), due=DUE, max_age_s=60)
