"""`penstock skew`: sides as files of every format, what is printed, exit codes, and bad input."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pipelines.cli.app import app

START = datetime(2024, 3, 1, tzinfo=UTC)


def rows() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": list(range(200)),
            "at": [START + timedelta(minutes=minute) for minute in range(200)],
            "income": [None if number % 20 == 0 else number / 7 for number in range(200)],
            "plan": ["basic", "family"] * 100,
        }
    )


class Terminal:
    """Runs commands in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"PENSTOCK_STORE": f"{folder}/store", "PENSTOCK_SCRATCH": f"{folder}/scratch", "NO_COLOR": "1"}

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["skew", *arguments], env=self.env)

    def write(self, name: str, frame: pl.DataFrame) -> str:
        path = self.folder / name
        writers = {
            ".csv": frame.write_csv,
            ".parquet": frame.write_parquet,
            ".arrow": frame.write_ipc,
            ".jsonl": frame.write_ndjson,
        }
        writers[path.suffix](path)
        return str(path)


@pytest.fixture
def penstock(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "arrow", "jsonl", "parquet"])
def test_the_same_rows_in_another_format_have_no_skew(penstock: Terminal, suffix: str):
    one, two = penstock.write("one.parquet", rows()), penstock.write(f"two.{suffix}", rows().reverse())
    done = penstock(one, two, "--key", "id", "--time", "at")
    assert done.exit_code == 0, done.stderr
    assert "compared  200 rows in 2 columns" in done.stdout
    assert done.stdout.endswith("pass: 200 rows are the same in 2 columns\n")


def test_skew_is_told_with_shares_examples_fills_and_exit_code(penstock: Terminal):
    one = penstock.write("one.parquet", rows())
    two = penstock.write("two.parquet", rows().with_columns(pl.col("income").fill_null(-1.0)))
    done = penstock(one, two, "-k", "id", "-t", "at")
    assert done.exit_code == 3
    for text in ("income  ", "5.000%", "default fill", "-1.0", "serving", "10 times"):
        assert text in done.stdout
    assert "block: income: 10 of 200 (5 %) of cells differ" in done.stdout


def test_the_report_is_json_with_what_was_asked_and_distributions(penstock: Terminal):
    one = penstock.write("one.csv", rows())
    two = penstock.write("two.csv", rows().with_columns(pl.col("income") * 1000))
    done = penstock(one, two, "-k", "id", "-t", "at", "--distributions", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["verdict"], told["paired"]) == (3, "block", 200)
    assert told["asked"]["rule"]["keys"] == ["id"]
    income = next(column for column in told["columns"] if column["column"] == "income")
    assert income["kinds"][0]["name"] == "unit change"
    assert [test["column"] for test in told["distributions"] if test["flagged"]] == ["income"]


def test_columns_are_renamed_and_chosen(penstock: Terminal):
    one = penstock.write("one.parquet", rows().rename({"income": "salary"}))
    two = penstock.write("two.parquet", rows().with_columns(plan=pl.lit("x")))
    chosen = penstock(one, two, "-k", "id", "-t", "at", "--rename", "salary=income", "--column", "income")
    assert chosen.exit_code == 0, chosen.stdout
    assert "200 rows in 1 column\n" in chosen.stdout


def test_tolerances_are_those_that_are_given(penstock: Terminal):
    one = penstock.write("one.parquet", rows())
    two = penstock.write("two.parquet", rows().head(50).with_columns(pl.col("income") * (1 + 2**-51)))
    assert penstock(one, two, "-k", "id", "-t", "at").exit_code == 3
    allowed = ("--unpaired", "1", "--ulps", "4", "--tolerance", "0", "--duplicates", "0", "--pieces", "3")
    assert penstock(one, two, "-k", "id", "-t", "at", *allowed).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "neither keys nor time is given"),
        (("-k", "idd"), "training: unknown column 'idd'; did you mean 'id'"),
        (("-t", "plan"), "time 'training.plan' is String, no date or time"),
        (("-k", "income"), "key 'income' is Float64, whose values are no exact names of rows"),
        (("-k", "id", "--column", "plans"), "unknown column 'plans'; did you mean 'plan'"),
        (("-k", "id", "--rename", "salary=income"), "training: unknown column 'salary'"),
        (("-k", "id", "--rename", "plan=income"), "training has a column 'income' already"),
        (("-k", "id", "--through", "nothing"), "nothing"),
    ],
)
def test_what_makes_no_sense_is_one_line_with_a_remedy(penstock: Terminal, arguments: tuple[str, ...], told: str):
    one = penstock.write("one.parquet", rows())
    done = penstock(one, one, *arguments)
    assert done.exit_code == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_rename_without_a_new_name_is_wrong_usage(penstock: Terminal):
    assert penstock("a.csv", "b.csv", "-k", "id", "--rename", "x").exit_code == 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("gone.parquet", None, "there is no file at"),
        ("empty.csv", b"", "is empty: put the rows there"),
        ("bad.parquet", b"PAR1 and no more", "is truncated, damaged, or of another format"),
        ("bad.arrow", b"ARROW1 and no more", "is truncated, damaged, or of another format"),
        ("bad.csv", b"id,income\n1,\xff\xfe\n", "is no csv that can be read"),
        ("bad.jsonl", b'{"id": 1\n nope', "is no jsonl that can be read"),
        ("header.csv", b"id,at,income,plan\n", "serving has no rows: there is nothing to compare"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(penstock: Terminal, name: str, content: bytes | None, told: str):
    one = penstock.write("one.csv", rows().drop("at"))
    path = penstock.folder / name
    if content is not None:
        path.write_bytes(content)
    done = penstock(one, str(path), "-k", "id")
    assert done.exit_code == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_malformed_parquet_is_refused_without_a_traceback(penstock: Terminal, shared_data: Path):
    one = penstock.write("one.parquet", rows())
    for file in sorted((shared_data / "malformed_parquet").glob("*.parquet")):
        done = penstock(one, str(file), "-k", "id")
        assert done.exit_code == 1, file
        assert done.stderr.startswith("error: "), file
        assert "Traceback" not in done.stderr


def test_the_cleaning_of_the_taxis_is_told_by_the_command(penstock: Terminal, shared_data: Path):
    names = {"tpep_pickup_datetime": "pickup", "tpep_dropoff_datetime": "dropoff", "payment_type": "payment"}
    renamed = [word for old, new in names.items() for word in ("--rename", f"{old}={new}")]
    raw, clean = (str(shared_data / "taxis" / f"{name}.csv") for name in ("raw", "clean"))
    done = penstock(raw, clean, "--key", "dropoff", "--time", "pickup", *renamed)
    assert done.exit_code == 3
    for text in (
        "recoding: each value is another one: 1 is credit card, 2 is cash",
        "serving lacks 67 of 6,500",
        "fare: serving alone has it; it has the values of training's fare_amount",
        "pickup_zone: serving alone has it; it follows from training's PULocationID",
        "RatecodeID: serving lacks this column of training",
        "compare renamed columns, too, by: --rename passenger_count=passengers --rename trip_distance=distance",
    ):
        assert text in done.stdout
