"""Owns the way of label-free estimates through a pipeline: learned from labels, kept in the gate report, asked later.

The statistics are `quality.label_free`'s. A report holds what was learned of every model that it judged, as numbers, so
that the champion of any later day is found in the last report that judged it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from quality.measurements import Evaluation
from quality.metrics import Task
from resources.canonical import digest_value
from resources.errors import ContractError, ObjectMissing, PenstockError
from resources.names import choose
from resources.refs import GateReport
from resources.storage import refs
from resources.storage.datasets import read_frame
from resources.storage.memo import REQUIRES, recall, remember
from resources.storage.store import Store
from resources.training.bundle import read_bundle
from resources.training.code_version import code_version

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from quality.label_free.expectation import Expectation
    from quality.label_free.experience import Foretold
    from resources.workspace import Workspace

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
    keys = refs.partitions(store, registry, asset, before=before, most=LATEST)
    for key in [*reversed(keys)] if keys else [None]:
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
    """Return what is expected of a model on rows without labels, however far they lie from those that taught it.

    Args:
        learned: What a report tells of the model.
        predictions: Its predictions, shape ``(rows,)``.
        rows: The features of the rows.
        confidence: Of the intervals.

    Raises:
        ContractError: If a feature of the labelled rows is missing, or a prediction is impossible.
    """
    from quality.label_free.classification import ClassifierModel
    from quality.label_free.expectation import Expectation
    from quality.label_free.regression import RegressorModel

    if not len(predictions):
        return Expectation(rows=0, confidence=confidence, abstains="there are no rows")
    if learned.why_not:
        return Expectation(rows=len(predictions), confidence=confidence, abstains=learned.why_not)
    told = partial(_tellers()[learned.task], features=numeric_columns(rows), confidence=confidence, tolerated=1.0)
    parse = ClassifierModel.from_json if learned.task == "binary" else RegressorModel.from_json
    return told(parse(learned.model), predictions)


def expected_of(
    workspace: "Workspace", learned: Learned, model: str, features: str, *, confidence: float, keep: bool = True
) -> "Expectation":
    """Return what is expected of a model on a dataset of features, see `expect`, from memory where it is known.

    Args:
        workspace: Where models and features lie.
        learned: What a report tells of the model.
        model: Digest of the model.
        features: Digest of the features.
        confidence: Of the intervals.
        keep: Whether it is remembered.
    """
    from quality.label_free.expectation import Expectation

    taught = digest_value({"model": learned.model, "why_not": learned.why_not})
    inputs = {"model": model, "features": features, "taught": taught, "confidence": confidence}
    recipe = digest_value({"expected": inputs, "code": _code()})
    if (known := recall(workspace.store, recipe)) is not None:
        return Expectation.from_json(known["expectation"])
    rows = read_frame(workspace.store, features)
    bundle = read_bundle(workspace.store, model, keyring=workspace.keyring)
    found = expect(learned, bundle.predict_rows(rows.lazy()), rows, confidence=confidence)
    if keep:
        remember(workspace.store, recipe, {"expectation": found.to_json(), REQUIRES: [features]})
    return found


@cache
def _code() -> str:
    return code_version("quality.label_free", declaration=None)


def foretold(
    workspace: "Workspace", pipeline: str, *, before: str | None, confidence: float, keep: bool = True
) -> "list[Foretold]":
    """Return what was to be expected of the champions of earlier partitions, beside what labels showed there.

    Each estimate is made as it could have been at the time: by the last report before its partition. Those whose model
    or features are gone from the store, or cannot be read any more, are left out.

    Args:
        workspace: Where reports, models and features lie.
        pipeline: Name of the pipeline.
        before: Only earlier partitions count; None is all.
        confidence: Of the intervals.
        keep: Whether estimates are remembered.
    """
    place, asset = (workspace.store, workspace.registry_name), (pipeline, "evaluation")
    keys = refs.partitions(*place, asset, before=before, most=LATEST)
    reports = [report for key in keys if (report := _report(*place, asset, key)) is not None]
    found: list[Foretold] = []
    for at, report in enumerate(reports):
        model = report.champion or ""
        earlier = (learned_in(one, model) for one in reversed(reports[:at]))
        real, taught = learned_in(report, model), next((one for one in earlier if one is not None), None)
        if real is None or taught is None:
            continue
        with suppress(PenstockError):
            features = report.inputs["features"]
            made = expected_of(workspace, taught, model, features, confidence=confidence, keep=keep)
            if not made.abstains:
                found.append(_beside(made, real))
    return found


def _beside(made: "Expectation", real: Learned) -> "Foretold":
    from quality.label_free.experience import Foretold

    expected = {name: one.value for name, one in made.metrics.items() if one.value is not None}
    shown = {name: value for name, value in real.reference.items() if value is not None}
    return Foretold(outside=made.outside, expected=expected, real=shown)


def numeric_columns(frame: "pl.DataFrame") -> dict[str, "Floats"]:
    """Return the numeric and boolean columns, NaN where missing; texts and clocks have no range to leave."""
    import polars as pl

    kept = [name for name, kind in frame.schema.items() if kind.is_numeric() or kind == pl.Boolean]
    return {name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in kept}


def _fitters() -> dict[str, Callable[..., Any]]:  # Any: a model of either task
    from quality.label_free.classification import fit_classifier
    from quality.label_free.regression import fit_regressor

    return {"binary": fit_classifier, "regression": fit_regressor}


def _tellers() -> dict[str, Callable[..., "Expectation"]]:
    from quality.label_free.classification import expect_classifier
    from quality.label_free.regression import expect_regressor

    return {"binary": expect_classifier, "regression": expect_regressor}


def _fitted(fit: Callable[..., Any], truth: "Floats", prediction: "Floats") -> dict[str, Any]:
    try:
        model = fit(truth, prediction)
    except ContractError as error:  # too few rows, or one class: the gate says more of it than an estimate could
        return {"model": {}, "why_not": str(error)}
    return {"model": model.to_json(), "why_not": ""}


def _report(store: Store, registry: str, asset: tuple[str, str], partition: str | None) -> GateReport | None:
    try:
        found = refs.load(store, registry, asset, partition)
    except ObjectMissing:
        return None
    return found if isinstance(found, GateReport) else None


def learned_from(
    rows: "pl.DataFrame", *, label: str, prediction: str, features: Sequence[str] | None, task: Task, where: str
) -> Learned:
    """Return what labelled rows teach of the model that made their predictions.

    Args:
        rows: Label, prediction and features of each row.
        label: Column of the label; rows without one are left out.
        prediction: Column of the prediction, of the probability of 1 where the task is "binary".
        features: Columns whose range later rows must not leave; None takes all other numbers.
        task: "binary" or "regression".
        where: Where the rows are from, for reasons.

    Raises:
        DeclarationError: If a column is missing.
        ContractError: If a label is none of the task.
    """
    import numpy as np
    import polars as pl

    from quality.metrics import METRICS, row_statistics

    for name in (label, prediction, *(features or ())):
        choose("labelled rows", name, rows.columns)
    known = rows.filter(pl.col(label).is_not_null())
    truth, made = (known[name].cast(pl.Float64).to_numpy() for name in (label, prediction))
    beside = known.drop(label, prediction) if features is None else known.select(features)
    fit = partial(_fitters()[task], features=numeric_columns(beside), clusters=None, seed=0)
    fitted = _fitted(fit, truth, made)
    reference: dict[str, float | None] = {}
    if not fitted["why_not"]:
        for metric in (one for one in METRICS.values() if task in one.tasks):
            sums = {name: np.array([row_statistics(name, truth, made).sum()]) for name in metric.needs}
            value = float(metric.value(sums)[0])
            reference[metric.name] = value if np.isfinite(value) else None
    return Learned(partition=where, task=task, reference=reference, **fitted)
