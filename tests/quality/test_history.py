"""Freshness against a declared limit."""

from datetime import UTC, datetime, timedelta

import pytest

from quality.history import judge_freshness
from resources.errors import DeclarationError

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
