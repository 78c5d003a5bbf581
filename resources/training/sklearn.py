"""Owns the scikit-learn trainer: estimators of a fixed list, kept as canonical skops files.

Fitting and predicting run on one BLAS thread, whose sums do not depend on the machine's core count.
"""

import importlib
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources.errors import TrainingError
from resources.training.estimators import EPOCHS, Estimator, check_estimator
from resources.training.finite import check_finite
from resources.training.importance import shares
from resources.training.protocol import Parameters, Predictor, Samples, Task, check_label
from resources.training.skops_file import read_skops, write_skops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resources.training.neural.checkpoint import Checkpoints

_TAKES_NAN = ("HistGradientBoosting", "RandomForest")


@dataclass(frozen=True, slots=True)
class ScikitLearn:
    """The trainer `sklearn`; its parameters are the estimator's own, `estimator`, its name, and `epochs` for some."""

    name: str = "sklearn"
    file: str = "model.skops"
    libraries: tuple[str, ...] = ("scikit-learn", "skops", "numpy", "scipy", "polars")

    def check(self, field: str, parameters: Parameters) -> None:
        """Refuse estimators that are not on the list and parameters they do not have."""
        check_estimator(field, parameters)

    def task(self, parameters: Parameters) -> Task:
        """Return what the estimator learns."""
        return check_estimator("parameters", parameters).task

    def user_code(self, parameters: Parameters) -> str:
        """Return an empty text: there is none."""
        return ""

    def fit(
        self, data: Samples, parameters: Parameters, seed: int, *, checkpoints: "Checkpoints | None" = None
    ) -> bytes:
        """Return the fitted estimator as a canonical skops file."""
        estimator = check_estimator("parameters", parameters)
        name = str(parameters["estimator"])
        check_label(data, estimator.task)
        with _same_bits():
            model = _build(estimator, parameters, seed)
            try:
                fitted = _fitted(model, name, data, parameters.get(EPOCHS))
            except (ValueError, TypeError) as error:
                raise TrainingError(f"{name} cannot fit {len(data.label)} rows: {error}; change `parameters`") from None
            return write_skops(fitted)

    def load(self, data: bytes) -> Predictor:
        """Return the estimator of a canonical skops file."""
        with _same_bits():
            return _Estimator(read_skops(data))

    def importance(self, data: bytes, feature_names: tuple[str, ...]) -> dict[str, float]:
        """Return each feature's share of what the estimator itself weighs it by, largest first.

        Impurity decrease for forests, gain of the splits for boosting, absolute coefficient for linear models
        (comparable only where a `standardize` step made the features so).
        """
        with _same_bits():
            return shares(feature_names, _amounts(read_skops(data)))


@dataclass(frozen=True, slots=True)
class _Estimator:
    model: Any  # Any: a scikit-learn estimator, imported late

    def predict(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return the prediction, or the probability of 1, shape ``(rows,)``."""
        import numpy as np

        if not len(matrix):
            return np.empty(0)
        if matrix.shape[1] != self.model.n_features_in_:
            raise TrainingError(f"the model takes {self.model.n_features_in_} features, got {matrix.shape[1]}")
        _check_finite(type(self.model).__name__, matrix, tuple(f"number {place}" for place in range(matrix.shape[1])))
        with _same_bits():
            found = (
                self.model.predict_proba(matrix)[:, 1]
                if hasattr(self.model, "classes_")
                else self.model.predict(matrix)
            )
        return np.asarray(found, dtype=np.float64)


def _build(estimator: Estimator, parameters: Parameters, seed: int) -> Any:  # Any: a scikit-learn estimator
    kind = getattr(importlib.import_module(estimator.module), str(parameters["estimator"]))
    own = {name: value for name, value in sorted(parameters.items()) if name not in ("estimator", EPOCHS)}
    seeded = {"random_state": seed} if "random_state" in kind().get_params() else {}
    return kind(**{**estimator.defaults, **own}, **seeded)


def _fitted(model: Any, name: str, data: Samples, epochs: int | None) -> Any:  # Any: a scikit-learn estimator
    """Return `model` fitted on all rows at once, or batch by batch for a number of epochs."""
    if epochs is None:
        matrix = data.matrix
        _check_finite(name, matrix, data.feature_names)
        return model.fit(matrix, data.label)
    classes = {"classes": [0.0, 1.0]} if check_estimator("parameters", {"estimator": name}).task == "binary" else {}
    for epoch in range(epochs):
        for matrix, label in data.shuffled(epoch):
            _check_finite(name, matrix, data.feature_names)
            model.partial_fit(matrix, label, **classes)
    return model


@contextmanager
def _same_bits() -> Generator[None]:
    from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            warnings.simplefilter("error", InconsistentVersionWarning)
            yield
    except ConvergenceWarning as warning:
        reason = str(warning).strip().partition("\n")[0]
        raise TrainingError(f"did not converge: {reason}; raise max_iter, or add a `standardize` step") from None


def _check_finite(name: str, matrix: "NDArray[np.float64]", feature_names: Sequence[str]) -> None:
    check_finite(name, matrix, feature_names, takes_nan=name.startswith(_TAKES_NAN))


def _amounts(model: Any) -> list[float]:  # Any: a scikit-learn estimator
    import numpy as np

    if hasattr(model, "coef_"):
        return np.abs(np.ravel(model.coef_)).tolist()
    if hasattr(model, "feature_importances_"):
        return model.feature_importances_.tolist()
    gains = np.zeros(model.n_features_in_)
    for trees in model._predictors:  # scikit-learn has no public importance of boosted histograms
        for tree in trees:
            splits = tree.nodes[tree.nodes["is_leaf"] == 0]
            np.add.at(gains, splits["feature_idx"], splits["gain"])
    return gains.tolist()
