"""Owns what is expected of a regressor before labels come: direct loss estimation with intervals.

Absolute and squared errors of labelled rows are explained by the features and the prediction (NannyML's DLE): a
quasi-Poisson model with logarithmic link (McCullagh and Nelder, 1989), piecewise linear in each column, whose means are
those observed around every knot. It is fitted ten times more, each time without a tenth of the rows: those tell how far
off it is where it has not looked, and the ten fits how sure it is of itself (delete-group jackknife: Kott, 2001).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality import wording
from quality.bootstrap import Clusters, cluster_codes
from quality.distributions import NORMAL, student_quantile
from quality.label_free.expectation import MIN_ROWS, Expectation, as_numbers, check_share, rounded
from quality.label_free.ranges import TOLERATED, Ranges, beside
from quality.measurements import Estimate
from resources.errors import ContractError

Floats = NDArray[np.float64]
PREDICTION = "the prediction"
KNOTS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Quantiles of a column at which the logarithm of the loss may bend; as many distinct values are knots themselves."""
FOLDS = 10
MOST_ROWS = 20_000
"""Labelled rows past this many are left out evenly: the loss of a batch is not known better for more of them."""
RIDGE = 1.0
_STEPS = 30
_LARGEST = 1e100
_NARROW = 1e-290
"""Knots nearer to each other than this have no finite slope between them."""
LOSSES = {"mae": 1, "rmse": 2}
"""Metric to the power of the absolute error of which it is a mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The model of one loss.

    Attributes:
        scale: Mean loss of the labelled rows; the coefficients are about shares of it.
        coefficients: Of all rows first, then of the fits that left out a fold each.
        variance: Mean squared error of an unseen row's loss over the mean squared expected loss.
        design: How much more the mean loss of a batch scatters than that of independent rows; 1 or more.
    """

    scale: float
    coefficients: tuple[tuple[float, ...], ...]
    variance: float
    design: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressorModel:
    """What is known of a regressor from labelled rows.

    Attributes:
        knots: Column to its knots; missing values have a coefficient of their own.
        losses: Metric to the model of its loss.
        ranges: Of prediction and features of the labelled rows.
        rows: Labelled rows.
    """

    knots: Mapping[str, tuple[float, ...]]
    losses: Mapping[str, Loss]
    ranges: Ranges
    rows: int

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the model as a JSON value."""
        return {"task": "regression", **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RegressorModel":  # Any: JSON values
        """Return the model that `to_json` wrote."""
        losses = {name: _parsed(item) for name, item in value["losses"].items()}
        knots = {name: tuple(found) for name, found in value["knots"].items()}
        return cls(knots=knots, losses=losses, ranges=Ranges.from_json(value["ranges"]), rows=value["rows"])


def _parsed(value: Mapping[str, Any]) -> Loss:  # Any: JSON values
    fields: dict[str, Any] = dict(value)
    fields["coefficients"] = tuple(tuple(row) for row in value["coefficients"])
    return Loss(**fields)


def fit_regressor(
    labels: Floats,
    predictions: Floats,
    *,
    features: Mapping[str, Floats] | None = None,
    clusters: Clusters | None = None,
    seed: int = 0,
) -> RegressorModel:
    """Learn from labelled rows where the regressor errs, and how much.

    Args:
        labels: Shape ``(rows,)``.
        predictions: Shape ``(rows,)``.
        features: Columns that may tell where it errs, each of shape ``(rows,)``; NaN is missing.
        clusters: Rows that err alike, such as those of a day; folds hold whole clusters.
        seed: Of the folds.

    Raises:
        ContractError: If there are fewer than 100 rows, lengths differ, or a label or prediction is not finite.
    """
    label, prediction = as_numbers("labels", labels), _checked(predictions)
    if label.shape != prediction.shape:
        raise ContractError(f"{label.size} labels for {prediction.size} predictions: give one a row")
    if not np.isfinite(label).all():
        raise ContractError(f"label {label[~np.isfinite(label)][0]} is no number: drop rows whose label is unknown")
    if len(label) < MIN_ROWS:
        raise ContractError(f"{len(label)} labelled rows tell nothing of the loss: {MIN_ROWS} are needed")
    if max(abs(label).max(), abs(prediction).max()) > _LARGEST:
        raise ContractError(f"labels or predictions beyond {_LARGEST:g} have errors without squares: scale them")
    codes = np.arange(len(label)) if clusters is None else cluster_codes(clusters, len(label))
    columns = _columns(prediction, features)
    kept = slice(None, None, max(1, len(label) // MOST_ROWS))
    taken = {name: values[kept] for name, values in columns.items()}
    knots = {name: _knots(values) for name, values in taken.items()}
    error = abs(label - prediction)[kept]
    design = _design(taken, knots)
    losses = {name: _loss(error**power, design, codes[kept], seed) for name, power in LOSSES.items()}
    return RegressorModel(knots=knots, losses=losses, ranges=Ranges.of(columns), rows=len(label))


def expect_regressor(
    model: RegressorModel,
    predictions: Floats,
    *,
    features: Mapping[str, Floats] | None = None,
    confidence: float = 0.95,
    tolerated: float = TOLERATED,
) -> Expectation:
    """Return the MAE and RMSE that rows without labels will have once labels come.

    Args:
        model: What labelled rows taught.
        predictions: Shape ``(rows,)``.
        features: The columns that `fit_regressor` was given.
        confidence: Two-sided confidence of the intervals.
        tolerated: Share of rows that may leave the range of the labelled ones; 1 where `experience` judges that.

    Raises:
        ContractError: If there are no rows, a prediction is not finite, or a column is missing.
        DeclarationError: If the confidence is no share.
    """
    check_share("confidence", confidence)
    prediction = _checked(predictions)
    columns = _columns(prediction, features)
    outside, told = model.ranges.outside(columns)
    reason = ""
    if len(prediction) < MIN_ROWS:
        reason = f"{wording.count(len(prediction), 'row')}, {MIN_ROWS} are needed: wait for more"
    elif outside > tolerated:
        reason = f"{outside:.1%} of the rows leave the range of the labelled ones ({told}): label some of them"
    if reason:
        return Expectation(rows=len(prediction), confidence=confidence, abstains=reason, outside=outside, leaving=told)
    design = _design(columns, model.knots)
    metrics = {name: _expected(loss, design, LOSSES[name], confidence) for name, loss in model.losses.items()}
    return Expectation(rows=len(prediction), metrics=metrics, confidence=confidence, outside=outside, leaving=told)


def _checked(predictions: Sequence[float] | Floats) -> Floats:
    found = as_numbers("predictions", predictions)
    if found.ndim != 1 or not found.size:
        raise ContractError(f"predictions have shape {found.shape}: give at least one row")
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        raise ContractError(
            f"prediction {found[wrong[0]]} in row {wrong[0]} ({len(wrong):,} of {found.size:,} rows) is not finite"
        )
    return found


def _columns(prediction: Floats, features: Mapping[str, Floats] | None) -> dict[str, Floats]:
    return beside(PREDICTION, prediction, features)


def _knots(values: Floats) -> tuple[float, ...]:
    known = np.unique(values[np.isfinite(values)])
    chosen = known if len(known) <= len(KNOTS) else np.quantile(values[np.isfinite(values)], KNOTS)
    knots = np.unique(rounded(chosen.tolist()))
    return tuple(knots[np.diff(knots, prepend=-np.inf) > _NARROW].tolist())


def _design(columns: Mapping[str, Floats], knots: Mapping[str, tuple[float, ...]]) -> Floats:
    """Return the terms of the logarithm of each row's loss, shape ``(rows, terms)``.

    They are a constant, and for each column its linear splines, 1 at their own knot, and whether it is missing. Past
    the outermost knots a value counts as the knot.
    """
    found = [np.ones((len(columns[PREDICTION]), 1))]
    for name, at in knots.items():
        values = columns[name]
        known = np.isfinite(values)
        if at:
            inner = np.where(known, values, at[0])
            hats = [np.interp(inner, at, row) for row in np.eye(len(at))]
            found.append(np.stack(hats, axis=1) * known[:, None])
        found.append((~known)[:, None].astype(np.float64))
    return np.concatenate(found, axis=1)


def _loss(loss: Floats, design: Floats, codes: NDArray[np.int64], seed: int) -> Loss:
    scale = float(loss.mean())
    shares = loss / (scale or 1.0)
    units = np.unique(codes, return_inverse=True)[1]
    count = int(units.max()) + 1
    folds = (np.random.default_rng(seed).permutation(count) % min(FOLDS, count))[units]
    whole = _fitted(shares, design, np.zeros(design.shape[1]))
    fits = [_fitted(shares[folds != fold], design[folds != fold], whole) for fold in range(int(folds.max()) + 1)]
    unseen = np.exp((design * np.stack(fits)[folds]).sum(axis=1))
    left = shares - unseen
    squares = float((left**2).sum())
    together = float((np.bincount(units, weights=left) ** 2).sum())
    return Loss(
        scale=rounded(scale),
        coefficients=tuple(tuple(rounded(fit.tolist())) for fit in (whole, *fits)),
        variance=rounded(squares / float((unseen**2).sum())),
        design=rounded(max(1.0, together / squares)) if squares and count < len(loss) else 1.0,
    )


def _fitted(shares: Floats, design: Floats, start: Floats) -> Floats:
    """Return the coefficients of the quasi-Poisson model with logarithmic link, by Newton's method with a ridge."""
    weights = start.copy()
    ridge = np.full(len(weights), RIDGE)
    ridge[0] = 1e-9
    for _ in range(_STEPS):
        expected = np.exp(np.clip(design @ weights, -30, 30))
        gradient = design.T @ (shares - expected) - ridge * weights
        step = np.linalg.solve((design * expected[:, None]).T @ design + np.diag(ridge), gradient)
        weights = weights + step * min(1.0, 1.0 / max(1e-12, float(abs(step).max())))
        if abs(step).max() < 1e-6:
            break
    return weights


def _expected(loss: Loss, design: Floats, power: int, confidence: float) -> Estimate:
    """Return the mean loss with the interval of the batch's own mean: chance of the rows, and of the model."""
    coefficients = np.array(loss.coefficients)
    shares = np.exp(design @ coefficients[0])
    rows = len(shares)
    chance = loss.design * loss.variance * float((shares**2).sum()) / rows**2
    means = np.array([float(np.exp(design @ fit).mean()) for fit in coefficients[1:]])
    groups = len(means)
    doubt = (groups - 1) / groups * float(((means - means.mean()) ** 2).sum())
    tail = (1 - confidence) / 2
    half = (NORMAL.inv_cdf(1 - tail) ** 2 * chance + student_quantile(tail, groups - 1) ** 2 * doubt) ** 0.5
    # On the logarithmic scale: a mean of losses is skewed, and never below 0.
    centre = float(shares.mean())
    ends = [loss.scale * centre * factor for factor in (1.0, np.exp(-half / centre), np.exp(half / centre))]
    value, low, high = (float(end) ** (1 / power) for end in ends)
    return Estimate(value=rounded(value), low=rounded(low), high=rounded(high))
