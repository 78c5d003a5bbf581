"""Owns what is expected of a classifier before labels come: confidence-based estimation with intervals.

Where a probability p is true, a row predicted as 1 is right with probability p (NannyML's CBPE; Kivimaki et al., 2025,
for its properties). The probabilities are recalibrated on labelled rows first. The interval holds both uncertainties:
that of the map, and the chance of the labels themselves, drawn together.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality import wording
from quality.bootstrap import Clusters, cluster_codes
from quality.label_free.calibration import Calibration, calibration, checked, checked_probabilities
from quality.label_free.expectation import MIN_ROWS, Expectation, check_share, rounded
from quality.label_free.ranges import TOLERATED, Ranges, beside
from quality.label_free.recalibration import Recalibration, basis, fit_recalibration, logistic
from quality.measurements import Estimate
from resources.errors import ContractError

Floats = NDArray[np.float64]
METRICS = ("accuracy", "precision", "recall", "f1", "auc", "brier", "log_loss", "bias")
THRESHOLD = 0.5
DRAWS = 1_000
GROUPS = 200
"""Rows of about the same probability are drawn together."""
FOLDS = 5
BROKEN = 0.02
"""Calibration error after recalibration from which, if it is certain, nothing is said."""
_FLOOR = 1e-15  # of quality.metrics' log loss


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierModel:
    """What is known of a classifier from labelled rows.

    Attributes:
        recalibration: Map to true probabilities.
        calibration: Of the probabilities as they are.
        ranges: Of the probabilities and features of the labelled rows.
        broken: Why no map makes the probabilities true, or empty.
    """

    recalibration: Recalibration
    calibration: Calibration
    ranges: Ranges
    broken: str = ""

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the model as a JSON value."""
        return {"task": "binary", **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ClassifierModel":  # Any: JSON values
        """Return the model that `to_json` wrote."""
        kept = value["recalibration"]
        return cls(
            recalibration=Recalibration(
                coefficients=tuple(kept["coefficients"]),
                covariance=tuple(tuple(row) for row in kept["covariance"]),
                dispersion=kept["dispersion"],
                clusters=kept.get("clusters", 0),
            ),
            calibration=Calibration.from_json(value["calibration"]),
            ranges=Ranges.from_json(value["ranges"]),
            broken=value["broken"],
        )


def fit_classifier(
    labels: Floats,
    probabilities: Floats,
    *,
    features: Mapping[str, Floats] | None = None,
    clusters: Clusters | None = None,
    seed: int = 0,
) -> ClassifierModel:
    """Learn from labelled rows what probabilities are worth.

    Args:
        labels: 0 or 1, shape ``(rows,)``.
        probabilities: Of 1, shape ``(rows,)``.
        features: Columns whose range unlabelled rows must not leave, each of shape ``(rows,)``.
        clusters: Rows that err alike, such as those of a day.
        seed: Of the folds.

    Raises:
        ContractError: If there are fewer than 100 rows, labels of one class, or impossible values.
    """
    label, probability = checked(labels, probabilities)
    if len(label) < MIN_ROWS:
        raise ContractError(f"{len(label)} labelled rows calibrate nothing: {MIN_ROWS} are needed")
    found = fit_recalibration(label, probability, clusters=clusters)
    return ClassifierModel(
        recalibration=Recalibration(
            coefficients=tuple(rounded(found.coefficients)),
            covariance=tuple(tuple(rounded(row)) for row in found.covariance),
            dispersion=rounded(found.dispersion),
            clusters=found.clusters,
        ),
        calibration=calibration(label, probability, clusters=clusters),
        ranges=Ranges.of(_columns(probability, features)),
        broken=_broken(label, probability, clusters, seed),
    )


def expect_classifier(
    model: ClassifierModel,
    probabilities: Floats,
    *,
    features: Mapping[str, Floats] | None = None,
    threshold: float = THRESHOLD,
    confidence: float = 0.95,
    tolerated: float = TOLERATED,
    seed: int = 0,
) -> Expectation:
    """Return the metrics that rows without labels will have once labels come.

    Args:
        model: What labelled rows taught.
        probabilities: Of 1, as the classifier gives them, shape ``(rows,)``.
        features: The columns that `fit_classifier` was given.
        threshold: Probability from which a row is predicted as 1.
        confidence: Two-sided confidence of the intervals.
        tolerated: Share of rows that may leave the range of the labelled ones; 1 where `experience` judges that.
        seed: Of the draws.

    Raises:
        ContractError: If there are no rows, a probability is impossible, or a column is missing.
        DeclarationError: If threshold or confidence is no share.
    """
    check_share("threshold", threshold, ends=True)
    check_share("confidence", confidence)
    probability = checked_probabilities(probabilities)
    outside, told = model.ranges.outside(_columns(probability, features))
    reason = _why_not(model, len(probability), told if outside > tolerated else "", outside)
    if reason:
        return Expectation(rows=len(probability), confidence=confidence, abstains=reason, outside=outside, leaving=told)
    groups = _Groups.of(probability, threshold)
    value = groups.metrics(groups.rows * logistic(groups.basis @ np.array(model.recalibration.coefficients))[None, :])
    drawn = groups.metrics(_drawn(model.recalibration, groups, seed))
    tail = (1 - confidence) / 2
    metrics = {name: _estimate(float(value[name][0]), drawn[name], tail) for name in METRICS}
    return Expectation(rows=len(probability), metrics=metrics, confidence=confidence, outside=outside, leaving=told)


def _columns(probability: Floats, features: Mapping[str, Floats] | None) -> dict[str, Floats]:
    return beside("the probability", probability, features)


def _why_not(model: ClassifierModel, rows: int, leaving: str, outside: float) -> str:
    if model.broken:
        return model.broken
    if rows < MIN_ROWS:
        return f"{wording.count(rows, 'row')}, {MIN_ROWS} are needed: wait for more"
    if leaving:
        return f"{outside:.1%} of the rows leave the range of the labelled ones ({leaving}): label some of them"
    return ""


def _broken(label: Floats, probability: Floats, clusters: Clusters | None, seed: int) -> str:
    """Return why recalibration fails on rows that it has not seen, or an empty text."""
    codes = np.arange(len(label)) if clusters is None else cluster_codes(clusters, len(label))
    folds = (np.random.default_rng(seed).permutation(int(codes.max()) + 1) % FOLDS)[codes]
    mapped = probability.copy()
    for fold in range(FOLDS):
        inside = folds == fold
        rest = label[~inside]
        if not inside.any() or not len(rest) or rest.min() == rest.max():
            continue
        mapped[inside] = fit_recalibration(rest, probability[~inside]).apply(probability[inside])
    left = calibration(label, mapped, clusters=clusters)
    if left.ace_low <= BROKEN:
        return ""
    return (
        f"recalibrated probabilities are still off by {left.ace:.3f} (at least {left.ace_low:.3f}, {BROKEN:g} "
        "tolerated): look at the reliability diagram, train the model again"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """Rows of about the same probability, ascending; all of shape ``(groups,)`` but `basis`, ``(groups, 3)``."""

    rows: Floats
    basis: Floats
    chosen: NDArray[np.bool_]
    mean: Floats
    square: Floats
    log_one: Floats
    log_zero: Floats

    @classmethod
    def of(cls, probability: Floats, threshold: float) -> "_Groups":
        ordered = np.sort(probability)
        codes = np.arange(len(ordered)) * GROUPS // len(ordered)
        # No group holds rows of both sides of the threshold.
        codes = np.unique(2 * codes + (ordered >= threshold), return_inverse=True)[1]
        rows = np.bincount(codes).astype(np.float64)

        def mean(values: Floats) -> Floats:
            return np.bincount(codes, weights=values) / rows

        made = basis(ordered)
        return cls(
            rows=rows,
            basis=np.stack([mean(column) for column in made.T], axis=1),
            chosen=mean(ordered) >= threshold,
            mean=mean(ordered),
            square=mean(ordered**2),
            log_one=mean(np.log(np.maximum(ordered, _FLOOR))),
            log_zero=mean(np.log(np.maximum(1 - ordered, _FLOOR))),
        )

    def metrics(self, ones: Floats) -> dict[str, Floats]:
        """Return each metric for numbers of ones of each group, shape ``(draws, groups)``; NaN where undefined."""
        zeros, total = self.rows - ones, self.rows.sum()
        hits, found = ones[:, self.chosen].sum(axis=1), float(self.rows[self.chosen].sum())
        every, rejected = ones.sum(axis=1), zeros[:, ~self.chosen].sum(axis=1)
        below = np.cumsum(zeros, axis=1) - zeros / 2
        return {
            "accuracy": (hits + rejected) / total,
            "precision": hits / (found or np.nan),
            "recall": hits / np.where(every > 0, every, np.nan),
            "f1": 2 * hits / np.where(found + every > 0, found + every, np.nan),
            "auc": (ones * below).sum(axis=1) / np.where(every * (total - every) > 0, every * (total - every), np.nan),
            "brier": ((self.rows * self.square).sum() + (ones * (1 - 2 * self.mean)).sum(axis=1)) / total,
            "log_loss": -((ones * self.log_one).sum(axis=1) + (zeros * self.log_zero).sum(axis=1)) / total,
            "bias": ((self.rows * self.mean).sum() - every) / total,
        }


def _drawn(model: Recalibration, groups: _Groups, seed: int) -> Floats:
    """Return draws of the number of ones of each group: of the map by its covariance, of labels by their chance."""
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(np.array(model.covariance))
    root = vectors * np.sqrt(np.maximum(values, 0))
    coefficients = np.array(model.coefficients) + rng.standard_normal((DRAWS, 3)) @ root.T
    probability = logistic(coefficients @ groups.basis.T)
    if model.dispersion == 1:
        return rng.binomial(groups.rows.astype(np.int64), probability).astype(np.float64)
    spread = np.sqrt(model.dispersion * groups.rows * probability * (1 - probability))
    return np.clip(groups.rows * probability + spread * rng.standard_normal(probability.shape), 0, groups.rows)


def _estimate(value: float, drawn: Floats, tail: float) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or len(known) < 0.95 * len(drawn):
        return Estimate(value=None, low=None, high=None)
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(value=rounded(value), low=rounded(float(low)), high=rounded(float(high)))
