"""`penstock run`, `summary` and `demo`: what is made, told and refused."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.instance import BIN, ROOT
from tests.integration.shell import NAME, Shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"{text!r} never came")


def test_run_makes_missing_window_partitions_first_and_only_their_features(empty: Shell):
    empty.declare(NAME)
    done = empty("run", NAME, "--partition", "2024-03", "--json")
    outcomes = done.json["outcomes"]
    assert done.code == 0
    assert [(item["step"]["partition"], len(item["stages"])) for item in outcomes] == [
        ("2024-01", 2), ("2024-02", 2), ("2024-03", 5),
    ]  # fmt: skip
    lines = done.err.splitlines()
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert "deployment made" in lines[-1]


def test_run_again_does_no_work_twice_and_changes_nothing(shell: Shell):
    before = shell("models", NAME, "--json").json
    done = shell("run", NAME, "--partition", "2024-03", "--json")
    (outcome,) = done.json["outcomes"]
    states = {item["stage"]: item["state"] for item in outcome["stages"]}
    assert done.code == 0
    assert states["raw"] == "unchanged"
    assert {states[stage] for stage in ("features", "model", "evaluation")} == {"reused"}
    assert shell("models", NAME, "--json").json == before


def test_forced_work_is_done_again_with_the_same_result(shell: Shell):
    done = shell("run", NAME, "--partition", "2024-03", "--force", "--json")
    (outcome,) = done.json["outcomes"]
    states = {item["stage"]: item["state"] for item in outcome["stages"]}
    assert {states[stage] for stage in ("raw", "features", "model", "evaluation")} == {"unchanged"}


def test_runs_are_seen_by_dagster_under_the_job_with_partition_and_tags(shell: Shell):
    with shell.home.instance() as instance:
        (run,) = [run for run in instance.get_runs() if run.tags["dagster/partition"] == "2024-02"]
        assert run.is_success
        assert run.job_name == NAME
        assert run.tags["penstock/pipeline"] == NAME
        assert run.tags[".dagster/repository"] == "__repository__@penstock"


def test_output_of_a_run_tells_stages_metrics_and_champion_and_nothing_of_dagster(shell: Shell):
    done = shell("run", NAME, "--partition", "2024-03", "--quiet", "--timings")
    assert done.err == ""
    for text in ("unchanged", "reused", "mae", "baseline", f"Champion of {NAME}: model", "why:", "great_expectations"):
        assert text in done.out
    assert "dagster - " not in done.out


def test_a_summary_of_a_partition_that_was_not_run_is_refused_with_those_that_were(shell: Shell):
    done = shell("summary", NAME, "--partition", "2024-05")
    assert done.code == 1
    assert "was not run; it holds 2024-01 to 2024-03" in done.err


def test_dagsters_log_is_shown_on_request(shell: Shell):
    assert "RUN_SUCCESS" in shell("run", NAME, "--partition", "2024-03", "--verbose").err


def test_run_without_partition_runs_all_that_the_source_holds(empty: Shell, tmp_path: Path):
    empty.declare(NAME)
    file = tmp_path / "sold.csv"
    rows = [f"2024-0{month}-{day:02}T{hour:02}:00:00Z,{hour}.5,false,{hour + day % 7}"
            for month in (1, 2) for day in range(1, 29) for hour in range(8, 18)]  # fmt: skip
    file.write_text("\n".join(["at,temperature,holiday,sold", *rows]) + "\n")
    done = empty("run", NAME, "--json", COFFEE_URL=str(file))
    assert [(item["step"]["partition"], item["status"] == "short") for item in done.json["outcomes"]] == [
        ("2024-01", True), ("2024-02", False),
    ]  # fmt: skip


def test_a_model_that_the_gate_refuses_ends_with_3_and_the_reason(empty: Shell):
    empty.declare(NAME, ('gate=Gate(metric="mae",', 'gate=Gate(limits={"mae": {"maximum": 0.1}}, metric="mae",'))
    done = empty("run", NAME, "--partition", "2024-02")
    assert done.code == 3
    assert "it misses the limit, at most 0.1" in done.out
    assert f"{NAME} has no champion" in done.out
    assert empty("models", NAME, "--json").json["entries"] == []
    assert "stopped by the gate (block)" in empty("summary", NAME).out


def test_rows_that_break_the_contract_end_with_3_and_hold_back_the_models_trained_on_them(empty: Shell):
    empty.declare(NAME, ('Column(type="int32", minimum=0,', 'Column(type="int32", minimum=12,'))
    done = empty("run", NAME, "--from", "2024-01", "--to", "2024-02", "--json")
    first, second = done.json["outcomes"]
    assert done.code == 3
    assert {item["stage"]: item["state"] for item in first["stages"]}["features"] == "withheld"
    assert "sold: below minimum 12" in json.dumps(done.json["summary"]["blocked"])
    assert first["status"] == second["status"] == "blocked"


def test_a_summary_tells_what_the_contract_blocked_in_one_of_many_partitions_of_a_file(empty: Shell, tmp_path: Path):
    empty.declare(NAME)
    file = tmp_path / "sold.csv"
    rows = [f"2024-0{month}-{day:02}T{hour:02}:00:00Z,{hour}.5,false,{-1 if (month, day) == (1, 1) else hour}"
            for month in range(1, 7) for day in range(1, 29) for hour in range(8, 18)]  # fmt: skip
    file.write_text("\n".join(["at,temperature,holiday,sold", *rows]) + "\n")
    done = empty("run", NAME, "--partition", "2024-01", "--json", COFFEE_URL=str(file))
    assert done.code == 3
    (blocked,) = done.json["summary"]["blocked"]
    assert (blocked["partition"], blocked["by"]) == ("2024-01", "contract")


def test_an_unreadable_source_ends_with_1_and_its_name(empty: Shell):
    empty.declare(NAME)
    done = empty("run", NAME, "--partition", "2024-02", COFFEE_URL="/nowhere/sold.csv")
    assert done.code == 1
    assert "error: 2024-01: there is no file at /nowhere/sold.csv" in done.err
    assert "Traceback" not in done.err + done.out


def test_a_stopped_run_ends_with_130_is_recorded_and_can_be_run_again(empty: Shell):
    empty.declare(NAME)
    command = [str(BIN / "penstock"), "run", NAME]
    with subprocess.Popen(
        command, cwd=ROOT, env=empty.home.environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for_line(process, "[2/6]")
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stopped"
    assert "Traceback" not in err
    assert empty("run", NAME, "--partition", "2024-03", "--quiet").code == 0


def test_demo_ends_with_a_summary_and_the_command_that_opens_the_web_ui(empty: Shell):
    empty.declare(NAME)
    done = empty("demo", NAME, "--quiet")
    assert done.code == 0
    assert "The data is a generated look-alike" in done.out
    assert f"Champion of {NAME}: model" in done.out
    assert done.out.splitlines()[-1].strip().endswith("make dev")
