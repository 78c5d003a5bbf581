from dataclasses import replace
from typing import Any

import pytest

from pipelines.backtest import Replay, Replayed, clear, replayed
from pipelines.backtest_report import page
from pipelines.events import StageOutcome
from pipelines.planning import Step
from pipelines.running import Outcome
from pipelines.summary import Judged, Summary
from resources.errors import SettingsError
from resources.settings import load_settings
from resources.storage import refs
from resources.workspace import open_workspace

GATE = {"metric": "mae", "unit": "rides/h", "confidence": 0.95}


def estimate(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": value and value - 1, "high": value and value + 1}


def judged(
    key: str, *, challenger: float, champion: float | None, verdict: str = "pass", promoted: bool = True
) -> Judged:
    metrics = {"challenger": {"mae": estimate(challenger)}, "baseline": {"mae": estimate(9.0)}}
    if champion is not None:
        metrics["champion"] = {"mae": estimate(champion)}
    return Judged(
        partition=key, verdict=verdict, reasons=(f"why <{key}> & so",), objections=(),
        challenger=f"model-{key}", champion=None,
        report="r", promoted=promoted, rows=100, metric="mae", unit="rides/h", confidence=0.95, metrics=metrics,
    )  # fmt: skip


def outcome(key: str, status: Any = "done") -> Outcome:
    stages = (StageOutcome(stage="raw", state="made"),)
    return Outcome(
        step=Step(partition=key), run_id="", status=status, stages=stages, checks=(), reasons=("because",), seconds=0.0
    )


def replay_of(outcomes: list[Outcome], found: list[Judged], asked: list[str] | None = None) -> Replay:
    summary = Summary(pipeline="bikes", registry="backtest-x", champion=None, judged=tuple(found), ingested=())
    return replayed(asked or [str(item.step.partition) for item in outcomes], outcomes, summary, name="x", gate=GATE)


def history() -> Replay:
    return replay_of(
        [outcome("1", "short"), outcome("2"), outcome("3", "blocked"), outcome("4", "blocked"), outcome("5")],
        [
            judged("2", challenger=5, champion=None),
            judged("4", challenger=8, champion=6, verdict="block", promoted=False),
            judged("5", challenger=4, champion=8),
        ],
    )


def test_every_kind_of_outcome_is_told_by_its_own_name():
    assert [step.action for step in history().steps] == ["short", "promoted", "blocked", "refused", "promoted"]
    assert history().counts == {"short": 1, "promoted": 2, "blocked": 1, "refused": 1}


def test_the_champion_stays_until_the_next_promotion():
    assert [step.champion for step in history().steps] == [None, "model-2", "model-2", "model-2", "model-5"]


def test_means_are_over_the_partitions_on_which_all_were_measured():
    assert history().means == {"challenger": 6.0, "champion": 7.0, "baseline": 9.0}


def test_there_is_no_mean_of_nothing():
    assert replay_of([outcome("1", "short")], []).means == {}


def test_a_model_that_is_champion_already_is_unchanged():
    (step,) = replay_of([outcome("1")], [judged("1", challenger=5, champion=5, promoted=False)]).steps
    assert step.action == "unchanged"


def test_a_replay_ends_where_a_failure_ended_it():
    replay = replay_of(
        [outcome("1"), outcome("2", "failed")], [judged("1", challenger=5, champion=None)], ["1", "2", "3"]
    )
    assert [step.action for step in replay.steps] == ["promoted", "failed"]


def test_the_page_escapes_what_it_shows():
    drawn = page(history())
    assert "why &lt;2&gt; &amp; so" in drawn
    assert "<2>" not in drawn


@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_a_page_is_drawn_of_any_number_of_partitions(count: int):
    steps = tuple(
        Replayed(
            partition=f"{number:03}", action="promoted", judged=judged("x", challenger=number, champion=None),
            champion="m", reason="",
        )
        for number in range(count)
    )  # fmt: skip
    drawn = page(replace(history(), steps=steps))
    assert "nan" not in drawn
    assert drawn.count("<circle") == 2 * count


def test_a_page_is_drawn_where_every_value_is_the_same_or_missing():
    same = Replayed(
        partition="1", action="promoted", judged=judged("1", challenger=9, champion=9), champion="m", reason=""
    )
    none = replace(same, judged=None)
    assert "nan" not in page(replace(history(), steps=(same, none, same)))


def test_only_the_registry_of_a_backtest_may_be_emptied(tmp_path):
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path)})
    with pytest.raises(SettingsError, match="no backtest's"):
        clear(open_workspace(settings), "bikes")


def test_emptying_a_backtest_leaves_every_other_registry_and_pipeline(tmp_path):
    from resources.refs import DatasetRef

    settings = load_settings({"PENSTOCK_HOME": str(tmp_path)})
    opened = open_workspace(settings, registry="backtest-x")
    ref = DatasetRef(digest="0" * 64, location="", schema_fingerprint="", rows=0, size_bytes=0)
    for registry, pipeline in (
        ("main", "bikes"),
        ("backtest-x", "bikes"),
        ("backtest-x", "bikes_too"),
        ("backtest-xy", "bikes"),
    ):
        refs.save(opened.store, registry, (pipeline, "raw"), "1", ref)
    clear(opened, "bikes")
    assert [key.split("/")[1:3] for key in opened.store.list("refs")] == [
        ["backtest-x", "bikes_too"], ["backtest-xy", "bikes"], ["main", "bikes"],
    ]  # fmt: skip


def test_a_backtest_that_the_base_store_holds_is_not_played_again_under_its_name(tmp_path):
    from resources.refs import DatasetRef

    base = str(tmp_path / "base")
    theirs = load_settings({"PENSTOCK_HOME": str(tmp_path / "there"), "PENSTOCK_STORE": base})
    ref = DatasetRef(digest="0" * 64, location="", schema_fingerprint="", rows=0, size_bytes=0)
    refs.save(open_workspace(theirs).store, "backtest-x", ("bikes", "raw"), "1", ref)
    given = load_settings({"PENSTOCK_HOME": str(tmp_path / "here"), "PENSTOCK_BASE_STORE": base})

    with pytest.raises(SettingsError, match=r"base store holds a backtest of bikes .* another name"):
        clear(open_workspace(given, registry="backtest-x"), "bikes")

    clear(open_workspace(given, registry="backtest-y"), "bikes")
