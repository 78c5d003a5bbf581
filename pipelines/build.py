"""Turns one declaration into plain `dagster.Definitions`: five assets, their checks, a job, a schedule, a sensor.

Every piece is an ordinary Dagster object with nothing hidden behind it; take what you need of it by key.
"""

import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from assets import stage_checks
from assets.calibration import calibration_check
from assets.deploy import deployment_asset
from assets.detection import features_detectors, raw_detectors
from assets.evaluate import evaluation_asset
from assets.expected import expected_check
from assets.history import history_checks
from assets.ingest import raw_asset
from assets.preprocess import features_asset
from assets.stage import Stage
from assets.train import model_asset
from pipelines.automation import schedules, sensors, upstream_changed
from pipelines.spec import Pipeline
from resources.reports import pipeline_url
from resources.settings import load_settings
from resources.stages import STAGES
from resources.training.code_version import code_version
from resources.training.environment import training_code_version
from resources.training.recipe import TrainingRecipe
from resources.transform.preprocess import BUCKET, LABEL
from resources.transform.split import BUCKETS
from resources.wiring import RefIOManager, WorkspaceResource

_ASSETS = (raw_asset, features_asset, model_asset, evaluation_asset, deployment_asset)
FACTORIES: Mapping[str, Callable[..., dg.AssetsDefinition]] = dict(zip(STAGES, _ASSETS, strict=True))
"""Stage to what makes its asset."""
CODE = {
    "raw": ("resources.source", "quality.contract", "quality.profile", "quality.profiles", "quality.histogram"),
    "features": (
        "resources.transform",
        "resources.loader.packing",
        "resources.loader.shuffled",
        "quality.profile",
        "quality.profiles",
        "quality.histogram",
    ),
    "evaluation": (
        "resources.judgement",
        "resources.label_free",
        "resources.loader.shuffled",
        "quality.bootstrap",
        "quality.distributions",
        "quality.evaluation",
        "quality.gate",
        "quality.label_free",
        "quality.measurements",
        "quality.metrics",
        "quality.rules",
        "quality.verdicts",
        "quality.wording",
    ),
    "deployment": ("resources.promotion", "resources.registry"),
}
"""Stage to the modules whose source decides its result; `training_code_version` knows those of training."""


def build(pipeline: Pipeline, *, registry: str = "") -> dg.Definitions:
    """Return the Dagster definitions of `pipeline`, in the registry that the settings name unless one is given."""
    job = pipeline_job(pipeline)
    with _expected_warnings():
        return dg.Definitions(
            assets=assets_of(pipeline),
            asset_checks=checks_of(pipeline),
            jobs=[job],
            schedules=schedules(pipeline, job),
            sensors=sensors(pipeline, job),
            resources=shared_resources(registry),
        )


def assets_of(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """Return the five assets of `pipeline`, in the order they run."""
    stage, time = {name: stage_of(pipeline, name) for name in STAGES}, pipeline.event_time
    return [
        raw_asset(stage["raw"], pipeline.ingest),
        features_asset(stage["features"], pipeline.features, event_time=time),
        model_asset(stage["model"], pipeline.train, recipe=training_recipe(pipeline)),
        evaluation_asset(
            stage["evaluation"], pipeline.evaluate, pipeline.features, event_time=time, seed=pipeline.train.seed
        ),
        deployment_asset(stage["deployment"], pipeline.evaluate.gate),
    ]


def checks_of(pipeline: Pipeline) -> list[dg.AssetChecksDefinition]:
    """Return the checks of `pipeline`: on raw and its past, on features, and the gate and calibration on evaluation."""
    stage = {name: stage_of(pipeline, name) for name in STAGES}
    calibrated = pipeline.partitions is not None and pipeline.train.task == "binary"
    return [
        stage_checks.raw_checks(stage["raw"], pipeline.ingest),
        history_checks(stage["raw"], pipeline.ingest.history, volume_tolerance=pipeline.ingest.volume_tolerance),
        *raw_detectors(stage["raw"], pipeline.ingest),
        stage_checks.features_checks(stage["features"], pipeline.features, pipeline.train.window),
        *features_detectors(stage["features"], pipeline.features, pipeline.train.window),
        stage_checks.gate_check(stage["evaluation"]),
        *([expected_check(stage["features"], pipeline.evaluate.gate)] if pipeline.partitions else []),
        *([calibration_check(stage["evaluation"])] if calibrated else []),
    ]


def pipeline_job(pipeline: Pipeline) -> Any:  # Any: Dagster does not export UnresolvedAssetJobDefinition
    """Return the job that materializes all stages and runs all checks of one partition, in one process."""
    return dg.define_asset_job(
        pipeline.name,
        selection=dg.AssetSelection.groups(pipeline.name),
        description=pipeline.description or None,
        tags={"penstock/pipeline": pipeline.name},
        executor_def=dg.in_process_executor,
    )


def stage_of(pipeline: Pipeline, name: str) -> Stage:
    """Return what the stage `name` of `pipeline` shows in the web UI."""
    return Stage(
        pipeline=pipeline.name,
        name=name,
        code_version=version_of(pipeline, name),
        partitions=pipeline.partitions,
        owners=pipeline.owners,
        tags=pipeline.tags,
        metadata=_links(pipeline, FACTORIES[name]),
        automation=upstream_changed() if pipeline.automate and name != "raw" else None,
    )


def version_of(pipeline: Pipeline, name: str) -> str:
    """Return the code version of stage `name`: of its modules' source and of its part of the declaration."""
    if name == "model":
        return training_code_version(training_recipe(pipeline))
    return code_version(*CODE[name], declaration=declaration_of(pipeline, name))


def declaration_of(pipeline: Pipeline, name: str) -> dict[str, Any]:  # Any: JSON values
    """Return the part of the declaration that decides the result of stage `name`."""
    match name:
        case "raw":
            return pipeline.ingest.model_dump(mode="json", include={"contract", "event_time", "source"})
        case "features":
            judging = {name for name in type(pipeline.features).model_fields if name.startswith("drift_")}
            return pipeline.features.model_dump(mode="json", exclude={"steps", "detect", *judging})
        case "evaluation":
            return pipeline.evaluate.model_dump(mode="json")
        case _:
            return {}


def training_recipe(pipeline: Pipeline) -> TrainingRecipe:
    """Return everything of `pipeline` that decides the bits of its model."""
    return TrainingRecipe(
        pipeline=pipeline.name,
        columns=tuple(pipeline.features.columns.items()),
        steps=pipeline.features.steps,
        label=LABEL,
        rows="" if pipeline.partitions else f"{BUCKET} >= {round(pipeline.evaluate.holdout * BUCKETS)}",
        trainer=pipeline.train.trainer,
        parameters=pipeline.train.parameters,
        seed=pipeline.train.seed,
        contract=pipeline.ingest.contract.model_dump(mode="json"),
        event_time=pipeline.ingest.event_time,
        options=pipeline.ingest.source.options,
    )


@cache
def shared_resources(registry: str = "") -> dict[str, Any]:  # Any: Dagster resources
    """Return the resources of all pipelines; one object each, so that definitions merge."""
    workspace = WorkspaceResource(registry=registry)
    return {"workspace": workspace, "refs": RefIOManager(workspace=workspace)}


@contextmanager
def _expected_warnings() -> Generator[None]:
    """Silence Dagster's marks on the three young features used here; the lock file holds their version still.

    They are partitioned asset checks (preview), code references and clipped window mappings (beta).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


def _links(pipeline: Pipeline, factory: Callable[..., Any]) -> dict[str, Any]:  # Any: an asset; Dagster metadata
    """Return links to the lines of the declaration and of the factory of the stage's asset, and to the reports."""
    code = factory.__code__
    places = [(Path(code.co_filename), code.co_firstlineno, "stage code")]
    declared = pipeline.declared_at
    if declared is not None and declared[0].exists():
        places.insert(0, (*declared, "declaration"))
    references = [
        dg.LocalFileCodeReference(file_path=str(file), line_number=line, label=label) for file, line, label in places
    ]
    links: dict[str, Any] = {
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=list(references))
    }
    reports = pipeline_url(load_settings(), pipeline.name)
    return links if reports is None else {**links, "reports": dg.MetadataValue.url(reports)}
