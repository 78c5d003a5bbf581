"""Owns the table of scikit-learn estimators that may be trained, and the parameters each takes.

The names are scikit-learn's own; a test compares them with the installed library, so that checking a
declaration need not import it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from resources.errors import DeclarationError
from resources.names import name_error
from resources.training.protocol import Task


class Estimator(NamedTuple):
    """One estimator: where it is found, what it learns, what may be declared."""

    module: str
    task: Task
    parameters: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINEAR = "alpha fit_intercept max_iter positive tol"
_FOREST = """bootstrap ccp_alpha criterion max_depth max_features max_leaf_nodes max_samples min_impurity_decrease
    min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst n_estimators oob_score"""
_BOOSTING = """early_stopping interaction_cst l2_regularization learning_rate loss max_bins max_depth max_features
    max_iter max_leaf_nodes min_samples_leaf monotonic_cst n_iter_no_change scoring tol validation_fraction"""

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
    for given in sorted(set(parameters) - {"estimator"}):
        if given in REFUSED:
            raise DeclarationError(f"{field}.{given}: cannot be set, {REFUSED[given]}: remove it")
        if given not in estimator.parameters:
            raise name_error(field, f"parameter of {name}", given, estimator.parameters)
    return estimator
