"""What the model asset shows of its loaders: numbers that Dagster plots, one small picture, none of it in a digest."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from assets.loading import loading_metadata
from resources.storage.objects import get_object
from resources.training.bundle import read_bundle
from resources.training.train import train
from resources.training.window import Loading
from resources.workspace import Workspace
from tests.resources.test_bundle import opened, recipe, window

TOLD = Loading(
    rows=4_000_000, size_bytes=8 * 10**9, passes=2, elapsed_s=8.0, waited_s=2.0, gathered_s=3.0, first_batch_s=0.25
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return opened(tmp_path)


def test_speed_stalls_and_first_batch_are_numbers_under_stable_keys():
    shown = loading_metadata({**asdict(TOLD), "training_s": 10.0})
    picture = shown.pop("loader_picture")
    assert shown == {
        "loader_rows_per_s": 500_000.0, "loader_gb_per_s": 1.0, "loader_stall_percent": 25.0,
        "loader_first_batch_s": 0.25, "loader_passes": 2, "training_s": 10.0,
    }  # fmt: skip
    assert "data:image/svg+xml;base64," in picture.value
    assert len(picture.value) < 20_000


def test_a_model_that_was_trained_before_they_were_counted_shows_none():
    assert loading_metadata({}) == {}


def test_loaders_that_did_nothing_give_finite_numbers():
    shown = loading_metadata({**asdict(replace(TOLD, rows=0, elapsed_s=0.0)), "training_s": 1.0})
    assert all(math.isfinite(value) for value in shown.values() if isinstance(value, float))


def test_a_training_tells_how_it_loaded_and_no_file_of_the_model_does(workspace: Workspace):
    ref, facts = train(workspace, recipe(), window(workspace))
    shown = loading_metadata(facts["loading"])
    assert shown["loader_rows_per_s"] > 0
    assert shown["loader_passes"] >= 1
    bundle = read_bundle(workspace.store, ref.digest)
    texts = [get_object(workspace.store, ref.digest), *bundle.files.values()]
    assert not any(name.encode() in text for text in texts for name in ("waited_s", "training_s", "gathered_s"))
