"""Owns values of different lengths as their reader sees them in numpy: end to end, or each where it lies."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.columns import fixed, matrix
from resources.loader.picking import Spots


class Ragged:
    """Values of different lengths.

    No row is copied: `ragged[row]` is a view of the memory or the mapped file that it lies in. Long values that lie
    apart are put end to end when `values` is first asked for; who only sends them somewhere sends `parts`.

    Args:
        values: Elements of all rows, end to end: of texts and binaries, bytes.
        offsets: Where each row begins in `values`, and where the last ends, shape ``(rows + 1,)``.
    """

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]) -> None:  # Any: of the type of the elements
        self._values: NDArray[Any] | None = values  # Any: as above
        self._spots: Spots | None = None
        self.offsets = offsets

    @classmethod
    def apart(cls, spots: Spots) -> "Ragged":
        """Return long values, each where it lies."""
        made = cls(np.empty(0, np.uint8), np.cumsum([0, *spots.lengths.tolist()], dtype=np.int64))
        made._values, made._spots = None, spots
        return made

    @property
    def values(self) -> NDArray[Any]:  # Any: as above
        """Elements of all rows, end to end."""
        if self._values is None:
            self._values = np.concatenate(self.parts)
        return self._values

    @property
    def parts(self) -> list[NDArray[Any]]:  # Any: as above
        """What gives `values` if it is put end to end, without a copy: as few arrays as rows lie apart."""
        return [self.values] if self._spots is None else list(self._spots.stretches())

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:  # Any: as above
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        if self._spots is not None:
            return self._spots.view(row)
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[Any]]:  # Any: as above
        return (self[row] for row in range(len(self)))


def is_ragged(kind: pa.DataType) -> bool:
    """Return whether values of the type `kind` are stretches of bytes or numbers."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        layout = fixed(kind.value_type)
        return layout is not None and not layout.shape
    return kind in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary())


def ragged(array: pa.Array) -> Ragged:
    """Return texts, binaries or lists of numbers without a copy of the elements.

    Raises:
        LoaderError: If an element of a list is null.
    """
    wide = pa.types.is_large_list(array.type) or array.type in (pa.large_string(), pa.large_binary())
    lists = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
    stored = array.buffers()[1]
    offsets = np.frombuffer(stored, np.int64 if wide else np.int32) if stored is not None else np.zeros(1, np.int64)
    offsets = offsets[array.offset : array.offset + len(array) + 1].astype(np.int64)
    first, last = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    if lists:
        layout = fixed(array.type.value_type)
        if layout is None:
            raise TypeError(f"{array.type} is no list of numbers")
        elements = array.values.slice(first, last - first)
        values, valid = matrix(elements, layout)
        if valid is not None:
            raise LoaderError("a list holds a null, for which numpy has no place: read it as Arrow, or fill it before")
    else:
        data = array.buffers()[2]
        whole = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
        values = whole[first:last]
    return Ragged(values, offsets - first)
