"""`penstock skew --through`: the log that `penstock predict` writes, replayed through the champion."""

from pathlib import Path

import polars as pl
import pytest

from tests.integration.shell import NAME, PARTITIONS, Shell

pytestmark = pytest.mark.slow
RAW = f"{NAME}/raw@{PARTITIONS[1]}"


@pytest.fixture
def log(shell: Shell, tmp_path: Path) -> Path:
    """What `penstock predict` makes of the raw rows of a partition."""
    rows, out = tmp_path / "rows.parquet", tmp_path / "log.parquet"
    exported(shell).write_parquet(rows)
    done = shell("predict", NAME, rows, "--output", out)
    assert done.code == 0, done.err
    return out


def exported(shell: Shell) -> pl.DataFrame:
    from resources.settings import load_settings
    from resources.storage.datasets import read_frame
    from resources.storage.naming import of_asset
    from resources.workspace import open_workspace

    workspace = open_workspace(load_settings(shell.home.env))
    digest = of_asset(workspace.store, workspace.registry_name, f"{NAME}/raw", PARTITIONS[1])
    return read_frame(workspace.store, digest)


def test_a_log_of_predict_has_no_skew_and_a_changed_one_names_input_features_and_prediction(shell: Shell, log: Path):
    clean = shell("skew", RAW, log, "--time", "at", "--through", NAME, "--json")
    assert clean.code == 0, clean.err or clean.out
    names = {column["column"] for column in clean.json["columns"]}
    assert {"temperature", "feature.temperature", "prediction"} <= names
    frame = pl.read_parquet(log)
    frame.with_columns(
        pl.col("temperature") + pl.when(pl.int_range(pl.len()) % 3 == 0).then(2.0).otherwise(0.0)
    ).write_parquet(log)
    wrong = shell("skew", RAW, log, "--time", "at", "--through", NAME, "--json")
    assert wrong.code == 3
    columns = {column["column"]: column for column in wrong.json["columns"]}
    assert columns["temperature"]["kinds"][0]["name"] == "offset"
    assert columns["feature.temperature"]["parting"]["step"] == "the input"
    # The prediction was logged before the input was changed: it fits training's rows.
    assert columns["prediction"]["mismatch"]["count"] == 0
    frame.with_columns(pl.col("prediction") + 1).write_parquet(log)
    model = shell("skew", RAW, log, "--time", "at", "--through", NAME)
    assert model.code == 3
    assert "they part at model: the features are the same, the predictions are not" in model.out


def test_a_dataset_of_the_store_is_a_side_and_a_model_is_none(shell: Shell):
    features = f"{NAME}/features@{PARTITIONS[1]}"
    same = shell("skew", features, features, "--time", "at")
    assert same.code == 0, same.err or same.out
    none = shell("skew", NAME, features, "--time", "at")
    assert (none.code, "names a model: name a dataset" in none.err) == (1, True)
