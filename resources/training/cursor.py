"""Owns the reading of rows by their numbers from batches that come one after the other.

Numbers should ascend: a step back begins anew, from the first batch.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


class Cursor:
    """Rows of a sequence of batches; one batch is held at a time.

    Args:
        begin: Returns the batches from the first one on, each of shape ``(some, features)``.
    """

    def __init__(self, begin: "Callable[[], Iterator[Matrix]]") -> None:
        self._begin = begin
        self._batches: Iterator[Matrix] | None = None
        self._batch: Matrix | None = None
        self._first = 0

    def rows(self, start: int, stop: int) -> "Matrix":
        """Return the rows from `start` to before `stop`, without a copy where they lie in one batch.

        Raises:
            IndexError: If there are not as many.
        """
        import numpy as np

        parts: list[Matrix] = []
        while start < stop:
            batch = self._holding(start)
            within = start - self._first
            parts.append(batch[within : within + stop - start])
            start += len(parts[-1])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _holding(self, row: int) -> "Matrix":
        if self._batches is None or row < self._first:
            self._batches, self._batch, self._first = self._begin(), None, 0
        while self._batch is None or row >= self._first + len(self._batch):
            self._first += 0 if self._batch is None else len(self._batch)
            self._batch = next(self._batches, None)
            if self._batch is None:
                self._batches = None
                raise IndexError(f"row {row:,} of {self._first:,}")
        return self._batch
