"""The command line as its users see it: a process, its exit code, its words."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.cli.app import COMMANDS
from tests.integration.instance import BIN, ROOT, Installation

slow = pytest.mark.slow
HEAVY = ("dagster", "polars", "pyarrow", "numpy", "rich", "great_expectations", "pydantic", "lightgbm", "sklearn")
NAME = "coffee"
PARTITIONS = ("2024-02", "2024-03")


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """Runs commands in one installation."""

    home: Installation
    pipelines: Path

    def __call__(self, *arguments: str | Path, **env: str) -> Done:
        done = subprocess.run(
            [str(BIN / "penstock"), *map(str, arguments)],
            cwd=ROOT, env={**self.home.environment(), **env}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def declare(self, name: str, *changes: tuple[str, str]) -> None:
        """Write the starter under another name, changed."""
        from pipelines.starter import text

        source = text(name)
        for old, new in changes:
            assert old in source
            source = source.replace(old, new)
        (self.pipelines / f"{name}.py").write_text(source)


def shell_at(folder: Path) -> Shell:
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    return Shell(Installation.at(folder / "home", pipelines=pipelines), pipelines)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """An installation with the starter pipeline, run for two partitions."""
    made = shell_at(tmp_path_factory.mktemp("cli"))
    assert made("new", NAME, "--folder", made.pipelines).code == 0
    ran = made("run", NAME, "--from", PARTITIONS[0], "--to", PARTITIONS[1], "--json")
    assert (ran.code, ran.json["summary"]["champion"]["sequence"]) == (0, 2), ran.err
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Shell:
    """An installation in which nothing was run."""
    return shell_at(tmp_path)


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"{text!r} never came")


# Help, usage and start-up


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom pipelines.cli.app import app\nsys.argv = ['penstock', '--help']\n"
        f"try:\n    app()\nfinally:\n    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_its_options(command: str):
    done = subprocess.run([str(BIN / "penstock"), command, "--help"], capture_output=True, text=True, check=True)
    assert f"Usage: penstock {command}" in done.stdout
    assert "Options:" in done.stdout


def test_run_shows_its_options_and_exit_codes_in_its_help():
    done = subprocess.run([str(BIN / "penstock"), "run", "--help"], capture_output=True, text=True, check=True)
    for option in ("--partition", "--from", "--to", "--force", "--quiet", "--verbose", "--timings", "--json"):
        assert option in done.stdout
    assert "3 a check or the gate said no" in " ".join(done.stdout.split())


def test_version_is_that_of_the_installed_package():
    done = subprocess.run([str(BIN / "penstock"), "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"penstock \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rum",), "Did you mean 'run'?"),
        (("run",), "Missing argument"),
        (("run", NAME, "--partitions", "2024-02"), "No such option"),
        (("run", NAME, "--partition", "2024-02", "--from", "2024-02"), "not both"),
        (("rollback", NAME), "--reason"),
        (("backtest", NAME, "--from", "2024-02"), "--to"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(empty: Shell, arguments: tuple[str, ...], says: str):
    done = empty(*arguments)
    assert done.code == 2
    assert says in done.err


def test_an_error_is_one_plain_line_without_a_traceback(empty: Shell):
    done = empty("summary", "nothing")
    assert done.code == 1
    assert done.err.startswith("error: nothing of pipeline 'nothing'")
    assert "penstock run nothing" in done.err
    assert done.err.count("\n") == 1


@slow
def test_what_was_not_run_yet_is_refused_with_the_nearest_pipeline_or_the_command_that_runs_it(empty: Shell):
    assert "did you mean 'bike_demand'?" in empty("summary", "bike_deman").err
    for command in ("summary", "lineage", "models", "verify"):
        assert "run it first: penstock run bike_demand" in empty(command, "bike_demand").err


def test_a_wrong_setting_is_named_with_the_nearest(empty: Shell):
    done = empty("models", NAME, PENSTOCK_REGISTRI="x")
    assert done.code == 1
    assert "PENSTOCK_REGISTRI is no setting: did you mean PENSTOCK_REGISTRY?" in done.err


# New pipelines


@slow
def test_new_writes_a_starter_that_is_listed_and_is_never_written_over(shell: Shell):
    again = shell("new", NAME, "--folder", shell.pipelines)
    assert again.code == 1
    assert "is there already" in again.err
    listed = {item["name"]: item for item in shell("list", "--json").json}
    assert {NAME, "bike_demand", "flight_delays"} <= set(listed)
    assert listed[NAME]["file"] == str(shell.pipelines / f"{NAME}.py")


@slow
def test_show_tells_declaration_and_state(shell: Shell):
    shown = shell("show", NAME, "--json").json
    assert shown["declaration"]["train"]["window"]["partitions"] == 2
    assert shown["state"]["evaluation"] == "2 partitions, 2024-02 to 2024-03"
    assert "coffees" in shell("show", NAME).out


@slow
def test_an_unknown_pipeline_is_refused_with_the_nearest(shell: Shell):
    done = shell("run", "cofee", "--partition", "2024-02")
    assert done.code == 1
    assert "did you mean 'coffee'?" in done.err


@slow
def test_an_unknown_partition_is_refused_with_the_span(shell: Shell):
    done = shell("run", NAME, "--partition", "2023-12")
    assert done.code == 1
    assert "there are 2024-01 to 2024-06" in done.err


@slow
def test_a_pipeline_that_does_not_load_is_one_line_and_the_others_stay_in_reach(empty: Shell):
    broken = empty.pipelines / "broken.py"
    broken.write_text("\n1 / 0\n")
    told = f"error: {broken}:2: ZeroDivisionError: division by zero\n"
    run, listed = empty("run", "broken"), empty("list")
    assert (run.code, run.err) == (1, told)
    assert (listed.code, listed.err) == (1, told)
    assert "bike_demand" in listed.out
    assert empty("show", "bike_demand").code == 0


@slow
def test_new_refuses_the_name_of_a_pipeline_in_another_folder(empty: Shell):
    done = empty("new", "bike_demand", "--folder", empty.pipelines)
    assert done.code == 1
    assert "bike_demand.py is there already" in done.err
    assert list(empty.pipelines.iterdir()) == []


# Runs


@slow
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


@slow
def test_run_again_does_no_work_twice_and_changes_nothing(shell: Shell):
    before = shell("models", NAME, "--json").json
    done = shell("run", NAME, "--partition", "2024-03", "--json")
    (outcome,) = done.json["outcomes"]
    states = {item["stage"]: item["state"] for item in outcome["stages"]}
    assert done.code == 0
    assert states["raw"] == "unchanged"
    assert {states[stage] for stage in ("features", "model", "evaluation")} == {"reused"}
    assert shell("models", NAME, "--json").json == before


@slow
def test_forced_work_is_done_again_with_the_same_result(shell: Shell):
    done = shell("run", NAME, "--partition", "2024-03", "--force", "--json")
    (outcome,) = done.json["outcomes"]
    states = {item["stage"]: item["state"] for item in outcome["stages"]}
    assert {states[stage] for stage in ("raw", "features", "model", "evaluation")} == {"unchanged"}


@slow
def test_runs_are_seen_by_dagster_under_the_job_with_partition_and_tags(shell: Shell):
    with shell.home.instance() as instance:
        (run,) = [run for run in instance.get_runs() if run.tags["dagster/partition"] == "2024-02"]
        assert run.is_success
        assert run.job_name == NAME
        assert run.tags["penstock/pipeline"] == NAME
        assert run.tags[".dagster/repository"] == "__repository__@penstock"


@slow
def test_output_of_a_run_tells_stages_metrics_and_champion_and_nothing_of_dagster(shell: Shell):
    done = shell("run", NAME, "--partition", "2024-03", "--quiet", "--timings")
    assert done.err == ""
    for text in ("unchanged", "reused", "mae", "baseline", f"Champion of {NAME}: model", "why:", "great_expectations"):
        assert text in done.out
    assert "dagster - " not in done.out


@slow
def test_a_summary_of_a_partition_that_was_not_run_is_refused_with_those_that_were(shell: Shell):
    done = shell("summary", NAME, "--partition", "2024-05")
    assert done.code == 1
    assert "was not run; it holds 2024-01 to 2024-03" in done.err


@slow
def test_dagsters_log_is_shown_on_request(shell: Shell):
    assert "RUN_SUCCESS" in shell("run", NAME, "--partition", "2024-03", "--verbose").err


@slow
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


@slow
def test_a_model_that_the_gate_refuses_ends_with_3_and_the_reason(empty: Shell):
    empty.declare(NAME, ('gate=Gate(metric="mae",', 'gate=Gate(limits={"mae": {"maximum": 0.1}}, metric="mae",'))
    done = empty("run", NAME, "--partition", "2024-02")
    assert done.code == 3
    assert "it misses the limit, at most 0.1" in done.out
    assert f"{NAME} has no champion" in done.out
    assert empty("models", NAME, "--json").json["entries"] == []
    assert "stopped by the gate (block)" in empty("summary", NAME).out


@slow
def test_rows_that_break_the_contract_end_with_3_and_hold_back_the_models_trained_on_them(empty: Shell):
    empty.declare(NAME, ('Column(type="int32", minimum=0,', 'Column(type="int32", minimum=12,'))
    done = empty("run", NAME, "--from", "2024-01", "--to", "2024-02", "--json")
    first, second = done.json["outcomes"]
    assert done.code == 3
    assert {item["stage"]: item["state"] for item in first["stages"]}["features"] == "withheld"
    assert "sold: below minimum 12" in json.dumps(done.json["summary"]["blocked"])
    assert first["status"] == second["status"] == "blocked"


@slow
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


@slow
def test_an_unreadable_source_ends_with_1_and_its_name(empty: Shell):
    empty.declare(NAME)
    done = empty("run", NAME, "--partition", "2024-02", COFFEE_URL="/nowhere/sold.csv")
    assert done.code == 1
    assert "error: 2024-01: there is no file at /nowhere/sold.csv" in done.err
    assert "Traceback" not in done.err + done.out


@slow
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


@slow
def test_demo_ends_with_a_summary_and_the_command_that_opens_the_web_ui(empty: Shell):
    empty.declare(NAME)
    done = empty("demo", NAME, "--quiet")
    assert done.code == 0
    assert "The data is a generated look-alike" in done.out
    assert f"Champion of {NAME}: model" in done.out
    assert done.out.splitlines()[-1].strip().endswith("make dev")


# Models


@slow
def test_models_shows_the_verified_log(shell: Shell):
    log = shell("models", NAME, "--json").json
    assert [entry["partition"] for entry in log["entries"]] == list(PARTITIONS)
    assert log["verified"]
    assert all(entry["metric"].startswith("mae ") for entry in log["entries"])
    shown = shell("models", NAME).out
    assert "2 champion" in shown
    assert "2 entries; chain and signatures verified" in shown


@slow
def test_rollback_returns_to_an_earlier_champion_and_keeps_the_reason(empty: Shell):
    empty.declare(NAME)
    empty("run", NAME, "--from", "2024-02", "--to", "2024-03", "--quiet")
    first = empty("models", NAME, "--json").json["entries"][0]["model"]["digest"]
    done = empty("rollback", NAME, "--to", first[:10], "--reason", "sells too little")
    entries = empty("models", NAME, "--json").json["entries"]
    assert done.code == 0, done.err
    assert (entries[-1]["action"], entries[-1]["reason"]) == ("rollback", "sells too little")
    assert entries[-1]["model"]["digest"] == first
    assert empty("rollback", NAME, "--to", first, "--reason", "again").code == 1
    assert "put back as entry 3" in empty("summary", NAME).out


@slow
def test_lineage_leads_from_a_pipeline_to_the_raw_file_and_back_down(shell: Shell):
    champion = shell("models", NAME, "--json").json["entries"][-1]["model"]["digest"]
    up = shell("lineage", NAME, "--json").json
    assert up["digest"] == champion
    source = up["children"][0]["children"][0]["children"][0]
    assert source["kind"] == "source"
    assert "coffee-lookalike.csv" in source["title"]
    down = shell("lineage", source["digest"][:10], "--down")
    assert champion[:12] in down.out
    by_asset = shell("lineage", f"{NAME}/raw@2024-02", "--json").json
    assert by_asset["title"] == f"{NAME}/raw 2024-02"


@slow
@pytest.mark.parametrize("name", ["ffffff", "abc", "coffee/raw", "coffee/raw@2030-01", "nothing/raw@2024-01"])
def test_a_name_of_nothing_is_refused_with_a_hint(shell: Shell, name: str):
    done = shell("lineage", name)
    assert done.code == 1
    assert re.search(r"give|write|penstock run|A name is", done.err)


@slow
def test_reproduce_makes_the_champion_again_bit_for_bit(shell: Shell):
    done = shell("reproduce", NAME, "--json")
    assert done.code == 0
    assert done.json["expected"] == done.json["actual"]


@slow
def test_verify_checks_log_champion_and_report(shell: Shell):
    verified = shell("verify", NAME, "--json").json
    log, model, report = verified
    assert (log["entries"], model["pipeline"], report["verdict"]) == (2, NAME, "pass")
    assert shell("verify", report["report"][:12]).code == 0


@slow
def test_verify_refuses_what_was_altered_or_signed_by_another(empty: Shell, tmp_path: Path):
    empty.declare(NAME)
    empty("run", NAME, "--partition", "2024-02", "--quiet")
    foreign = empty("verify", NAME, PENSTOCK_KEY=str(tmp_path / "other.pem"))
    assert foreign.code == 1
    assert "unknown key" in foreign.err
    model = empty("models", NAME, "--json").json["entries"][0]["model"]["digest"]
    path = empty.home.folder / "penstock" / "store" / "objects" / model[:2] / model
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"size_bytes":', b'"size_bites":'))
    altered = empty("verify", NAME)
    assert altered.code == 1
    assert model[:12] in altered.err


@slow
def test_key_lets_another_installation_trust_what_is_signed_here(shell: Shell, tmp_path: Path):
    shown = shell("key", "--json").json
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "us.pem").write_text(shell("key").out)
    assert (trusted / "us.pem").read_text() == shown["public_key"]
    elsewhere = {"PENSTOCK_KEY": str(tmp_path / "other.pem")}
    assert shell("models", NAME, **elsewhere).code == 1
    assert shell("models", NAME, PENSTOCK_TRUSTED_KEYS=str(trusted), **elsewhere).code == 0


# Batch scoring


def rows() -> pl.DataFrame:
    from datetime import UTC, datetime

    times = [datetime(2024, 3, 4, hour, tzinfo=UTC) for hour in range(7, 19)]
    frame = pl.DataFrame({"at": times, "temperature": [8.0 + at.hour / 4 for at in times]})
    return frame.with_columns(pl.lit(False).alias("holiday"))


@slow
@pytest.mark.parametrize(
    ("suffix", "output"), [("csv", "parquet"), ("parquet", "csv"), ("jsonl", "arrow"), ("arrow", "jsonl")]
)
def test_predict_scores_every_format_alike_without_the_label(shell: Shell, tmp_path: Path, suffix: str, output: str):
    file, out = tmp_path / f"rows.{suffix}", tmp_path / f"scored.{output}"
    writers = {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson", "arrow": "write_ipc"}
    text = rows().with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")) if suffix in ("csv", "jsonl") else rows()
    getattr(text, writers[suffix])(file)
    done = shell("predict", NAME, file, "--output", out, "--json")
    assert done.code == 0, done.err
    readers = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson, "arrow": pl.read_ipc}
    scored = readers[output](out)
    assert done.json["rows"] == scored.height == 12
    assert scored.columns == ["at", "temperature", "holiday", "prediction"]
    assert scored["prediction"].to_list() == pytest.approx(expected(shell, done.json["model"]))


def expected(shell: Shell, model: str) -> list[float]:
    """Return what the bundle itself says of the rows."""
    from resources.settings import load_settings
    from resources.training.bundle import read_bundle
    from resources.workspace import open_workspace

    workspace = open_workspace(load_settings(shell.home.env))
    return read_bundle(workspace.store, model).predict_raw(rows().lazy()).tolist()


@slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"temperature": pl.lit(99.0)}, "12 of 12 rows break the contract: temperature: above maximum 50"),
        ({"temperature": pl.lit("hot")}, "temperature: 'hot' is not float64"),
        ({"sold": pl.lit(-1)}, "sold: below minimum 0"),
        ({"colour": pl.lit("red")}, "'colour' not in the contract"),
    ],
)
def test_predict_refuses_rows_that_break_the_contract_and_writes_nothing(
    shell: Shell, tmp_path: Path, change: dict[str, pl.Expr], says: str
):
    text = rows().with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), **change)
    text.write_csv(tmp_path / "rows.csv")
    done = shell("predict", NAME, tmp_path / "rows.csv", "-o", tmp_path / "scored.csv")
    assert done.code == 1
    assert says in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@slow
def test_predict_names_a_column_that_the_model_misses(shell: Shell, tmp_path: Path):
    rows().drop("temperature").write_parquet(tmp_path / "rows.parquet")
    done = shell("predict", NAME, tmp_path / "rows.parquet", "-o", tmp_path / "scored.csv")
    assert done.code == 1
    assert "'temperature' is missing" in done.err


@slow
def test_predict_refuses_an_output_format_that_it_cannot_write(shell: Shell, tmp_path: Path):
    done = shell("predict", NAME, tmp_path / "rows.csv", "-o", tmp_path / "scored.xls")
    assert done.code == 1
    assert ".parquet" in done.err


@slow
def test_doctor_ends_with_3_where_a_key_can_be_read_by_others(empty: Shell):
    empty("key")
    key = empty.home.folder / "penstock" / "keys" / "signing.pem"
    key.chmod(0o644)
    done = empty("doctor")
    assert done.code == 3
    assert f"chmod 600 {key}" in done.out
