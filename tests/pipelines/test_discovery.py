"""Pipelines are found in the catalog and in the folders of PENSTOCK_PIPELINES."""

from pathlib import Path

import pytest

from pipelines.discovery import discover, pipeline_named, survey
from pipelines.lookup import find
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
    assert set(found) == {"bike_demand", "flight_delays", "rides", "synthetic_clicks"}
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


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x = (", "SyntaxError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("from quality.gate import Gate\nGate(metric='maee', margin=1)", "Gate.metric: unknown metric 'maee'"),
        ("from quality.contract import Column\nColumn(type='int64', minimun=1)", "did you mean 'minimum'"),
    ],
)
def test_a_module_that_does_not_load_is_named_with_its_line_and_the_others_are_still_found(tmp_path, line, says):
    (tmp_path / "broken.py").write_text(f"# a comment\n{line}\n")
    found, wrong = survey(settings_with(tmp_path))
    last = line.count("\n") + 2
    assert set(found) == {"bike_demand", "flight_delays", "synthetic_clicks"}
    assert [str(error).startswith(f"{tmp_path / 'broken.py'}:{last}: ") for error in wrong] == [True]
    assert says in str(wrong[0])


def test_yaml_that_is_none_is_named(tmp_path):
    (tmp_path / "rides").mkdir()
    (tmp_path / "rides" / "defs.yaml").write_text("type: pipelines.component.PipelineComponent\nattributes: {\n")
    with pytest.raises(DeclarationError, match=r"rides/defs\.yaml:3: ParserError"):
        discover(settings_with(tmp_path))


def test_a_pipeline_is_found_by_its_file_beside_one_that_does_not_load(tmp_path):
    (tmp_path / "rides.py").write_text(MODULE.replace("NAME", "rides"))
    (tmp_path / "broken.py").write_text("x = (\n")
    assert find("rides", settings_with(tmp_path)).name == "rides"


def test_a_name_that_two_files_bear_is_refused(tmp_path):
    (tmp_path / "bike_demand.py").write_text(MODULE.replace("NAME", "bike_demand"))
    with pytest.raises(DeclarationError, match="two pipelines are named 'bike_demand'"):
        find("bike_demand", settings_with(tmp_path))
