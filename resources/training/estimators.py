"""Owns the table of scikit-learn estimators that may be trained, and the parameters each takes.

The names are scikit-learn's own; a test compares them with the installed library, so that checking a
declaration need not import it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from resources.errors import DeclarationError
from resources.names import name_error
from resources.training.protocol import Task


class Estimator(NamedTuple):
    """One estimator: where it is found, what it learns, what may be declared, and what is set unless it is.

    Those that learn `in_batches` have a `partial_fit`, and may be declared with a number of `epochs`.
    """

    module: str
    task: Task
    parameters: frozenset[str]
    defaults: Mapping[str, Any] = MappingProxyType({})  # Any: scikit-learn's own values
    in_batches: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINEAR = "alpha fit_intercept max_iter positive tol"
_FOREST = """bootstrap ccp_alpha criterion max_depth max_features max_leaf_nodes max_samples min_impurity_decrease
    min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst n_estimators oob_score"""
_BOOSTING = """early_stopping interaction_cst l2_regularization learning_rate loss max_bins max_depth max_features
    max_iter max_leaf_nodes min_samples_leaf monotonic_cst n_iter_no_change scoring tol validation_fraction"""

_DESCENT = """alpha average early_stopping epsilon eta0 fit_intercept l1_ratio learning_rate loss max_iter
    n_iter_no_change power_t shuffle tol validation_fraction"""
_UNTIL_DONE = ("early_stopping", "max_iter", "n_iter_no_change", "tol", "validation_fraction")
EPOCHS = "epochs"
"""Parameter of our own: how many times an estimator goes through the training window, batch by batch."""

ESTIMATORS: Mapping[str, Estimator] = {
    "ElasticNet": Estimator("sklearn.linear_model", "regression", _words(f"{_LINEAR} l1_ratio precompute selection")),
    "HistGradientBoostingClassifier": Estimator("sklearn.ensemble", "binary", _words(f"{_BOOSTING} class_weight")),
    "HistGradientBoostingRegressor": Estimator("sklearn.ensemble", "regression", _words(f"{_BOOSTING} quantile")),
    "Lasso": Estimator("sklearn.linear_model", "regression", _words(f"{_LINEAR} precompute selection")),
    "LinearRegression": Estimator("sklearn.linear_model", "regression", _words("fit_intercept positive tol")),
    "LogisticRegression": Estimator(
        "sklearn.linear_model",
        "binary",
        _words("C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter solver tol"),
    ),
    "RandomForestClassifier": Estimator("sklearn.ensemble", "binary", _words(f"{_FOREST} class_weight")),
    "RandomForestRegressor": Estimator("sklearn.ensemble", "regression", _words(_FOREST)),
    "SGDClassifier": Estimator(
        "sklearn.linear_model", "binary", _words(f"{_DESCENT} class_weight"), {"loss": "log_loss"}, in_batches=True
    ),
    "SGDRegressor": Estimator("sklearn.linear_model", "regression", _words(_DESCENT), in_batches=True),
    "Ridge": Estimator("sklearn.linear_model", "regression", _words(f"{_LINEAR} solver")),
}

REFUSED: Mapping[str, str] = {
    "random_state": "the stage's own `seed` sets it",
    "n_jobs": "one thread gives the same bits on every machine",
    "verbose": "training is silent",
    "warm_start": "a model is always trained from nothing",
    "copy_X": "it decides no result",
    "penalty": "scikit-learn is removing it: use `C` and `l1_ratio`",
    "categorical_features": "an `onehot` step says it",
}


def check_estimator(field: str, parameters: Mapping[str, Any]) -> Estimator:
    """Return the estimator that ``parameters["estimator"]`` names.

    Raises:
        DeclarationError: If there is none, or a parameter is not one of its own.
    """
    name = parameters.get("estimator")
    if name is None:
        raise DeclarationError(f"{field}.estimator: required, one of {', '.join(ESTIMATORS)}")
    if name not in ESTIMATORS:
        raise name_error(f"{field}.estimator", "estimator", str(name), ESTIMATORS)
    estimator = ESTIMATORS[str(name)]
    _check_epochs(field, str(name), parameters)
    if name == "SGDClassifier" and parameters.get("loss", "log_loss") != "log_loss":
        raise DeclarationError(
            f"{field}.loss: {parameters['loss']!r} gives no probability, which a binary model predicts: remove it"
        )
    for given in sorted(set(parameters) - {"estimator", EPOCHS}):
        if given in REFUSED:
            raise DeclarationError(f"{field}.{given}: cannot be set, {REFUSED[given]}: remove it")
        if given not in estimator.parameters:
            raise name_error(field, f"parameter of {name}", given, estimator.parameters)
    return estimator


def _check_epochs(field: str, name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a number of epochs that is none, or that the estimator cannot be trained for."""
    if EPOCHS not in parameters:
        return
    if not ESTIMATORS[name].in_batches:
        able = ", ".join(one for one, found in sorted(ESTIMATORS.items()) if found.in_batches)
        raise DeclarationError(
            f"{field}.{EPOCHS}: {name} learns from all rows at once: remove it, or choose one of {able}"
        )
    epochs = parameters[EPOCHS]
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise DeclarationError(f"{field}.{EPOCHS}: must be a whole number of at least 1, got {epochs!r}")
    for other in _UNTIL_DONE:
        if other in parameters:
            raise DeclarationError(f"{field}.{other}: {EPOCHS} says when training ends: keep one of them")
