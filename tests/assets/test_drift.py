"""The drift check of features: stored profiles and the past where there are enough, rows before that."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from assets.drift import drift_against_the_past
from assets.partitions import Partitions, Window
from assets.preprocess import Features
from assets.stage import Stage
from quality.drift import MIN_PAIRS
from quality.profile import profile
from resources.canonical import canonical_json
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.datasets import write_table
from resources.storage.objects import put_object
from resources.workspace import open_workspace

WINDOW = Window(partitions=3)
STAGE = Stage(
    pipeline="rides", name="features", code_version="1", partitions=Partitions(every="monthly", start="2020-01")
)
SPEC = Features(columns={"temperature": "t", "kind": "k"}, label="y")


@pytest.fixture
def workspace(tmp_path):
    return open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))


def month(number, *, shift=0.0, rows=400):
    rng = np.random.default_rng(number)
    start = datetime(2020 + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "at": pl.datetime_range(start, start + timedelta(hours=rows - 1), "1h", eager=True),
            "temperature": 10 * np.sin(number * np.pi / 6) + shift + rng.normal(0, 3, rows),
            "kind": rng.choice(["a", "b"], rows),
            "label": rng.normal(0, 1, rows),
        }
    )


def stored(workspace, number, **changes):
    frame = month(number, **changes)
    described = put_object(workspace.store, canonical_json(profile(frame).to_json()))
    return write_table(workspace.store, frame, scratch=workspace.scratch, profile_digest=described)


def judged(workspace, number, **changes):
    key = f"{2020 + number // 12}-{number % 12 + 1:02}"
    ref = stored(workspace, number, **changes)
    return drift_against_the_past(workspace, STAGE, SPEC, ref, window=WINDOW, partition=key)


def remember(workspace, count):
    for number in range(count):
        key = f"{2020 + number // 12}-{number % 12 + 1:02}"
        refs.save(workspace.store, workspace.registry_name, STAGE.key.path, key, stored(workspace, number))


def test_the_first_partition_has_nothing_to_be_compared_with(workspace):
    assert judged(workspace, 0).finding.reason == "nothing to compare with: no earlier features"


def test_few_partitions_are_compared_row_by_row(workspace):
    remember(workspace, 4)
    compared = judged(workspace, 4)
    assert "past_pairs" not in compared.shown
    assert compared.shown["columns"] == 3


def test_many_partitions_are_compared_by_their_profiles_and_a_season_is_no_news(workspace):
    remember(workspace, 30)
    compared = judged(workspace, 30)
    assert compared.shown["past_pairs"] == 27 > MIN_PAIRS
    assert (compared.finding.verdict, compared.shown["flagged"]) == ("pass", 0)


def test_what_no_season_did_before_is_flagged(workspace):
    remember(workspace, 30)
    ref = stored(workspace, 30)
    frame = month(30).with_columns(pl.lit("a").alias("kind"))
    described = put_object(workspace.store, canonical_json(profile(frame).to_json()))
    stuck = write_table(workspace.store, frame, scratch=workspace.scratch, profile_digest=described)
    assert stuck.digest != ref.digest
    found = drift_against_the_past(workspace, STAGE, SPEC, stuck, window=WINDOW, partition="2022-07").finding
    assert found.verdict == "warn"
    assert found.reason.startswith("kind: ")


def test_profiles_of_the_first_format_send_the_check_back_to_the_rows(workspace):
    remember(workspace, 12)
    frame = month(11)
    old = {"rows": frame.height, "columns": {"temperature": OLD}}
    described = put_object(workspace.store, canonical_json(old))
    ref = write_table(workspace.store, frame, scratch=workspace.scratch, profile_digest=described)
    refs.save(workspace.store, workspace.registry_name, STAGE.key.path, "2020-12", ref)
    assert "past_pairs" not in judged(workspace, 12).shown


OLD = {
    "type": "Float64", "count": 1, "nulls": 0, "nans": 0, "infinite": 0, "minimum": 1.0, "maximum": 1.0, "mean": 1.0,
    "std": None, "quantiles": {}, "histogram": None, "distinct": None, "top": [], "approximate": False,
}  # fmt: skip
