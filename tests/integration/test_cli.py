"""The command line as its users see it: help, usage, new pipelines, the doctor."""

import re
import subprocess
import sys

import pytest

from pipelines.cli.app import COMMANDS
from tests.integration.instance import BIN, ROOT
from tests.integration.shell import NAME, Shell

slow = pytest.mark.slow
HEAVY = ("dagster", "polars", "pyarrow", "numpy", "rich", "great_expectations", "pydantic", "lightgbm", "sklearn")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom pipelines.cli.app import app\nsys.argv = ['penstock', '--help']\n"
        f"try:\n    app()\nfinally:\n    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(f"  {name.split()[0]} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_its_options(command: str):
    done = subprocess.run(
        [str(BIN / "penstock"), *command.split(), "--help"], capture_output=True, text=True, check=True
    )
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
    assert "name one by --partition, it is generated then" in empty("run", "synthetic_clicks").err
    for command in ("summary", "lineage", "models", "verify"):
        assert "run it first: penstock run bike_demand" in empty(command, "bike_demand").err


def test_a_wrong_setting_is_named_with_the_nearest(empty: Shell):
    done = empty("models", NAME, PENSTOCK_REGISTRI="x")
    assert done.code == 1
    assert "PENSTOCK_REGISTRI is no setting: did you mean PENSTOCK_REGISTRY?" in done.err


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


@slow
def test_doctor_ends_with_3_where_a_key_can_be_read_by_others(empty: Shell):
    empty("key")
    key = empty.home.folder / "penstock" / "keys" / "signing.pem"
    key.chmod(0o644)
    done = empty("doctor")
    assert done.code == 3
    assert f"chmod 600 {key}" in done.out
