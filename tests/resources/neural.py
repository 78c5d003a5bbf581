"""Samples and networks for the tests of the trainer `torch`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.training.protocol import TrainingSet, trainer_named

NAMES = ("size", "age", "kind")
SMALL: dict[str, Any] = {"hidden": [16], "batch_size": 64, "epochs": 3, "learning_rate": 0.01}
SOURCE = """
import torch


class Wide(torch.nn.Module):
    def __init__(self, inputs, outputs, width):
        super().__init__()
        self.first = torch.nn.Linear(inputs, width)
        self.norm = torch.nn.BatchNorm1d(width)
        self.drop = torch.nn.Dropout(0.1)
        self.last = torch.nn.Linear(width, outputs)

    def forward(self, rows):
        return self.last(self.drop(self.norm(self.first(rows)).relu()))


def build(inputs, outputs, width=8):
    return Wide(inputs, outputs, width)
"""


def truth(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a function that no line follows, of numbers and of a category whose codes have no order."""
    offset = np.array([0.0, 40.0, -30.0, 10.0])[matrix[:, 2].astype(int)]
    return 500 + 60 * np.sin(2 * matrix[:, 0]) + 20 * matrix[:, 0] * matrix[:, 1] + offset


def samples(task: str = "regression", rows: int = 3000, seed: int = 3) -> TrainingSet:
    draw = np.random.default_rng(seed)
    matrix = np.column_stack([draw.normal(size=rows), draw.normal(size=rows), draw.integers(0, 4, rows)])
    label = truth(matrix) + draw.normal(scale=2, size=rows)
    label = (label > 510).astype(float) if task == "binary" else label
    return TrainingSet(matrix=matrix, label=label, feature_names=NAMES, categorical=("kind",))


def fitted(parameters: dict[str, Any] | None = None, *, seed: int = 1, **more: Any) -> bytes:
    """Return the model file of a small network, or of one with these parameters instead."""
    declared = SMALL if parameters is None else parameters
    data = more.pop("data", None) or samples(declared.get("task", "regression"))
    return trainer_named("torch").fit(data, declared, seed, **more)


def write_module(folder: Path, name: str, source: str = SOURCE) -> str:
    """Write a module of the user's and return how its function is declared."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    return f"{name}:build"
