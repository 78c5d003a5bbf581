"""The twelve planted kinds of skew are found and named; clean runs raise no alarm."""

import numpy as np
import pytest

from benchmarks._skew_plants import ARRIVED, KEYS, PLANTS, TIME, clean, world
from quality.skew import SkewRule, skew

RULE = SkewRule(keys=KEYS, time=TIME, arrived=ARRIVED)
ROWS = 2000


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_every_planted_kind_is_blocked_with_its_column_and_name(name, share):
    for seed in range(5):
        planted = PLANTS[name](world(ROWS, seed), share, np.random.default_rng(seed))
        report = skew(planted.training, planted.serving, RULE)
        told = [finding.reason for finding in report.findings if finding.verdict == "block"]
        assert any(planted.kind in reason and planted.column in reason for reason in told), (seed, told)
        # The clock that names rows moves every column; all else stays in its own.
        wrong = [column.column for column in report.columns if column.mismatch.count]
        assert planted.column == TIME or wrong in ([], [planted.column]), seed


def test_clean_runs_raise_no_alarm():
    for seed in range(40):
        planted = clean(world(ROWS, seed), np.random.default_rng(seed))
        report = skew(planted.training, planted.serving, RULE)
        assert report.verdict == "pass", (seed, report.reason)


def test_pieces_tell_what_the_whole_tells():
    for name, plant in PLANTS.items():
        planted = plant(world(ROWS, 3), 0.3, np.random.default_rng(3))
        whole = skew(planted.training, planted.serving, RULE)
        cut = skew(planted.training.lazy(), planted.serving.lazy(), RULE, pieces=5)
        assert (cut.verdict, cut.paired, cut.late) == (whole.verdict, whole.paired, whole.late), name
        for one, two in zip(whole.columns, cut.columns, strict=True):
            assert (one.mismatch, one.ulps, one.fills) == (two.mismatch, two.ulps, two.fills), name
            assert [kind.name for kind in one.kinds] == [kind.name for kind in two.kinds], name
