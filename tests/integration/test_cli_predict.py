"""`penstock predict`: batch scoring of files."""

from pathlib import Path

import polars as pl
import pytest

from tests.integration.shell import NAME, Shell

pytestmark = pytest.mark.slow


def rows() -> pl.DataFrame:
    from datetime import UTC, datetime

    times = [datetime(2024, 3, 4, hour, tzinfo=UTC) for hour in range(7, 19)]
    frame = pl.DataFrame({"at": times, "temperature": [8.0 + at.hour / 4 for at in times]})
    return frame.with_columns(pl.lit(False).alias("holiday"))


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


def test_predict_names_a_column_that_the_model_misses(shell: Shell, tmp_path: Path):
    rows().drop("temperature").write_parquet(tmp_path / "rows.parquet")
    done = shell("predict", NAME, tmp_path / "rows.parquet", "-o", tmp_path / "scored.csv")
    assert done.code == 1
    assert "'temperature' is missing" in done.err


def test_predict_refuses_an_output_format_that_it_cannot_write(shell: Shell, tmp_path: Path):
    done = shell("predict", NAME, tmp_path / "rows.csv", "-o", tmp_path / "scored.xls")
    assert done.code == 1
    assert ".parquet" in done.err
