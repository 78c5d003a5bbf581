"""Owns the samples of a training window: batches of the loader, after the fitted transform that serving applies too."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from resources.training.window import Window
from resources.transform.fitted import FittedTransform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WindowSamples:
    """The training rows of a window as features and labels.

    Args:
        window: The rows.
        transform: What makes features of them.
        label: Label of each row, shape ``(rows,)``, in the order of the window.
    """

    def __init__(self, window: Window, transform: FittedTransform, label: "NDArray[np.float64]") -> None:
        self._window = window
        self._transform = transform
        self.label = label
        self.feature_names = transform.output
        self.categorical = transform.categorical
        self.categories = transform.categories

    @property
    def matrix(self) -> "NDArray[np.float64]":
        """All features at once, C order, shape ``(rows, features)``; made anew each time."""
        import numpy as np

        made = np.empty((len(self.label), len(self.feature_names)))
        start = 0
        for batch in self.batches():
            made[start : start + len(batch)] = batch
            start += len(batch)
        return made

    def batches(self) -> "Iterator[NDArray[np.float64]]":
        """Yield the features batch by batch, in the order of `label`."""
        for frame in self._window.batches():
            yield self._transform.matrix(frame.lazy())

    def shuffled(self, epoch: int) -> "Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]":
        """Yield features and labels batch by batch, in the loader's order `window` by the recipe's seed."""
        for _, features, label in self.shuffled_from(epoch):
            yield features, label

    def shuffled_from(
        self, epoch: int, state: bytes = b""
    ) -> "Iterator[tuple[bytes, NDArray[np.float64], NDArray[np.float64]]]":
        """Yield the same, each batch after the state from which another process would go on with it."""
        for before, frame in self._window.shuffled_from(epoch, state):
            yield before, self._transform.matrix(frame.lazy()), label_of(frame, self._window.columns[-1])

    def parted(self, share: float) -> "tuple[WindowSamples, WindowSamples]":
        """Return the samples but for the latest `share` of them, and these; see `Window.parted`."""
        rest, latest, are_latest = self._window.parted(share)
        return (
            WindowSamples(rest, self._transform, self.label[~are_latest]),
            WindowSamples(latest, self._transform, self.label[are_latest]),
        )


def label_of(frame: pl.DataFrame, name: str) -> "NDArray[np.float64]":
    """Return the label of each row, NaN where it is missing, shape ``(rows,)``."""
    import numpy as np

    return np.ascontiguousarray(frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy())
