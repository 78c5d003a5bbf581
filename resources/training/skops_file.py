"""Owns the safe file of a scikit-learn model: skops' own format, in one canonical form, of types on our list only.

skops writes memory addresses, clock times and the uninitialised padding of structured arrays; the canonical form
has none of them, so equal models are equal bytes. It fits no model.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from resources.errors import TrainingError

SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_HGB = "sklearn.ensemble._hist_gradient_boosting"
TRUSTED_TYPES = frozenset(
    {
        "builtins.dict DictNode",
        "builtins.float TypeNode",
        "builtins.int TypeNode",
        "builtins.list ListNode",
        "builtins.str JsonNode",
        "builtins.str TypeNode",
        "builtins.tuple TupleNode",
        "numpy.bool NdArrayNode",
        "numpy.float64 NdArrayNode",
        "numpy.int64 NdArrayNode",
        "numpy.ndarray NdArrayNode",
        "numpy.random._generator.Generator RandomGeneratorNode",
        "numpy.uint32 NdArrayNode",
        "numpy.uint64 NdArrayNode",
        "sklearn._loss._loss.CyAbsoluteError LossNode",
        "sklearn._loss._loss.CyHalfBinomialLoss LossNode",
        "sklearn._loss._loss.CyHalfGammaLoss LossNode",
        "sklearn._loss._loss.CyHalfPoissonLoss LossNode",
        "sklearn._loss._loss.CyHalfSquaredError LossNode",
        "sklearn._loss._loss.CyPinballLoss LossNode",
        "sklearn._loss.link.IdentityLink ObjectNode",
        "sklearn._loss.link.Interval ObjectNode",
        "sklearn._loss.link.LogLink ObjectNode",
        "sklearn._loss.link.LogitLink ObjectNode",
        "sklearn._loss.loss.AbsoluteError ObjectNode",
        "sklearn._loss.loss.HalfBinomialLoss ObjectNode",
        "sklearn._loss.loss.HalfGammaLoss ObjectNode",
        "sklearn._loss.loss.HalfPoissonLoss ObjectNode",
        "sklearn._loss.loss.HalfSquaredError ObjectNode",
        "sklearn._loss.loss.PinballLoss ObjectNode",
        "sklearn.ensemble._forest.RandomForestClassifier ObjectNode",
        "sklearn.ensemble._forest.RandomForestRegressor ObjectNode",
        f"{_HGB}.binning._BinMapper ObjectNode",
        f"{_HGB}.gradient_boosting.HistGradientBoostingClassifier ObjectNode",
        f"{_HGB}.gradient_boosting.HistGradientBoostingRegressor ObjectNode",
        f"{_HGB}.predictor.TreePredictor ObjectNode",
        "sklearn.linear_model._base.LinearRegression ObjectNode",
        "sklearn.linear_model._coordinate_descent.ElasticNet ObjectNode",
        "sklearn.linear_model._coordinate_descent.Lasso ObjectNode",
        "sklearn.linear_model._logistic.LogisticRegression ObjectNode",
        "sklearn.linear_model._ridge.Ridge ObjectNode",
        "sklearn.linear_model._stochastic_gradient.SGDClassifier ObjectNode",
        "sklearn.linear_model._stochastic_gradient.SGDRegressor ObjectNode",
        "sklearn.preprocessing._label.LabelEncoder ObjectNode",
        "sklearn.tree._classes.DecisionTreeClassifier ObjectNode",
        "sklearn.tree._classes.DecisionTreeRegressor ObjectNode",
        "sklearn.tree._tree.Tree TreeNode",
    }
)
"""Every type that a model file may hold, with the way skops builds it."""

_NOT_TRUSTED_BY_SKOPS = ["sklearn.tree._tree.Tree", f"{_HGB}.predictor.TreePredictor"]


def write_skops(model: object) -> bytes:
    """Return the canonical file of a fitted estimator.

    Raises:
        TrainingError: If the estimator holds a type that is not on the list.
    """
    from skops.io import dumps

    data = canonical_form(dumps(model))
    _audit(data)
    return data


def read_skops(data: bytes) -> Any:  # Any: a scikit-learn estimator, imported late
    """Return the estimator of a canonical file.

    Raises:
        TrainingError: If the file is damaged, not canonical, or holds a type that is not on the list; nothing of
            it has been built then.
    """
    from skops.io import loads

    try:
        _audit(data)
        if canonical_form(data) != data:
            raise TrainingError("the file is not in the form that Penstock writes: it was altered")
        return loads(data, trusted=_NOT_TRUSTED_BY_SKOPS)
    except TrainingError as error:
        raise TrainingError(f"not a model that may be loaded: {error}; train the model again") from None
    except Exception as error:
        raise TrainingError(
            f"not a scikit-learn model file: {type(error).__name__}: {error}; train the model again"
        ) from None


def canonical_form(data: bytes) -> bytes:
    """Return a skops file with ids and file names renumbered by first appearance, no clock, no padding bytes.

    Strings, numbers and other JSON values get an id each: whether Python kept two equal ones as one object is chance.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        schema = json.loads(source.read(SCHEMA))
        files = _renumber(schema)
        members = {new: _without_padding(source.read(old)) for old, new in files.items()}
    members[SCHEMA] = json.dumps(schema, separators=(",", ":"), ensure_ascii=False).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name, member in members.items():
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.create_system, entry.external_attr = 3, 0o600 << 16
            target.writestr(entry, member)
    return buffer.getvalue()


def _renumber(schema: object) -> dict[str, str]:
    ids, files = dict[object, int](), dict[str, str]()
    for count, node in enumerate(_nodes(schema)):
        if "__id__" in node:
            shared = node.get("__loader__") != "JsonNode"
            node["__id__"] = ids.setdefault(node["__id__"], count) if shared else count
        if "file" in node:
            node["file"] = files.setdefault(node["file"], f"{len(files)}.npy")
    return files


def _nodes(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "__loader__" in value:
            yield value
        for item in value.values():
            yield from _nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _without_padding(data: bytes) -> bytes:
    import numpy as np

    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def _audit(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        schema = json.loads(source.read(SCHEMA))
    for node in _all_mappings(schema):
        if {"__class__", "__module__", "__loader__"} & set(node):
            found = f"{node.get('__module__')}.{node.get('__class__')} {node.get('__loader__')}"
            if found not in TRUSTED_TYPES:
                raise TrainingError(
                    f"it holds the type {found.replace(' ', ' as ')}, which is not on the list of trusted types"
                )


def _all_mappings(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _all_mappings(child)
