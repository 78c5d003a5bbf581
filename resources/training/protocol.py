"""Owns what a trainer is: the seam between Penstock and a learning library.

Trainers are plain objects found by name in `TRAINERS`. They import their library inside `fit` and `load`
only: checking a declaration costs no import.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from resources.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resources.training.neural.checkpoint import Checkpoints

Task = Literal["regression", "binary"]
Parameters = Mapping[str, Any]  # Any: JSON values, given by the user


class Samples(Protocol):
    """What a model is fitted on, batch by batch or as a whole."""

    @property
    def label(self) -> "NDArray[np.float64]":
        """Label of each row, shape ``(rows,)``; 0 or 1 for a binary task."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of a batch."""
        ...

    @property
    def categorical(self) -> tuple[str, ...]:
        """Those of them that hold category codes."""
        ...

    @property
    def categories(self) -> Mapping[str, int]:
        """The same, to how many categories there are: codes from 0 on, and any other number for an unknown one."""
        ...

    @property
    def matrix(self) -> "NDArray[np.float64]":
        """All features at once, C order, shape ``(rows, features)``; NaN is missing."""
        ...

    def batches(self) -> "Iterator[NDArray[np.float64]]":
        """Yield the features batch by batch, in the order of `label`, each of shape ``(some, features)``."""
        ...

    def shuffled(self, epoch: int) -> "Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]":
        """Yield features and labels batch by batch, in a random order that is always the same for an epoch."""
        ...

    def shuffled_from(
        self, epoch: int, state: bytes = b""
    ) -> "Iterator[tuple[bytes, NDArray[np.float64], NDArray[np.float64]]]":
        """Yield the same from `state` on, each batch after the state that another process would give to begin with it.

        Raises:
            TrainingError: If `state` is of other samples.
        """
        ...

    def parted(self, share: float) -> "tuple[Samples, Samples]":
        """Return the samples but for the latest `share` of them, and these.

        Raises:
            TrainingError: If either would have none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Samples that lie in memory.

    Attributes:
        matrix: Features, float64, C order, shape ``(rows, features)``; NaN is missing.
        label: Label, float64, shape ``(rows,)``; 0 or 1 for a binary task.
        feature_names: Names of the matrix's columns.
        categorical: Those of them that hold category codes.
    """

    matrix: "NDArray[np.float64]"
    label: "NDArray[np.float64]"
    feature_names: tuple[str, ...]
    categorical: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.matrix.shape != (len(self.label), len(self.feature_names)):
            raise TrainingError(
                f"matrix has shape {self.matrix.shape}, {len(self.label)} labels "
                f"and {len(self.feature_names)} feature names were given"
            )
        if not len(self.label):
            raise TrainingError("no rows to train on: widen the training window, or ingest its partitions first")

    def batches(self) -> "Iterator[NDArray[np.float64]]":
        """Yield all features as one batch."""
        yield self.matrix

    @property
    def categories(self) -> Mapping[str, int]:
        """Feature of category codes to how many there are: one more than its highest code."""
        columns = {name: self.matrix[:, self.feature_names.index(name)] for name in self.categorical}
        return {name: int(max(column.max(), 0)) + 1 for name, column in columns.items()}

    def shuffled(self, epoch: int) -> "Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]":
        """Yield features and labels in batches of 1,024 rows, in an order drawn for the epoch."""
        for _, matrix, label in self.shuffled_from(epoch):
            yield matrix, label

    def shuffled_from(
        self, epoch: int, state: bytes = b""
    ) -> "Iterator[tuple[bytes, NDArray[np.float64], NDArray[np.float64]]]":
        """Yield the same from `state` on, which is the number of the first row in digits."""
        import numpy as np

        order = np.random.default_rng(epoch).permutation(len(self.label))
        for start in range(int(state or b"0"), len(order), 1024):
            rows = order[start : start + 1024]
            yield str(start).encode(), self.matrix[rows], self.label[rows]

    def parted(self, share: float) -> "tuple[TrainingSet, TrainingSet]":
        """Return the samples but for the last `share` of them, and these."""
        return self._part(slice(None, self._first_of(share))), self._part(slice(self._first_of(share), None))

    def _first_of(self, share: float) -> int:
        return min(len(self.label) - 1, int(len(self.label) * (1 - share)))

    def _part(self, rows: slice) -> "TrainingSet":
        return replace(self, matrix=self.matrix[rows], label=self.label[rows])


def check_label(data: Samples, task: Task) -> None:
    """Refuse labels that `task` cannot learn from.

    Raises:
        TrainingError: If a label is missing or infinite, or is not 0 or 1 for a binary task.
    """
    import numpy as np

    wrong = int((~np.isfinite(data.label)).sum())
    if wrong:
        raise TrainingError(
            f"{wrong} of {len(data.label)} labels are missing or infinite: "
            "declare the label's column as not nullable, so that such rows go to quarantine"
        )
    if task == "binary" and (strange := set(np.unique(data.label).tolist()) - {0.0, 1.0}):
        raise TrainingError(
            f"a binary label is 0 or 1, found {sorted(strange)[:5]}: write it as CASE WHEN ... THEN 1 ELSE 0 END"
        )
    if task == "binary" and len(np.unique(data.label)) < 2:
        raise TrainingError(f"all {len(data.label)} labels are {data.label[0]:g}: widen the training window")


class Predictor(Protocol):
    """A loaded model."""

    def predict(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return one number a row: the prediction, or the probability of 1 for a binary task."""
        ...


class Trainer(Protocol):
    """Fits models of one library."""

    @property
    def name(self) -> str:
        """How a declaration calls it."""
        ...

    @property
    def file(self) -> str:
        """Name of its model file in a bundle."""
        ...

    @property
    def libraries(self) -> tuple[str, ...]:
        """Distributions whose version may change the bits of a model."""
        ...

    def check(self, field: str, parameters: Parameters) -> None:
        """Refuse parameters that the library does not know or that would break determinism.

        Raises:
            DeclarationError: Naming `field`, the parameter, what is allowed and the nearest valid name.
        """
        ...

    def task(self, parameters: Parameters) -> Task:
        """Return what the parameters make the trainer learn."""
        ...

    def user_code(self, parameters: Parameters) -> str:
        """Return the digest of code of the user's that the parameters name, or an empty text where they name none.

        Raises:
            DeclarationError: If it is not there.
        """
        ...

    def fit(
        self, data: Samples, parameters: Parameters, seed: int, *, checkpoints: "Checkpoints | None" = None
    ) -> bytes:
        """Return the model file; the same arguments give the same bytes on any number of cores.

        Args:
            data: What is learned from.
            parameters: As declared.
            seed: Of every random choice.
            checkpoints: Of a trainer that takes long; others have none. They decide no bit.

        Raises:
            TrainingError: If the library cannot fit the data.
        """
        ...

    def load(self, data: bytes) -> Predictor:
        """Return the model of a model file.

        Raises:
            TrainingError: If `data` is not a model file that `fit` wrote.
        """
        ...

    def importance(self, data: bytes, feature_names: tuple[str, ...]) -> dict[str, float]:
        """Return how much each feature matters, as shares of their sum, largest first."""
        ...


def trainer_named(name: str, *, field: str = "trainer") -> Trainer:
    """Return the trainer called `name`.

    Raises:
        DeclarationError: If there is none.
    """
    from resources.names import name_error
    from resources.training.lightgbm import LightGBM
    from resources.training.neural.trainer import Torch
    from resources.training.sklearn import ScikitLearn

    trainers: dict[str, Trainer] = {"lightgbm": LightGBM(), "sklearn": ScikitLearn(), "torch": Torch()}
    if name not in trainers:
        raise name_error(field, "trainer", name, trainers)
    return trainers[name]
