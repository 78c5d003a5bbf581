"""The drift check of features: stored profiles, the past where there is enough, what no season does before that."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.drift import drift_against_the_past
from assets.partitions import Partitions, Window
from assets.preprocess import Features
from assets.stage import Stage
from assets.stage_checks import features_checks
from quality.drift import MIN_PAIRS
from quality.profile import profile
from quality.report import Section
from resources.canonical import canonical_json
from resources.reports import keep_section
from resources.storage import refs
from resources.storage.datasets import write_table
from resources.storage.objects import put_object
from resources.wiring import RefIOManager, WorkspaceResource

WINDOW = Window(partitions=3)
STAGE = Stage(
    pipeline="rides", name="features", code_version="1", partitions=Partitions(every="monthly", start="2020-01")
)
SPEC = Features(columns={"temperature": "t", "kind": "k"}, label="y")
pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning", "ignore:InitResourceContext.dagster_run"
)


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
    assert judged(workspace, 0).reason == "nothing to compare with: no earlier features"


def test_of_few_partitions_what_a_season_may_do_is_named_and_no_alarm(workspace):
    remember(workspace, 4)
    compared = judged(workspace, 4, shift=6.0)
    assert (compared.verdict, compared.shown["past_pairs"], compared.shown["columns"]) == ("pass", 3, 3)
    assert compared.reason.startswith(
        "too little history to tell drift from a season: needs 5 more partitions; not judged: temperature (ks "
    )


def test_of_few_partitions_what_no_season_does_is_an_alarm_and_no_measure_of_later_ones(workspace):
    remember(workspace, 2)
    found = run(workspace, 2, changed_unit(workspace, 2))
    assert (found.passed, found.description.startswith("temperature: distribution moved by ")) == (False, True)
    assert found.description.endswith("needs 7 more partitions, but no season goes so far")


def test_an_alarm_of_a_short_past_leaves_the_partition_out_of_the_window(workspace):
    remember(workspace, 2)
    run(workspace, 2, changed_unit(workspace, 2))
    refs.save(workspace.store, workspace.registry_name, STAGE.key.path, "2020-03", changed_unit(workspace, 2))
    said = run(workspace, 3, stored(workspace, 3))
    assert (said.passed, said.metadata["left_out"].value, said.metadata["past_pairs"].value) == (True, 1, 1)
    assert not run(workspace, 3, changed_unit(workspace, 3)).passed


@pytest.mark.parametrize("limit", [0.85, 1.0])
def test_what_no_season_does_is_declared(workspace, limit):
    remember(workspace, 2)
    spec = SPEC.model_copy(update={"drift_gross": limit})
    assert run(workspace, 2, changed_unit(workspace, 2), spec).passed == (limit == 1)


def test_many_partitions_are_compared_by_their_profiles_and_a_season_is_no_news(workspace):
    remember(workspace, 30)
    compared = judged(workspace, 30)
    assert compared.shown["past_pairs"] == 27 > MIN_PAIRS
    assert (compared.verdict, compared.shown["flagged"]) == ("pass", 0)


def test_what_no_season_did_before_is_flagged(workspace):
    remember(workspace, 30)
    ref = stored(workspace, 30)
    frame = month(30).with_columns(pl.lit("a").alias("kind"))
    described = put_object(workspace.store, canonical_json(profile(frame).to_json()))
    stuck = write_table(workspace.store, frame, scratch=workspace.scratch, profile_digest=described)
    assert stuck.digest != ref.digest
    found = drift_against_the_past(workspace, STAGE, SPEC, stuck, window=WINDOW, partition="2022-07")
    assert found.verdict == "warn"
    assert found.reason.startswith("kind: ")


def test_a_profile_of_the_first_format_is_made_anew_of_the_rows(workspace):
    remember(workspace, 12)
    known = judged(workspace, 12)
    frame = month(11)
    old = {"rows": frame.height, "columns": {"temperature": OLD}}
    described = put_object(workspace.store, canonical_json(old))
    ref = write_table(workspace.store, frame, scratch=workspace.scratch, profile_digest=described)
    refs.save(workspace.store, workspace.registry_name, STAGE.key.path, "2020-12", ref)
    anew = judged(workspace, 12)
    assert anew.shown["past_pairs"] == known.shown["past_pairs"] == 9
    assert anew.shown["table"] == known.shown["table"]


def changed_unit(workspace, number):
    """Return features of a month whose temperatures are in thousandths."""
    frame = month(number).with_columns(temperature=1_000 * pl.col("temperature"))
    described = put_object(workspace.store, canonical_json(profile(frame).to_json()))
    return write_table(workspace.store, frame, scratch=workspace.scratch, profile_digest=described)


def changed(workspace, number, *, a=0.95):
    """Return features of a month in which one kind has nearly all rows."""
    frame = month(number)
    kinds = np.where(np.random.default_rng([9, number]).random(frame.height) < a, "a", "b")
    described = put_object(workspace.store, canonical_json(profile(frame := frame.with_columns(kind=kinds)).to_json()))
    return write_table(workspace.store, frame, scratch=workspace.scratch, profile_digest=described)


def run(workspace, number, ref, spec=SPEC):
    """Run the check of a month as a pipeline does, which keeps what it said, and keep the month."""
    place = f"{2020 + number // 12}-{number % 12 + 1:02}"

    @dg.asset(key=STAGE.key, partitions_def=STAGE.partitions_definition(), io_manager_key="refs")
    def features():
        return ref

    opened = WorkspaceResource()
    done = dg.materialize(
        [features, features_checks(STAGE, spec, WINDOW)],
        resources={"workspace": opened, "refs": RefIOManager(workspace=opened)},
        partition_key=place,
    )
    (found,) = done.get_asset_check_evaluations()
    return found


def test_a_broken_month_does_not_blunt_the_alarm_on_the_next_one_unless_it_is_accepted(workspace):
    remember(workspace, 24)
    assert not run(workspace, 24, changed(workspace, 24)).passed
    assert run(workspace, 25, stored(workspace, 25)).passed
    accepting = SPEC.model_copy(update={"drift_accepted": ("2022-01",)})
    assert run(workspace, 26, changed(workspace, 26), accepting).passed
    again = run(workspace, 26, changed(workspace, 26))
    assert not again.passed
    assert again.description.startswith("kind: ")
    assert again.metadata["left_out"].value == 1


def test_a_change_that_lasts_is_usual_after_three_months_and_its_end_is_news(workspace):
    remember(workspace, 24)
    said = [run(workspace, number, changed(workspace, number)).passed for number in range(24, 30)]
    assert said == [False, False, False, True, True, True]
    assert not run(workspace, 30, stored(workspace, 30)).passed


def test_patience_is_declared(workspace):
    remember(workspace, 24)
    impatient = SPEC.model_copy(update={"drift_patience": 1})
    said = [run(workspace, number, changed(workspace, number), impatient).passed for number in range(24, 29)]
    assert said[0] is False
    assert said[-1] is True
    assert sum(said) >= 2


def kept(workspace, stage, check, ref, verdict, *entries):
    section = Section(stage=stage, check=check, verdict=verdict, reason="", digest=ref.digest, at="", run_id="",
                      entries=entries)  # fmt: skip
    keep_section(workspace.store, workspace.registry_name, "rides", "2021-12", section)


@pytest.mark.parametrize(
    ("stage", "check", "verdict", "out"),
    [
        ("raw", "contract", "block", 1),
        ("raw", "expectations", "block", 1),
        ("raw", "expectations", "warn", 0),
        ("raw", "volume", "warn", 1),
        ("raw", "freshness", "warn", 0),
        ("features", "drift", "warn", 0),
    ],
)
def test_what_blocked_or_came_in_an_odd_number_of_rows_is_left_out_but_not_what_rows_alone_flagged(
    workspace, stage, check, verdict, out
):
    remember(workspace, 24)
    raw = stored(workspace, 100)
    refs.save(workspace.store, workspace.registry_name, ("rides", "raw"), "2021-12", raw)
    kept(workspace, stage, check, raw if stage == "raw" else stored(workspace, 23), verdict)
    assert judged(workspace, 24).shown["left_out"] == out


def test_what_was_said_of_other_data_or_is_damaged_is_no_flag(workspace):
    remember(workspace, 24)
    refs.save(workspace.store, workspace.registry_name, ("rides", "raw"), "2021-12", stored(workspace, 100))
    kept(workspace, "raw", "contract", stored(workspace, 101), "block")
    assert judged(workspace, 24).shown["left_out"] == 0
    kept(workspace, "raw", "contract", stored(workspace, 100), "block")
    assert judged(workspace, 24).shown["left_out"] == 1
    (key,) = workspace.store.list("reports")
    workspace.store.put(key, b"{")
    assert judged(workspace, 24).shown["left_out"] == 0


OLD = {
    "type": "Float64", "count": 1, "nulls": 0, "nans": 0, "infinite": 0, "minimum": 1.0, "maximum": 1.0, "mean": 1.0,
    "std": None, "quantiles": {}, "histogram": None, "distinct": None, "top": [], "approximate": False,
}  # fmt: skip
