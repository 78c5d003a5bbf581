"""Owns the LightGBM trainer: deterministic gradient-boosted trees, kept in LightGBM's own text format.

The number of threads is part of the parameters, never the machine's: histograms are summed per thread block, so
another number may give other last bits. Rows go to LightGBM's bins batch by batch:
there is never a matrix of all of them.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from resources.errors import TrainingError
from resources.training.cursor import Cursor
from resources.training.importance import shares
from resources.training.lightgbm_parameters import canonical_parameters, check_features
from resources.training.protocol import Parameters, Predictor, Samples, Task, check_label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resources.training.neural.checkpoint import Checkpoints

THREADS = 1
"""Unless `num_threads` is declared: on small data and a busy machine, LightGBM's spinning threads cost tenfold."""
ITERATIONS = 100
_MANY_ROWS = 100_000
_PUSHED_ROWS = 8192
_FIXED: Mapping[str, Any] = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
_SAFE_NAME = re.compile(r"[\w.=+-]+")


@dataclass(frozen=True, slots=True)
class LightGBM:
    """The trainer `lightgbm`."""

    name: str = "lightgbm"
    file: str = "model.txt"
    libraries: tuple[str, ...] = ("lightgbm", "numpy", "polars")

    def check(self, field: str, parameters: Parameters) -> None:
        """Refuse parameters that LightGBM does not know, or that would break determinism."""
        canonical_parameters(field, parameters)

    def task(self, parameters: Parameters) -> Task:
        """Return `binary` for the objective `binary`, else `regression`."""
        objective = canonical_parameters("parameters", parameters).get("objective", "regression")
        return "binary" if objective == "binary" else "regression"

    def user_code(self, parameters: Parameters) -> str:
        """Return an empty text: there is none."""
        return ""

    def fit(
        self, data: Samples, parameters: Parameters, seed: int, *, checkpoints: "Checkpoints | None" = None
    ) -> bytes:
        """Return the model as LightGBM's text."""
        declared: dict[str, Any] = {
            "num_threads": THREADS,
            "objective": "regression",
            **canonical_parameters("parameters", parameters),
        }
        rounds = int(declared.pop("num_iterations", ITERATIONS))
        check_label(data, self.task(parameters))
        check_features(declared, data.feature_names, data.categorical)
        _check_threads(int(declared["num_threads"]))
        # Where rows come batch by batch, LightGBM draws its sample by `data_random_seed` alone.
        settings = {**_FIXED, "seed": seed, "data_random_seed": seed, **declared}
        library = _library()
        names = _safe_names(data.feature_names)
        try:
            dataset = library.Dataset(
                _sequence(library, data),
                label=data.label,
                feature_name=list(names),
                categorical_feature=[data.feature_names.index(name) for name in data.categorical],
                params=settings,
            )
            booster = library.train(settings, dataset, num_boost_round=rounds)
        except library.basic.LightGBMError as error:
            raise TrainingError(f"LightGBM cannot fit {len(data.label)} rows: {error}; change `parameters`") from None
        return booster.model_to_string().encode()

    def load(self, data: bytes) -> Predictor:
        """Return the model of LightGBM's text."""
        return _Trees(_booster(data))

    def importance(self, data: bytes, feature_names: tuple[str, ...]) -> dict[str, float]:
        """Return each feature's share of the total gain of all splits, largest first."""
        return shares(feature_names, _booster(data).feature_importance(importance_type="gain").tolist())


@dataclass(frozen=True, slots=True)
class _Trees:
    booster: Any  # Any: lightgbm.Booster, imported late

    def predict(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return the prediction, or the probability of 1, shape ``(rows,)``."""
        import numpy as np

        if not len(matrix):
            return np.empty(0)
        if matrix.shape[1] != self.booster.num_feature():
            raise TrainingError(f"the model takes {self.booster.num_feature()} features, got {matrix.shape[1]}")
        # Rows are scored one by one, so here the number of threads decides no bit; 0 means every core.
        threads = 0 if len(matrix) > _MANY_ROWS else THREADS
        return np.asarray(self.booster.predict(matrix, num_threads=threads), dtype=np.float64)


@cache
def _library() -> ModuleType:
    import lightgbm

    logger = logging.getLogger("penstock.lightgbm")
    logger.addHandler(logging.NullHandler())
    lightgbm.register_logger(logger)  # LightGBM prints to stdout from C otherwise
    return lightgbm


def _sequence(library: ModuleType, data: Samples) -> Any:  # Any: lightgbm.Sequence, imported late
    """Return the features as LightGBM reads them: a sample of rows first, from which it takes the bins, then all."""

    class Rows(library.Sequence):
        batch_size = _PUSHED_ROWS

        def __init__(self) -> None:
            self._cursor = Cursor(data.batches)

        def __len__(self) -> int:
            return len(data.label)

        def __getitem__(self, place: Any) -> Any:  # Any: int or slice to rows, as LightGBM has it
            if isinstance(place, slice):
                return self._cursor.rows(place.start, place.stop)
            return self._cursor.rows(int(place), int(place) + 1)[0]

    return Rows()


def _check_threads(wanted: int) -> None:
    allowed = os.environ.get("OMP_THREAD_LIMIT", "")
    if (allowed.isdigit() and int(allowed) < wanted) or os.environ.get("OMP_DYNAMIC", "").lower() == "true":
        raise TrainingError(
            f"OMP_THREAD_LIMIT={allowed or 'unset'} and OMP_DYNAMIC={os.environ.get('OMP_DYNAMIC', 'unset')} may give "
            f"LightGBM fewer than num_threads={wanted} threads and so other bits: unset them, or declare num_threads: 1"
        )


def _booster(data: bytes) -> Any:  # Any: lightgbm.Booster, imported late
    library = _library()
    if not data.startswith(b"tree\n"):
        raise TrainingError("not a LightGBM model text: train the model again")
    try:
        return library.Booster(model_str=data.decode())
    except (library.basic.LightGBMError, UnicodeDecodeError) as error:
        raise TrainingError(f"not a LightGBM model text: {error}; train the model again") from None


def _safe_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if all(_SAFE_NAME.fullmatch(name) and name.isascii() for name in names):
        return names
    return tuple(f"feature_{place}" for place in range(len(names)))  # LightGBM refuses JSON's special characters
