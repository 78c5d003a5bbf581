"""Owns training: features datasets of a window in, the files of a bundle out.

The files are a pure function of the recipe, the input digests, the code and the library versions: no clock, no
random number outside the seed, no thread count of the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from quality.profile import profile
from resources.canonical import canonical_json
from resources.errors import StoreError, TrainingError
from resources.refs import DatasetRef, ModelRef
from resources.storage.datasets import read_frame
from resources.storage.layered import holder
from resources.storage.objects import object_key
from resources.storage.provenance import records_of
from resources.storage.store import Store
from resources.training.bundle import DECLARATION, LINEAGE, PROFILE, SCHEMA, TRANSFORM, Bundle, write_bundle
from resources.training.environment import library_versions, lock_digest, training_code_version
from resources.training.protocol import TrainingSet
from resources.training.recipe import TrainingRecipe
from resources.transform.expressions import columns_of, compile_expression
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
        The reference to the model, and what to show of it: `importance` by feature, number of training `rows`.

    Raises:
        TrainingError: If the trainer cannot learn from these rows.
    """
    digests = {key: ref.digest for key, ref in window.items()}
    inputs = Inputs(features=digests, raw=raw_of(workspace.store, digests))
    files = make_files(workspace.store, recipe, inputs)
    digest = write_bundle(workspace.store, files, signer=workspace.signer)
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
    return ref, {"importance": bundle.importance(), "rows": bundle.lineage["rows"]}


def make_files(store: Store, recipe: TrainingRecipe, inputs: Inputs) -> dict[str, bytes]:
    """Return the files of the bundle that `recipe` makes of `inputs`; the same arguments give the same bytes."""
    frame = training_rows(store, recipe, inputs.features)
    transform = fit_transform(recipe.texts, recipe.steps, frame)
    data = TrainingSet(
        matrix=transform.matrix(frame.lazy()),
        label=_label(frame, recipe.label),
        feature_names=transform.output,
        categorical=transform.categorical,
    )
    values = {
        TRANSFORM: transform.to_json(),
        SCHEMA: _schema(recipe, transform),
        PROFILE: profile(frame).to_json(),
        LINEAGE: _lineage(recipe, inputs, rows=frame.height),
        DECLARATION: recipe.to_json(),
    }
    model = recipe.learner.fit(data, recipe.parameters, recipe.seed)
    return {recipe.learner.file: model, **{name: canonical_json(value) for name, value in values.items()}}


def training_rows(store: Store, recipe: TrainingRecipe, features: Mapping[str, str]) -> pl.DataFrame:
    """Return the row-wise columns and the label of the training rows, partition after partition.

    Raises:
        TrainingError: If there are none.
        StoreError: If a dataset is missing or altered, naming its partition.
    """
    wanted = [*recipe.texts, recipe.label]
    tested = [name for name in (columns_of(recipe.rows, field="rows") if recipe.rows else ()) if name not in wanted]
    parts = [_part(store, key, features[key], [*wanted, *tested]) for key in sorted(features)]
    frame = pl.concat(parts) if parts else pl.DataFrame()
    if recipe.rows and parts:
        frame = frame.filter(compile_expression(recipe.rows, field="rows"))
    if frame.is_empty():
        raise TrainingError(
            f"no rows to train on in {len(parts)} partitions: widen the training window, or ingest more"
        )
    return frame.select(wanted).rechunk()


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


def _part(store: Store, key: str, digest: str, columns: list[str]) -> pl.DataFrame:
    try:
        return read_frame(store, digest, columns)
    except StoreError as error:
        raise type(error)(f"training input {key or 'features'}: {error}") from error
    except pl.exceptions.ColumnNotFoundError as error:
        raise TrainingError(
            f"training input {key or 'features'} lacks a declared column: {str(error).partition(chr(10))[0]}; "
            "materialize its features again"
        ) from None


def _label(frame: pl.DataFrame, label: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    if not (frame.schema[label].is_numeric() or frame.schema[label] == pl.Boolean):
        raise TrainingError(
            f"label {label!r} is {frame.schema[label]}, a model predicts numbers: cast it in its expression"
        )
    return np.ascontiguousarray(frame[label].cast(pl.Float64).fill_null(float("nan")).to_numpy())


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
