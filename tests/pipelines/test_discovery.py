"""Pipelines are found in the catalog and in the folders of PENSTOCK_PIPELINES."""

from pathlib import Path

import pytest

from pipelines.discovery import discover, pipeline_named
from resources.errors import DeclarationError, SettingsError
from resources.settings import load_settings

MODULE = """
from pipelines.spec import Pipeline

rides = Pipeline.parse({
    "name": "NAME",
    "ingest": {
        "source": {"url": "rides.csv"},
        "contract": {"columns": {"a": {"type": "int64"}, "b": {"type": "int64"}}},
    },
    "features": {"columns": {"x": "a"}, "label": "b"},
    "train": {"trainer": "sklearn", "parameters": {"estimator": "Ridge"}},
    "evaluate": {"metrics": ["mae"], "gate": {"metric": "mae", "margin": 1.0}},
})
"""


def settings_with(folder: Path):
    return load_settings({"PENSTOCK_PIPELINES": str(folder)})


def test_a_module_in_a_folder_of_the_setting_is_found(tmp_path):
    (tmp_path / "rides.py").write_text(MODULE.replace("NAME", "rides"))
    found = discover(settings_with(tmp_path))
    assert set(found) == {"bike_demand", "flight_delays", "rides"}
    assert found["rides"].file == tmp_path / "rides.py"
    assert found["rides"].pipeline.declared_at[0] == tmp_path / "rides.py"


def test_two_pipelines_of_one_name_are_refused_with_both_files(tmp_path):
    (tmp_path / "rides.py").write_text(MODULE.replace("NAME", "bike_demand"))
    with pytest.raises(DeclarationError, match=r"bike_demand\.py and .*rides\.py"):
        discover(settings_with(tmp_path))


def test_a_wrong_module_is_named(tmp_path):
    (tmp_path / "rides.py").write_text(MODULE.replace("NAME", "No Name"))
    with pytest.raises(DeclarationError, match=r"rides\.py"):
        discover(settings_with(tmp_path))


def test_wrong_yaml_is_named(tmp_path):
    (tmp_path / "rides").mkdir()
    (tmp_path / "rides" / "defs.yaml").write_text(
        "type: pipelines.component.PipelineComponent\nattributes: {name: rides, ingst: {}}\n"
    )
    with pytest.raises(DeclarationError, match=r"rides/defs\.yaml(.|\n)*did you mean 'ingest'"):
        discover(settings_with(tmp_path))


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="PENSTOCK_PIPELINES"):
        discover(settings_with(tmp_path / "nowhere"))


def test_an_unknown_pipeline_names_the_nearest_one():
    with pytest.raises(DeclarationError, match="did you mean 'bike_demand'"):
        pipeline_named("bike_demnad")
