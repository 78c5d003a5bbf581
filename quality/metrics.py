"""Owns the table of metrics: which sums over rows each needs, and its value from those sums.

Every metric is a smooth function of sums over rows, so that a bootstrap needs only the sums of each
cluster and never touches the rows again. It resamples nothing (`quality.evaluation` does).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from resources.errors import DeclarationError
from resources.names import unknown_name

if TYPE_CHECKING:  # numpy costs 0.1 CPU s, which a declaration need not pay
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Sums = Mapping[str, Floats]

Task = Literal["regression", "binary"]
TASKS: tuple[Task, ...] = ("regression", "binary")
Better = Literal["lower", "higher", "zero"]

LOG_LOSS_FLOOR = 1e-15
"""Smallest probability of the true class in the log loss: a sure but wrong answer costs 34.5 nats, not infinity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One way to score predictions.

    Attributes:
        name: Name in a declaration.
        title: Name in a picture and in a reason.
        tasks: Tasks it scores.
        better: Whether lower or higher values, or values near zero, are better.
        in_label_units: Whether its unit is that of the label; otherwise it has none.
        needs: Names of the row statistics whose sums it needs, see `row_statistics`.
        value: Metric from those sums, elementwise over resamples; NaN where it is undefined.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    better: Better
    in_label_units: bool
    needs: tuple[str, ...]
    value: "Callable[[Sums], Floats]"

    def harm(self, value: "Floats") -> "Floats":
        """Return `value` turned so that more is worse."""
        return abs(value) if self.better == "zero" else (-value if self.better == "higher" else value)


def metric_named(name: str, task: Task | None = None) -> Metric:
    """Return the metric called `name`.

    Raises:
        DeclarationError: If there is no such metric, or it does not score `task`.
    """
    allowed = [m.name for m in METRICS.values() if task is None or task in m.tasks]
    if name not in allowed:
        raise DeclarationError(unknown_name(f"{task} metric" if task else "metric", name, allowed))
    return METRICS[name]


def common_task(names: Iterable[str]) -> Task:
    """Return the first task that all metrics called `names` score.

    Raises:
        DeclarationError: If there is none, or a metric is unknown.
    """
    metrics = [metric_named(name) for name in names]
    for task in TASKS:
        if all(task in metric.tasks for metric in metrics):
            return task
    told = ", ".join(f"{metric.name} ({' or '.join(metric.tasks)})" for metric in metrics)
    raise DeclarationError(f"metrics of different tasks: {told}; choose those of one task")


def row_statistics(name: str, label: "Floats", prediction: "Floats") -> "Floats":
    """Return the statistic `name` of each row, shape ``(rows,)``."""
    return _STATISTICS[name](label, prediction)


LABEL_ONLY = frozenset({"rows", "label", "label_squared", "label_absolute", "positives", "negatives"})
"""Statistics that do not depend on the prediction, so that all models share them."""


def _rows(label: "Floats", _: "Floats") -> "Floats":
    return label * 0 + 1


def _centred(label: "Floats", _: "Floats") -> "Floats":
    # The variance does not depend on the origin; near the mean no digits cancel.
    return label - (label.mean() if len(label) else 0.0)


def _log_loss(label: "Floats", prediction: "Floats") -> "Floats":
    import numpy as np

    true_class = np.where(label == 1, prediction, 1 - prediction)
    return -np.log(np.maximum(true_class, LOG_LOSS_FLOOR))


def _correct(label: "Floats", prediction: "Floats") -> "Floats":
    return ((prediction >= 0.5) == (label == 1)).astype(float)


def _rank_shares(label: "Floats", prediction: "Floats") -> "Floats":
    """Return for each row the share of the other class that it ranks rightly against; ties count one half."""
    import numpy as np

    order = np.argsort(prediction, kind="stable")
    ranked, is_positive = prediction[order], label[order] == 1  # searched in order, millions of rows stay in the caches
    positive, negative = ranked[is_positive], ranked[~is_positive]
    if not len(positive) or not len(negative):
        return np.zeros(len(label))

    def below(others: "Floats") -> "Floats":
        return (np.searchsorted(others, ranked, "left") + np.searchsorted(others, ranked, "right")) / 2

    shares = np.empty(len(label))
    shares[order] = np.where(is_positive, below(negative) / len(negative), 1 - below(positive) / len(positive))
    return shares


def _area(label: "Floats", prediction: "Floats") -> "Floats":
    """Return for each row the exact area under the ROC curve (Mann and Whitney, 1947)."""
    positive = label == 1
    shares = _rank_shares(label, prediction)
    return shares * 0 + (shares[positive].mean() if positive.any() else 0.0)


_STATISTICS: "Mapping[str, Callable[[Floats, Floats], Floats]]" = {
    "rows": _rows,
    "label": _centred,
    "label_squared": lambda y, p: _centred(y, p) ** 2,
    "label_absolute": lambda y, _: abs(y),
    "error": lambda y, p: p - y,
    "absolute_error": lambda y, p: abs(p - y),
    "squared_error": lambda y, p: (p - y) ** 2,
    "log_loss": _log_loss,
    "correct": _correct,
    "positives": lambda y, _: (y == 1).astype(float),
    "negatives": lambda y, _: (y != 1).astype(float),
    "positive_shares": lambda y, p: _rank_shares(y, p) * (y == 1),
    "negative_shares": lambda y, p: _rank_shares(y, p) * (y != 1),
    "area": _area,
}


def _mean(name: str) -> "Callable[[Sums], Floats]":
    return lambda sums: sums[name] / sums["rows"]


def _rmse(s: "Sums") -> "Floats":
    import numpy as np

    return np.sqrt(s["squared_error"] / s["rows"])


def _r2(s: "Sums") -> "Floats":
    """Return 1 - residual / total sum of squares, undefined where the label is constant."""
    import numpy as np

    total = s["label_squared"] - s["label"] ** 2 / s["rows"]
    # A constant label leaves a total of rounding noise only.
    return 1 - s["squared_error"] / np.where(total > 1e-9 * s["label_squared"], total, np.nan)


def _wape(s: "Sums") -> "Floats":
    """Return the sum of absolute errors over that of labels, undefined where every label is 0."""
    import numpy as np

    return s["absolute_error"] / np.where(s["label_absolute"] > 0, s["label_absolute"], np.nan)


def _auc(s: "Sums") -> "Floats":
    """Return the area under the ROC curve.

    Over the rows as they are, all three terms are the exact area. Over a resample the sum is the first-order
    projection of DeLong et al. (1988), which Obuchowski (1997) clusters: it leaves out a term of the order
    1 / min(positives, negatives), against a standard error of the order of the square root of that.
    """
    return s["positive_shares"] / s["positives"] + s["negative_shares"] / s["negatives"] - s["area"] / s["rows"]


_REGRESSION: tuple[Task, ...] = ("regression",)
_BINARY: tuple[Task, ...] = ("binary",)
_TABLE: "tuple[tuple[str, str, tuple[Task, ...], Better, bool, tuple[str, ...], Callable[[Sums], Floats]], ...]" = (
    ("mae", "MAE", _REGRESSION, "lower", True, ("rows", "absolute_error"), _mean("absolute_error")),
    ("rmse", "RMSE", _REGRESSION, "lower", True, ("rows", "squared_error"), _rmse),
    ("bias", "bias", _REGRESSION + _BINARY, "zero", True, ("rows", "error"), _mean("error")),
    ("r2", "R²", _REGRESSION, "higher", False, ("rows", "label", "label_squared", "squared_error"), _r2),
    (
        "wape",
        "WAPE",
        _REGRESSION,
        "lower",
        False,
        ("absolute_error", "label_absolute"),
        _wape,
    ),
    ("log_loss", "log loss", _BINARY, "lower", False, ("rows", "log_loss"), _mean("log_loss")),
    ("brier", "Brier score", _BINARY, "lower", False, ("rows", "squared_error"), _mean("squared_error")),
    ("accuracy", "accuracy", _BINARY, "higher", False, ("rows", "correct"), _mean("correct")),
    (
        "auc",
        "AUC",
        _BINARY,
        "higher",
        False,
        ("rows", "positives", "negatives", "positive_shares", "negative_shares", "area"),
        _auc,
    ),
)
METRICS: dict[str, Metric] = {
    name: Metric(name=name, title=title, tasks=tasks, better=better, in_label_units=units, needs=needs, value=value)
    for name, title, tasks, better, units, needs, value in _TABLE
}
"""Name to metric. Bias is the mean of prediction - label, WAPE the sum of absolute errors over that of labels."""
