"""Owns the measurement of models on the same unseen rows: metrics and paired comparisons with bootstrap intervals.

It judges nothing (`quality.gate` does). Rows of one day err alike, so where clusters are given whole clusters are
resampled: resampling rows would claim intervals that are too narrow. All models, metrics and slices share the
resamples, which makes every comparison a paired one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from quality.bootstrap import (
    Clusters,
    Floats,
    Ints,
    interval,
    jackknife_error,
    resample,
    resampled_units,
    unit_sums,
    widened_tail,
)
from quality.measurements import ALL, OTHER, Comparison, Estimate, Evaluation, SliceMeasurement
from quality.metrics import LABEL_ONLY, Metric, Task, common_task, metric_named, row_statistics
from resources.errors import ContractError, DeclarationError

Mask = NDArray[np.bool_]

CHALLENGER = "challenger"
LARGEST = 1e100
"""Largest label or prediction: its square, summed over any number of rows, is a finite number."""
MIN_UNITS = 6
"""Slices in fewer clusters are not judged: Student's 97.5 % quantile exceeds 2.5 standard errors there."""


def evaluate(
    label: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    *,
    metrics: Sequence[str],
    task: Task | None = None,
    clusters: Clusters | None = None,
    slices: Mapping[str, Mapping[str, Mask]] | None = None,
    min_slice_rows: int = 50,
    seed: int = 0,
    resamples: int = 2_000,
    confidence: float = 0.95,
) -> Evaluation:
    """Measure every model on the same rows, overall and per slice.

    Intervals are percentiles of the bootstrap, widened for few clusters. The same arguments give the same result on
    any machine: sums over resamples are exact, whatever the order of addition.

    Args:
        label: Truth, shape ``(rows,)``; 0 or 1 for a binary task.
        predictions: Model to predictions, shape ``(rows,)``: "challenger" and, where they exist, "champion" and
            "baseline". Probabilities of class 1 for a binary task.
        metrics: Names of metrics, see `quality.metrics.METRICS`.
        task: What the label is; None takes the first task that all metrics score.
        clusters: Cluster of each row, such as its day; None takes rows as independent.
        slices: Slice column to slice value to the mask of its rows.
        min_slice_rows: Slices with fewer rows, or in fewer than `MIN_UNITS` clusters, are pooled into "other".
        seed: Seed of the resamples.
        resamples: Number of resamples.
        confidence: Two-sided confidence of the intervals.

    Raises:
        DeclarationError: If a metric is unknown or does not fit the task, or the challenger is missing.
        ContractError: If a label or a prediction is not finite, out of range, or an array has another length.
    """
    task = task or common_task(metrics)
    chosen = [metric_named(name, task) for name in metrics]
    truth, guesses = _checked(label, predictions, task)
    units, count = resampled_units(clusters, len(truth), seed)
    groups = _groups(slices or {}, units, min_slice_rows)
    columns = _columns(chosen, guesses)
    tables = [unit_sums(_statistics(columns, truth, guesses, group.rows), units[group.rows], count) for group in groups]
    drawn = resample([sums for sums, _ in tables], seed=seed, resamples=resamples)
    measured: list[SliceMeasurement] = []
    for group, (sums, scale), spread in zip(groups, tables, drawn, strict=True):
        # Row 0 holds the rows as they are, the others one resample each.
        whole = sums.sum(axis=0, keepdims=True)
        totals, left_out = np.concatenate([whole, spread]) / scale, (whole - sums[group.units]) / scale
        values, jackknife = (_values(columns, table, chosen, list(guesses)) for table in (totals, left_out))
        measured.append(_measure(group, chosen, values, jackknife, tail=widened_tail(confidence, group.clusters)))
    return Evaluation(
        task=task,
        rows=len(truth),
        clusters=count,
        clustered=clusters is not None,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
        overall=measured[0],
        slices=tuple(measured[1:]),
    )


def slice_masks(values: pl.Series) -> dict[str, Mask]:
    """Return the mask of each distinct value of a slice column, sorted by its text; null is "missing"."""
    text = values.cast(pl.String).fill_null("missing")
    return {value: (text == value).to_numpy() for value in sorted(text.unique().to_list())}


def _checked(label: ArrayLike, predictions: Mapping[str, ArrayLike], task: Task) -> tuple[Floats, dict[str, Floats]]:
    if CHALLENGER not in predictions:
        raise DeclarationError(f"predictions lack 'challenger', they hold {', '.join(predictions) or 'nothing'}")
    truth = _finite("label", label, None)
    guesses = {name: _finite(f"prediction of the {name}", values, len(truth)) for name, values in predictions.items()}
    if task == "binary":
        _refuse("label", truth, (truth != 0) & (truth != 1), "0 or 1")
        for name, values in guesses.items():
            _refuse(f"prediction of the {name}", values, (values < 0) | (values > 1), "a probability from 0 to 1")
    return truth, guesses


def _finite(what: str, values: ArrayLike, rows: int | None) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or (rows is not None and len(array) != rows):
        raise ContractError(f"{what} has shape {array.shape}, expected ({'rows' if rows is None else rows},)")
    expected = f"a number within ±{LARGEST:g}: drop or repair the row before it is judged"
    _refuse(what, array, ~(np.abs(array) <= LARGEST), expected)  # NaN compares as false
    return array


def _refuse(what: str, values: Floats, wrong: Mask, expected: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ContractError(f"{what} in row {row} is {values[row]} ({wrong.sum()} such rows), expected {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Rows that are measured together."""

    column: str
    value: str
    rows: Ints
    units: Ints
    pooled: tuple[str, ...]
    judged: bool

    @property
    def clusters(self) -> int:
        """Number of units that hold rows of the group."""
        return len(self.units)


def _groups(slices: Mapping[str, Mapping[str, Mask]], units: Ints, min_rows: int) -> list[_Group]:
    """Return the group of all rows, then the slices, small ones pooled per column; no row is left out."""
    everything = np.arange(len(units))
    groups = [_group(ALL, ALL, everything, units=units, min_rows=0)]
    for column, values in slices.items():
        alone, small = [], []
        for value, mask in values.items():
            if len(mask) != len(units):
                raise ContractError(f"slice {column}={value} has {len(mask)} rows, the label has {len(units)}")
            group = _group(column, value, np.flatnonzero(mask), units=units, min_rows=min_rows)
            (alone if group.judged else small).append(group)
        covered = np.zeros(len(units), dtype=np.bool_)
        for group in alone:
            covered[group.rows] = True
        groups += alone
        if not covered.all():
            pooled = tuple(group.value for group in small)
            rest = np.flatnonzero(~covered)
            groups.append(_group(column, OTHER, rest, units=units, min_rows=min_rows, pooled=pooled))
    return groups


def _group(column: str, value: str, rows: Ints, *, units: Ints, min_rows: int, pooled: tuple[str, ...] = ()) -> _Group:
    held = np.unique(units[rows])
    judged = len(rows) >= min_rows and len(held) >= MIN_UNITS
    return _Group(column=column, value=value, rows=rows, units=held, pooled=pooled, judged=judged)


Column = tuple[str, str]
"""Model and row statistic; model "" where all models share the statistic."""
Values = Mapping[str, Mapping[str, Floats]]
"""Model to metric to values: over the rows, then over each resample, shape ``(1 + resamples,)``."""


def _columns(metrics: Sequence[Metric], models: Iterable[str]) -> list[Column]:
    needs = dict.fromkeys(name for metric in metrics for name in metric.needs)
    return list(dict.fromkeys(("" if name in LABEL_ONLY else model, name) for model in models for name in needs))


def _statistics(columns: Iterable[Column], truth: Floats, guesses: Mapping[str, Floats], rows: Ints) -> list[Floats]:
    return [row_statistics(name, truth[rows], guesses[model or CHALLENGER][rows]) for model, name in columns]


def _values(columns: Iterable[Column], table: Floats, metrics: Sequence[Metric], models: Iterable[str]) -> Values:
    sums = dict(zip(columns, table.T, strict=True))
    values: dict[str, dict[str, Floats]] = {}
    for model in models:
        own = {name: column for (owner, name), column in sums.items() if owner in ("", model)}
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where a resample holds no row of the group
            values[model] = {metric.name: metric.value(own) for metric in metrics}
    return values


def _measure(
    group: _Group, metrics: Sequence[Metric], values: Values, jackknife: Values, *, tail: float
) -> SliceMeasurement:
    estimates = {model: {m.name: _estimate(by[m.name], tail) for m in metrics} for model, by in values.items()}
    comparisons = {
        model: {m.name: _comparison(_worse(m, values, model), _worse(m, jackknife, model), tail) for m in metrics}
        for model in values
        if model != CHALLENGER
    }
    return SliceMeasurement(
        column=group.column,
        value=group.value,
        rows=len(group.rows),
        clusters=group.clusters,
        pooled=group.pooled,
        judged=group.judged,
        metrics=estimates,
        comparisons=comparisons,
    )


def _estimate(values: Floats, tail: float) -> Estimate:
    low, high = interval(values[1:], tail) or (None, None)
    return Estimate(value=_number(values[0]), low=low, high=high)


def _worse(metric: Metric, values: Values, other: str) -> Floats:
    return metric.harm(values[CHALLENGER][metric.name]) - metric.harm(values[other][metric.name])


def _comparison(worse: Floats, left_out: Floats, tail: float) -> Comparison:
    ends = interval(worse[1:], tail)
    if ends is None:
        return Comparison(worse=_number(worse[0]), low=None, high=None, error=None)
    return Comparison(worse=_number(worse[0]), low=ends[0], high=ends[1], error=_number(jackknife_error(left_out)))


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
