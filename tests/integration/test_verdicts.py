"""Planted defects are noticed: the benchmark of verdicts, over the checks that need no past, and over all of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def judged(tmp_path, *options):
    file = tmp_path / "rows.json"
    command = [sys.executable, "benchmarks/verdicts.py", "--quick", "--json", str(file), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=280)
    return json.loads(file.read_text())


@pytest.fixture
def shop(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])  # at the end: it holds a quality.py
    import _verdicts_cases
    import _verdicts_checks
    import _verdicts_orders
    import _verdicts_past

    return _verdicts_cases, _verdicts_checks, _verdicts_orders, _verdicts_past


def test_more_than_40_kinds_of_defects_have_a_stated_magnitude(shop):
    cases, *_ = shop
    assert len({case.defect for _, of in cases.CASES for case in of}) >= 40


def test_a_day_of_the_shop_is_a_pure_function_of_its_seed_and_keeps_its_contract(shop):
    _, checks, data, past = shop
    known = next(past.walk(data.Shop(seed=5, rows=300), 28, 1, kept=0))
    frame = data.orders(known.shop, known.day)
    assert frame.equals(data.orders(known.shop, known.day))
    for family in (checks.contract_alarms, checks.suite_alarms, checks.repeat_alarms):
        assert family(known, frame) == []


@pytest.mark.parametrize(
    "family", ["contract allowed", "contract pattern", "contract minimum", "contract schema", "references"]
)
def test_what_a_rule_forbids_is_blocked_at_every_stated_magnitude(shop, family):
    from quality.defects import plant

    cases, checks, data, past = shop
    known = next(past.walk(data.Shop(seed=5, rows=300), 28, 1, kept=0))
    sound = data.orders(known.shop, known.day)
    ruled = [case for case in cases.INGEST if family in case.names and "drift tv" not in case.names]
    for case in ruled:
        frame = plant(case.defect, sound, case.columns, magnitude=case.stated[-1], past=[known.yesterday])
        alarms = [*checks.contract_alarms(known, frame), *checks.relation_alarms(known, frame)]
        assert any(alarm.verdict == "block" and alarm.name.startswith(case.names) for alarm in alarms), case
    assert ruled


def test_defects_of_labels_predictions_and_served_features_are_noticed_and_sound_ones_are_not(tmp_path):
    rows = judged(tmp_path, "--part", "evaluation", "--part", "serving")
    assert len(rows) == 10
    assert all(row["met"] for row in rows if row["met"] is not None), rows


@pytest.mark.slow
def test_defects_of_raw_partitions_are_noticed_and_sound_ones_are_not_blocked(tmp_path):
    rows = judged(tmp_path, "--part", "ingest")
    assert len(rows) == 5
    assert all(row["met"] for row in rows if row["met"] is not None), rows
