"""The code location: light to import, ordinary Dagster objects, everything a page of the web UI shows."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines.build import build
from pipelines.discovery import pipeline_named
from resources.stages import STAGES

ROOT = Path(__file__).parents[2]
HEAVY = ("great_expectations", "pandas", "sklearn", "lightgbm", "dvc", "mlflow", "skops", "s3fs", "scipy", "pyarrow")


@pytest.fixture(scope="module")
def bikes() -> dg.Definitions:
    return build(pipeline_named("bike_demand"))


def test_loading_the_code_location_imports_nothing_heavy():
    code = f"import sys; import pipelines.definitions as d; d.defs(); print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_the_code_location_prints_nothing():
    code = "import pipelines.definitions as d; d.defs()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout + done.stderr == ""


def test_all_examples_are_defined_and_valid():
    from pipelines.definitions import defs

    found = defs()
    dg.Definitions.validate_loadable(found)
    keys = {key.to_user_string() for key in found.resolve_all_asset_keys()}
    stages = {f"{name}/{stage}" for name in ("bike_demand", "flight_delays", "synthetic_clicks") for stage in STAGES}
    assert keys == stages | {"penstock/lifecycle"}


def test_assets_link_the_reports_of_their_pipeline_where_they_are_served(monkeypatch):
    def linked() -> list[object]:
        specs = build(pipeline_named("bike_demand")).resolve_all_asset_specs()
        return [spec.metadata.get("reports") for spec in specs]

    assert linked() == [None] * len(STAGES)
    monkeypatch.setenv("PENSTOCK_REPORTS_URL", "http://127.0.0.1:3001")
    assert linked() == [dg.MetadataValue.url("http://127.0.0.1:3001/main/bike_demand/")] * len(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_an_asset_shows_group_kinds_owner_version_and_source(bikes, stage):
    spec = bikes.resolve_assets_def(dg.AssetKey(["bike_demand", stage])).get_asset_spec()
    assert spec.group_name == "bike_demand"
    assert spec.kinds
    assert spec.owners == ["team:demand"]
    assert spec.code_version
    assert spec.description
    declaration, code = spec.metadata["dagster/code_references"].code_references
    assert declaration.file_path.endswith("bike_demand.py")
    assert "Pipeline(" in linked_line(declaration)
    assert linked_line(code).startswith(f"def {stage}_asset(")


def linked_line(link: dg.LocalFileCodeReference) -> str:
    return Path(link.file_path).read_text().splitlines()[link.line_number - 1]


def test_the_model_of_a_partition_reads_the_window_before_it_and_never_itself(bikes):
    model = bikes.resolve_assets_def(dg.AssetKey(["bike_demand", "model"]))
    mapping = model.get_partition_mapping(dg.AssetKey(["bike_demand", "features"]))
    months = model.partitions_def
    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        months.subset_with_partition_keys(["2012-01"]), months, months
    )
    assert set(upstream.partitions_subset.get_partition_keys()) == {"2011-10", "2011-11", "2011-12"}


def test_contract_expectations_and_gate_block_and_the_rest_warns(bikes):
    blocking = {spec.name: spec.blocking for checks in bikes.asset_checks for spec in checks.check_specs}
    assert blocking == {
        "contract": True,
        "expectations": True,
        "volume": False,
        "history": False,
        "freshness": False,
        "drift": False,
        "gate": True,
        "expected": False,
    }


def test_only_classifiers_with_time_partitions_have_a_check_of_their_calibration():
    named = ("bike_demand", "flight_delays", "synthetic_clicks")
    built = {name: build(pipeline_named(name)) for name in named}
    blocking = {
        name: [
            spec.blocking for checks in made.asset_checks for spec in checks.check_specs if spec.name == "calibration"
        ]
        for name, made in built.items()
    }
    assert blocking == {"bike_demand": [], "flight_delays": [], "synthetic_clicks": [False]}


def test_every_check_is_aware_of_partitions(bikes):
    months = bikes.resolve_assets_def(dg.AssetKey(["bike_demand", "raw"])).partitions_def
    assert all(spec.partitions_def == months for checks in bikes.asset_checks for spec in checks.check_specs)


def test_the_code_version_follows_the_declaration():
    declared = pipeline_named("bike_demand")
    other = declared.model_copy(update={"train": declared.train.model_copy(update={"seed": 8})})
    key = dg.AssetKey(["bike_demand", "model"])
    versions = [build(item).resolve_assets_def(key).get_asset_spec().code_version for item in (declared, other)]
    assert versions[0] != versions[1]


def test_a_gate_margin_is_no_reason_to_train_again():
    declared = pipeline_named("bike_demand")
    gate = declared.evaluate.gate.model_copy(update={"margin": 9.0})
    other = declared.model_copy(update={"evaluate": declared.evaluate.model_copy(update={"gate": gate})})
    key = dg.AssetKey(["bike_demand", "model"])
    versions = [build(item).resolve_assets_def(key).get_asset_spec().code_version for item in (declared, other)]
    assert versions[0] == versions[1]


def test_a_round_of_the_life_cycle_reports_what_moved_and_scrubs_the_cache_of_its_host(tmp_path, monkeypatch):
    import polars as pl

    from assets.lifecycle import KEY, lifecycle_asset
    from resources import wiring
    from resources.settings import load_settings
    from resources.storage.cache.cache import HostCache
    from resources.storage.datasets import write_table
    from resources.storage.lifecycle.policy import Policy
    from resources.storage.provenance import Provenance, record
    from resources.wiring import WorkspaceResource
    from resources.workspace import open_workspace
    from tests.resources.remotes import flip, remote

    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_ARCHIVE", str(tmp_path / "archive"))
    opened = open_workspace(load_settings())
    wiring._opened.cache_clear()
    ref = write_table(opened.store, pl.DataFrame({"number": [1]}), scratch=opened.scratch)
    at = "2020-01-01T00:00:00+00:00"
    record(opened.store, Provenance(subject=ref.digest, kind="dataset", pipeline="p", stage="raw", created_at=at))

    cache = HostCache(load_settings().cache, budget_bytes=10**6)
    copies = [remote(1000), remote(2000)]
    paths = [cache.lease(copy.digest, copy) for copy in copies]
    cache.release(copies[0].digest)
    flip(paths[0], 7)

    asset = lifecycle_asset(Policy(delete_after_days=36_500, keep_last=0))
    done = dg.materialize([asset], resources={"workspace": WorkspaceResource()})
    wiring._opened.cache_clear()

    (event,) = done.asset_materializations_for_node("penstock__lifecycle")
    told = {name: value.value for name, value in event.metadata.items()}
    assert event.asset_key == KEY
    assert (told["archived_versions"], told["archived_bytes"]) == (1, ref.size_bytes)
    assert f"| archived | p/raw | `{ref.digest[:12]}` |" in told["moved"]
    assert {name: number for name, number in told.items() if name.startswith("scrub_")} == {
        "scrub_copies": 2, "scrub_read_bytes": 3000, "scrub_damaged": 1, "scrub_dropped": 1, "scrub_left": 0,
        "scrub_busy": False,
    }  # fmt: skip
    assert [path.exists() for path in paths] == [False, True]


def test_the_schedule_of_the_life_cycle_is_off_until_somebody_switches_it_on():
    from pipelines.upkeep import upkeep

    (schedule,) = upkeep().schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
