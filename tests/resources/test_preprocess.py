"""Preprocessing: raw rows in, features with their label out, the same bits in any partition."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from resources.errors import ContractError
from resources.loader import Loader
from resources.loader.shuffled import read_in_order
from resources.settings import load_settings
from resources.storage.datasets import read_frame, write_table
from resources.storage.manifest import read_manifest
from resources.transform.preprocess import LABEL, Recipe, preprocess, rows
from resources.workspace import open_workspace


def test_the_label_of_a_row_has_the_same_bits_in_any_partition():
    raw = pl.DataFrame({"at": range(50), "cnt": [float(number) ** 3 for number in range(50)]})
    recipe = Recipe(columns={"n": "cnt"}, label="cnt / 7.3", event_time="at")

    together = rows(recipe, raw)[LABEL].to_list()

    assert [rows(recipe, raw[place])[LABEL].item() for place in range(50)] == together


def test_a_label_that_cannot_be_computed_is_told_in_plain_words():
    raw = pl.DataFrame({"at": [1], "cnt": ["many"]})
    with pytest.raises(ContractError, match="many"):
        rows(Recipe(columns={"n": "at"}, label="CAST(cnt AS DOUBLE)", event_time="at"), raw)


def test_features_are_stored_for_the_loader_the_same_each_time_and_read_back_in_the_order_of_raw(tmp_path: Path):
    workspace = open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    raw = pl.DataFrame(
        {
            "at": [start + timedelta(hours=hour) for hour in range(500)],
            "cnt": [float(number) for number in range(500)],
            "sky": ["clear" if number % 3 else None for number in range(500)],
        }
    )
    columns = {"half": "cnt / 2", "before": "LAG(cnt, 1) OVER (ORDER BY at)", "odd": "cnt / (cnt - 7)", "sky": "sky"}
    recipe = Recipe(columns=columns, label="cnt", event_time="at")
    source = write_table(workspace.store, raw, scratch=workspace.scratch)

    refs = [preprocess(workspace, recipe, [source], partition="2026-01") for _ in range(2)]

    assert refs[0] == refs[1]
    made = read_manifest(workspace.store, refs[0].digest)
    assert made.encoding == "arrow"
    assert made.schema.names[0] == "float64"
    expected = rows(recipe, raw)
    assert_frame_equal(read_in_order(workspace.store, refs[0].digest).select(expected.columns), expected)
    assert read_frame(workspace.store, refs[0].digest)["at"].is_sorted() is False
    assert Loader(refs, 100, columns=["half", "before"], store=workspace.store).rows == 1000
    assert list(workspace.scratch.glob("snapshot-*")) == []


@pytest.mark.parametrize(
    ("store", "codec", "stored"),
    [
        ("memory", None, "zstd"),
        ("memory", "lz4", "lz4"),
        ("memory", "none", None),
        ("folder", None, None),
        ("folder", "zstd", "zstd"),
    ],
)
def test_features_are_compressed_as_the_setting_says(tmp_path: Path, store: str, codec: str | None, stored: str | None):
    place = {"PENSTOCK_STORE": f"memory://{tmp_path.name}"} if store == "memory" else {}
    chosen = {} if codec is None else {"PENSTOCK_CODEC": codec}
    workspace = open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path), **place, **chosen}))
    raw = pl.DataFrame({"cnt": [float(number % 7) for number in range(20_000)]})
    recipe = Recipe(columns={"half": "cnt / 2", "third": "cnt / 3"}, label="cnt", event_time=None)
    source = write_table(workspace.store, raw, scratch=workspace.scratch)

    ref = preprocess(workspace, recipe, [source], partition="2026-01")

    assert read_manifest(workspace.store, ref.digest).codec == stored
    expected = rows(recipe, raw)
    assert_frame_equal(read_in_order(workspace.store, ref.digest).select(expected.columns), expected)
