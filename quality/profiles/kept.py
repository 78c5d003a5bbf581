"""Owns the values of one column of a sample: those of more rows are added, and they are thinned out."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.profiles.counted import CHUNK
from quality.views import has_long, of_views, views_of

Places = NDArray[np.int64]

_PIECES = 16
"""Pieces of texts after which they are brought together: each holds on to all long texts of the batch it is of."""
_WIDTHS: Mapping[type[pl.DataType], type[np.number]] = {
    pl.Int32: np.int32, pl.Int64: np.int64, pl.UInt32: np.uint32, pl.UInt64: np.uint64,
    pl.Float32: np.float32, pl.Float64: np.float64,
}  # fmt: skip
"""Types of values whose bytes are copied as they are."""
_COUNTED = (pl.Int8, pl.Int16, pl.UInt8, pl.UInt16)
"""Types of so few values that all are counted, always."""


class Kept(Protocol):
    """The values of one column."""

    def thin(self, still: Places) -> None:
        """Keep only these of them."""
        ...

    def add(self, values: pl.Series, places: Places) -> None:
        """Keep these of some values too."""
        ...

    def values(self) -> pl.Series:
        """Return those that are not null."""
        ...


def keeping(dtype: pl.DataType, most: int) -> Kept | None:
    """Return what keeps so many values of a column of this type at most; None if it is not sampled."""
    if isinstance(dtype, pl.String):
        return _Texts(most)
    if isinstance(dtype, _COUNTED) or not (dtype.is_numeric() or dtype.is_temporal()):
        return None
    width = _WIDTHS.get(type(pl.Series(dtype=dtype).to_physical().dtype))
    return _Pieces(dtype) if width is None or dtype.is_decimal() else _Numbers(dtype, width, most)


class _Buffer:
    """Values of one width, in memory that is taken once: fresh pages cost more than what is written to them."""

    def __init__(self, width: type[np.generic], most: int) -> None:
        self._rows = 0
        self._values: NDArray[Any] = np.empty(most, width)  # Any: numbers, or views of sixteen bytes
        self._present: NDArray[np.bool_] | None = None

    def thin(self, still: Places) -> None:
        for start in range(0, len(still), CHUNK):  # what stays moves to the front
            some = still[start : start + CHUNK]
            for held in (self._values, self._present):
                if held is not None:
                    held[start : start + len(some)] = held.take(some)
        self._rows = len(still)

    def add(self, values: pl.Series, content: NDArray[Any], places: Places) -> None:
        """Keep these of some values, which lie in one piece; their content is any where they are null, kept is 0."""
        start, self._rows = self._rows, self._rows + len(places)
        new = slice(start, self._rows)
        np.take(content, places, out=self._values[new], mode="clip")
        if values.null_count() and self._present is None:
            self._present = np.ones(len(self._values), np.bool_)
        if self._present is not None:
            self._present[new] = values.is_not_null().to_numpy().take(places)
            self._values[new][~self._present[new]] = 0

    def held(self) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return the values, and which of them are not null unless all are."""
        return self._values[: self._rows], None if self._present is None else self._present[: self._rows]


class _Numbers:
    """Numbers and times."""

    def __init__(self, dtype: pl.DataType, width: type[np.number], most: int) -> None:
        self._dtype, self._width = dtype, width
        self._buffer = _Buffer(width, most)
        self.thin = self._buffer.thin

    def add(self, values: pl.Series, places: Places) -> None:
        values = values.to_physical().rechunk()
        if values.null_count():
            array = values.to_arrow()
            content = np.frombuffer(array.buffers()[1] or b"", self._width)[array.offset :][: len(array)]
        else:
            content = values.to_numpy()
        self._buffer.add(values, content, places)

    def values(self) -> pl.Series:
        values, present = self._buffer.held()
        return pl.Series(values if present is None else values[present]).cast(self._dtype)


class _Texts:
    """Texts: their views as long as they lie whole in these."""

    def __init__(self, most: int) -> None:
        self._views: _Buffer | None = _Buffer(np.complex128, most)  # they are moved, never compared as numbers
        self._pieces = _Pieces(pl.String())

    def thin(self, still: Places) -> None:
        (self._pieces if self._views is None else self._views).thin(still)

    def add(self, values: pl.Series, places: Places) -> None:
        if self._views is not None and has_long(values):
            self._pieces.take(_texts(*self._views.held()))
            self._views = None
        if self._views is None:
            self._pieces.add(values, places)
            return
        if values.n_chunks() > 1:
            values, places = values.gather(_index(places)).rechunk(), np.arange(len(places))
        self._views.add(values, views_of(values).view(np.complex128).ravel(), places)

    def values(self) -> pl.Series:
        return self._pieces.values() if self._views is None else _texts(*self._views.held()).drop_nulls()


class _Pieces:
    """Values of any type."""

    def __init__(self, dtype: pl.DataType) -> None:
        self._pieces = [pl.Series(dtype=dtype)]

    def thin(self, still: Places) -> None:
        self._gather()
        self._pieces = [_apart(self._pieces[0].gather(_index(still)))]

    def add(self, values: pl.Series, places: Places) -> None:
        self.take(values.gather(_index(places)))

    def take(self, values: pl.Series) -> None:
        """Keep all of these too."""
        self._pieces.append(values)
        if len(self._pieces) > _PIECES:
            self._gather()

    def values(self) -> pl.Series:
        self._gather()
        return self._pieces[0].drop_nulls()

    def _gather(self) -> None:
        self._pieces = [_apart(pl.concat(self._pieces, rechunk=True))]


def _texts(views: NDArray[np.complex128], present: NDArray[np.bool_] | None) -> pl.Series:
    texts = of_views(views.view(np.uint64).reshape(-1, 2))
    return texts if present is None else texts.zip_with(pl.Series(present), pl.Series([None], dtype=pl.String))


def _index(places: Places) -> pl.Series:
    return pl.Series(places.astype(np.uint32))


def _apart(values: pl.Series) -> pl.Series:
    """Return texts that are by themselves: Polars keeps all long ones that chosen ones lay among."""
    if values.dtype != pl.String or not has_long(values):
        return values
    return pl.Series(values.name, values.to_arrow(compat_level=pl.CompatLevel.oldest()))
