"""Owns the way of label-free estimates through a pipeline: learned from labels, kept in the gate report, asked later.

The statistics are `quality.label_free`'s. A report holds what was learned of every model that it judged, as numbers, so
that the champion of any later day is found in the last report that judged it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from quality.measurements import Evaluation
from resources.errors import ContractError
from resources.refs import GateReport
from resources.storage import refs
from resources.storage.store import Store

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from quality.label_free.expectation import Expectation

    Floats = NDArray[np.float64]

KEY = "label_free"
"""Where a report's measurements hold what was learned, by digest of the model."""
LATEST = 24
"""Reports that are looked through for a model, the newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What one report tells of one model.

    Attributes:
        partition: Partition whose labels taught it; empty for a holdout.
        task: "binary" or "regression".
        model: What `quality.label_free` learned, as JSON; empty where it could not.
        why_not: Why it could not, or empty.
        reference: Metric to its value with labels.
    """

    partition: str
    task: str
    model: Mapping[str, Any]  # Any: JSON values
    why_not: str
    reference: Mapping[str, float | None]


def learn(
    evaluation: Evaluation,
    models: Mapping[str, str],
    predictions: Mapping[str, "Floats"],
    judged: "pl.DataFrame",
    *,
    label: str,
    leave_out: tuple[str, ...],
    clusters: Any,  # Any: numpy array or None
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Return what labelled rows teach of each model, by its digest.

    Args:
        evaluation: The metrics of the same rows.
        models: Name of a model, such as "champion", to its digest.
        predictions: Name of a model to its predictions of the rows.
        judged: Features and label of the rows.
        label: Name of the label's column.
        leave_out: Other columns that are no features.
        clusters: Rows that err alike, or None.
        seed: Of folds.
    """
    features = numeric_columns(judged.drop(label, *leave_out, strict=False))
    truth = judged[label].to_numpy().astype("float64")
    made: dict[str, dict[str, Any]] = {}
    for name, digest in models.items():
        fit = partial(_fitters()[evaluation.task], features=features, clusters=clusters, seed=seed)
        reference = {metric: found.value for metric, found in evaluation.overall.metrics[name].items()}
        made[digest] = {"task": evaluation.task, "reference": reference, **_fitted(fit, truth, predictions[name])}
    return made


def learned_of(store: Store, registry: str, pipeline: str, model: str, *, before: str | None = None) -> Learned | None:
    """Return what the last report that judged the model of digest `model` tells of it, or None; see `lessons`."""
    return next(lessons(store, registry, pipeline, model, before=before), None)


def lessons(store: Store, registry: str, pipeline: str, model: str, *, before: str | None = None) -> Iterator[Learned]:
    """Yield what the last reports tell of the model of digest `model`, the newest first.

    Args:
        store: Where reports lie.
        registry: Name of the registry.
        pipeline: Name of the pipeline.
        model: Digest of the model.
        before: Only reports of earlier partitions count.
    """
    asset = (pipeline, "evaluation")
    keys = [key for key in refs.partitions(store, registry, asset) if before is None or key < before]
    for key in [*reversed(keys[-LATEST:])] if keys else [None]:
        found = _report(store, registry, asset, key)
        learned = None if found is None else learned_in(found, model)
        if learned is not None:
            yield learned


def learned_in(report: GateReport, model: str) -> Learned | None:
    """Return what `report` tells of the model of digest `model`, or None."""
    told = report.measurements.get(KEY, {}).get(model)
    if told is None:
        return None
    return Learned(
        partition=report.partition, task=told["task"], model=told["model"], why_not=told["why_not"],
        reference=told["reference"],
    )  # fmt: skip


def expect(learned: Learned, predictions: "Floats", rows: "pl.DataFrame", *, confidence: float) -> "Expectation":
    """Return what is expected of a model on rows without labels.

    Args:
        learned: What a report tells of the model.
        predictions: Its predictions, shape ``(rows,)``.
        rows: The features of the rows.
        confidence: Of the intervals.

    Raises:
        ContractError: If a feature of the labelled rows is missing, or a prediction is impossible.
    """
    from quality.label_free.classification import ClassifierModel, expect_classifier
    from quality.label_free.expectation import Expectation
    from quality.label_free.regression import RegressorModel, expect_regressor

    if not len(predictions):
        return Expectation(rows=0, confidence=confidence, abstains="there are no rows")
    if learned.why_not:
        return Expectation(rows=len(predictions), confidence=confidence, abstains=learned.why_not)
    features = numeric_columns(rows)
    if learned.task == "binary":
        model = ClassifierModel.from_json(learned.model)
        return expect_classifier(model, predictions, features=features, confidence=confidence)
    return expect_regressor(
        RegressorModel.from_json(learned.model), predictions, features=features, confidence=confidence
    )


def numeric_columns(frame: "pl.DataFrame") -> dict[str, "Floats"]:
    """Return the numeric and boolean columns, NaN where missing; texts and clocks have no range to leave."""
    import polars as pl

    kept = [name for name, kind in frame.schema.items() if kind.is_numeric() or kind == pl.Boolean]
    return {name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in kept}


def _fitters() -> dict[str, Callable[..., Any]]:  # Any: a model of either task
    from quality.label_free.classification import fit_classifier
    from quality.label_free.regression import fit_regressor

    return {"binary": fit_classifier, "regression": fit_regressor}


def _fitted(fit: Callable[..., Any], truth: "Floats", prediction: "Floats") -> dict[str, Any]:
    try:
        model = fit(truth, prediction)
    except ContractError as error:  # too few rows, or one class: the gate says more of it than an estimate could
        return {"model": {}, "why_not": str(error)}
    return {"model": model.to_json(), "why_not": ""}


def _report(store: Store, registry: str, asset: tuple[str, str], partition: str | None) -> GateReport | None:
    from resources.errors import ObjectMissing

    try:
        found = refs.load(store, registry, asset, partition)
    except ObjectMissing:
        return None
    return found if isinstance(found, GateReport) else None
