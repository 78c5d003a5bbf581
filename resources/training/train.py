"""Owns training: features datasets of a window in, the files of a bundle out.

The files are a pure function of the recipe, the input digests, the code and the library versions: no clock, no
random number outside the seed, no thread count of the machine.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from quality.profile import ColumnProfile, Profile, profile
from resources.canonical import canonical_json, digest_value
from resources.errors import TrainingError
from resources.refs import DatasetRef, ModelRef
from resources.storage.layered import holder
from resources.storage.objects import object_key
from resources.storage.provenance import records_of
from resources.storage.store import Store
from resources.training.bundle import DECLARATION, LINEAGE, PROFILE, SCHEMA, TRANSFORM, Bundle, write_bundle
from resources.training.environment import library_versions, lock_digest, training_code_version
from resources.training.neural.checkpoint import Checkpoints
from resources.training.recipe import TrainingRecipe
from resources.training.samples import WindowSamples, label_of
from resources.training.window import Window
from resources.transform.fitted import FittedTransform, fit_transform
from resources.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a model is made of.

    Attributes:
        features: Partition key to digest of its features dataset; sorted keys are the order of the rows.
        raw: Partition key to digest of the raw dataset that the features were made of.
    """

    features: Mapping[str, str]
    raw: Mapping[str, str]


def train(
    workspace: Workspace, recipe: TrainingRecipe, window: Mapping[str, DatasetRef]
) -> tuple[ModelRef, dict[str, Any]]:
    """Train a model, store and sign its bundle.

    Args:
        workspace: Where data and models lie.
        recipe: How to train.
        window: Partition key to features dataset of the training window.

    Returns:
        The reference to the model, and what to show of it: `importance` by feature, number of training `rows`, and
        how they were loaded: the fields of `Loading`, and `training_s`, the seconds that all of it took.

    Raises:
        TrainingError: If the trainer cannot learn from these rows.
    """
    digests = {key: ref.digest for key, ref in window.items()}
    inputs = Inputs(features=digests, raw=raw_of(workspace.store, digests))
    rows = Window(workspace.store, recipe, digests)
    checkpoints = Checkpoints(
        folder=workspace.scratch / "training",
        identity=digest_value(_lineage(recipe, inputs, rows=0)),  # how many follows from the inputs
        every_s=workspace.settings.checkpoint_s,
    )
    started = time.perf_counter()
    files = _make(rows, recipe, inputs, checkpoints)
    took_s = time.perf_counter() - started
    digest = write_bundle(workspace.store, files, signer=workspace.signer)
    checkpoints.remove()
    bundle = Bundle(digest, files)
    ref = ModelRef(
        digest=digest,
        location=holder(workspace.store, object_key(digest)).url,
        trainer=recipe.trainer,
        training_digests=digests,
        code_version=str(bundle.lineage["code_version"]),
        parameters=recipe.parameters,
        seed=recipe.seed,
    )
    facts = {"importance": bundle.importance(), "rows": bundle.lineage["rows"]}
    return ref, {**facts, "loading": {**asdict(rows.loading), "training_s": took_s}}


def make_files(store: Store, recipe: TrainingRecipe, inputs: Inputs) -> dict[str, bytes]:
    """Return the files of the bundle that `recipe` makes of `inputs`; the same arguments give the same bytes."""
    return _make(Window(store, recipe, inputs.features), recipe, inputs, None)


def _make(window: Window, recipe: TrainingRecipe, inputs: Inputs, checkpoints: Checkpoints | None) -> dict[str, bytes]:
    learned = _learned(window, recipe)
    data = WindowSamples(window, learned.transform, learned.label)
    values = {
        TRANSFORM: learned.transform.to_json(),
        SCHEMA: _schema(recipe, learned.transform),
        PROFILE: learned.profile.to_json(),
        LINEAGE: _lineage(recipe, inputs, rows=len(learned.label)),
        DECLARATION: recipe.to_json(),
    }
    model = recipe.learner.fit(data, recipe.parameters, recipe.seed, checkpoints=checkpoints)
    return {recipe.learner.file: model, **{name: canonical_json(value) for name, value in values.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """What whole columns tell before a trainer sees a row; `label` has shape ``(rows,)``."""

    transform: FittedTransform
    profile: Profile
    label: "np.ndarray[Any, np.dtype[np.float64]]"


def _learned(window: Window, recipe: TrainingRecipe) -> _Learned:
    stepped = {name for step in recipe.steps for name in step.columns}
    profiles: dict[str, ColumnProfile] = {}
    types: dict[str, pl.DataType] = {}
    kept: list[pl.Series] = []
    for frame in window.frames():  # not all at once: there may be more than fits in memory
        profiles |= profile(frame).columns
        types |= dict(frame.schema)
        kept += [frame[name] for name in frame.columns if name in stepped or name == recipe.label]
    columns = pl.DataFrame(kept)
    return _Learned(
        transform=fit_transform(recipe.texts, recipe.steps, columns, types=types),
        profile=Profile(rows=columns.height, columns=profiles),
        label=_label(columns, recipe.label),
    )


def raw_of(store: Store, features: Mapping[str, str]) -> dict[str, str]:
    """Return partition key to digest of the raw datasets that features datasets were made of, as recorded."""
    latest = [
        max(records, key=lambda record: record.created_at)
        for digest in features.values()
        if (records := records_of(store, digest))
    ]
    parents = [parent for record in latest for parent in record.parents if parent.kind == "dataset"]
    return {
        parent.name.partition("@")[2]: parent.digest
        for parent in sorted(parents, key=lambda one: (one.name, one.digest))
    }


def _label(frame: pl.DataFrame, label: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    if not (frame.schema[label].is_numeric() or frame.schema[label] == pl.Boolean):
        raise TrainingError(
            f"label {label!r} is {frame.schema[label]}, a model predicts numbers: cast it in its expression"
        )
    return label_of(frame, label)


def _schema(recipe: TrainingRecipe, transform: FittedTransform) -> dict[str, Any]:
    return {
        "format": 1,
        "contract": recipe.contract,
        "reads": list(transform.reads),
        "features": list(transform.output),
        "categorical": list(transform.categorical),
        "label": recipe.label,
        "task": recipe.task,
        "trainer": recipe.trainer,
    }


def _lineage(recipe: TrainingRecipe, inputs: Inputs, *, rows: int) -> dict[str, Any]:
    return {
        "format": 1,
        "pipeline": recipe.pipeline,
        "features": dict(inputs.features),
        "raw": dict(inputs.raw),
        "rows": rows,
        "trainer": recipe.trainer,
        "parameters": recipe.parameters,
        "seed": recipe.seed,
        "code_version": training_code_version(recipe),
        "lock_digest": lock_digest(),
        "libraries": library_versions(recipe.learner.libraries),
    }
