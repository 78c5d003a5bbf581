"""Owns batches of one size out of whatever comes, and where the first row lies that none of them had yet."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.training.protocol import Samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a row lies within an epoch.

    Attributes:
        state: From which samples are to be asked for.
        skip: How many of them come before it.
    """

    state: str = ""
    skip: int = 0


@dataclass(slots=True)
class _Piece:
    state: str
    features: "NDArray[np.float64]"
    label: "NDArray[np.float64]"
    taken: int


class Batches:
    """The rows of an epoch from a place on, `size` at a time; the last batch may have fewer.

    Args:
        data: The samples.
        epoch: Number of the epoch.
        size: Rows of a batch.
        place: Of the first row.
    """

    def __init__(self, data: Samples, epoch: int, size: int, place: Place) -> None:
        self._data = data
        self._epoch = epoch
        self._size = size
        self._begin = place
        self._pieces: deque[_Piece] = deque()
        self.place = place

    def __iter__(self) -> "Iterator[Rows]":
        """Yield features, shape ``(size, features)``, and labels; `place` is after them then."""
        skip, held = self._begin.skip, 0
        for state, features, label in self._data.shuffled_from(self._epoch, self._begin.state.encode()):
            self._pieces.append(_Piece(state.decode(), features, label, min(skip, len(label))))
            skip, held = 0, held + len(label) - self._pieces[-1].taken
            while held >= self._size:
                held -= self._size
                yield self._take(self._size)
        if held:
            yield self._take(held)

    def _take(self, count: int) -> "Rows":
        import numpy as np

        parts: list[Rows] = []
        while True:
            piece = self._pieces[0]
            stop = min(piece.taken + count, len(piece.label))
            parts.append((piece.features[piece.taken : stop], piece.label[piece.taken : stop]))
            count -= stop - piece.taken
            piece.taken = stop
            self.place = Place(state=piece.state, skip=stop)
            if not count:
                break
            self._pieces.popleft()
        features, label = zip(*parts, strict=True)
        return np.concatenate(features), np.concatenate(label)
