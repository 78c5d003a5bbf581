"""Owns one batch as its reader sees it: Arrow, numpy, torch or JAX, all over the same memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.columns import Fixed, arrow, bits_of
from resources.loader.ragged import Ragged, is_ragged, ragged
from resources.loader.slabs import Slab

Values = NDArray[Any] | Ragged | np.ma.MaskedArray[Any, Any]  # Any: of any type


class Batch:
    """Some rows of a slab.

    Args:
        slab: Where they lie.
        start: The first of them.
        stop: After the last.
        schema: Of the batch.
        layouts: How each column lies in memory; None for one of no fixed width.
    """

    __slots__ = ("_layouts", "_schema", "_slab", "_start", "_stop")

    def __init__(
        self, slab: Slab, start: int, stop: int, schema: pa.Schema, layouts: "tuple[Fixed | None, ...]"
    ) -> None:
        self._slab = slab
        self._start = start
        self._stop = stop
        self._schema = schema
        self._layouts = layouts

    def __len__(self) -> int:
        return self._stop - self._start

    def copied(self) -> "Batch":
        """Return the batch in memory of its own."""
        slab = Slab(self._layouts, len(self))
        for number, values in enumerate(self._slab.values):
            array, valid, target = self._slab.arrays[number], self._slab.valid[number], slab.values[number]
            spots = self._slab.spots[number]
            if values is not None and target is not None:
                target[...] = values[self._start : self._stop]
                slab.valid[number] = None if valid is None else valid[self._start : self._stop].copy()
            elif array is not None:
                slab.arrays[number] = _copied(array.slice(self._start, len(self)))
            elif spots is not None:
                slab.spots[number] = spots.cut(self._start, self._stop).copied()
        return Batch(slab, 0, len(self), self._schema, self._layouts)

    def arrow(self) -> pa.RecordBatch:
        """Return the batch without a copy."""
        columns = [self._arrow(number, field.type) for number, field in enumerate(self._schema)]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def numpy(self) -> dict[str, Values]:
        """Return column to values: matrices without a copy, with nulls as a masked array, else `Ragged`.

        Raises:
            LoaderError: If a column has no form in numpy, naming it.
        """
        return {field.name: self._numpy(number, field) for number, field in enumerate(self._schema)}

    def _arrow(self, number: int, kind: pa.DataType) -> pa.Array:
        array, layout = self._slab.arrays[number], self._layouts[number]
        values = self._slab.values[number]
        if layout is None or values is None:
            if array is None:
                raise TypeError("a column was not filled")
            return array.slice(self._start, len(self))
        valid = self._slab.valid[number]
        known = None if valid is None else valid[self._start : self._stop]
        return arrow(values[self._start : self._stop], known, kind, layout)

    def _numpy(self, number: int, field: pa.Field) -> Values:
        values, spots = self._slab.values[number], self._slab.spots[number]
        if spots is not None:
            return Ragged.apart(spots.cut(self._start, self._stop))
        if values is None:
            return _unfixed(self._arrow(number, field.type), field)
        cut = values[self._start : self._stop]
        valid = self._slab.valid[number]
        if valid is None:
            return cut
        missing = ~valid[self._start : self._stop]
        return np.ma.MaskedArray(cut, np.broadcast_to(missing.reshape(-1, *[1] * (cut.ndim - 1)), cut.shape))


def _copied(array: pa.Array) -> pa.Array:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([array], names=["column"])
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    with pa.ipc.open_stream(sink.getvalue()) as stream:
        return stream.read_next_batch().column(0)


def _unfixed(array: pa.Array, field: pa.Field) -> Values:
    if array.null_count:
        raise LoaderError(
            f"column {field.name!r} of type {field.type} holds nulls, for which numpy has no place: read it as Arrow, "
            "or fill them before"
        )
    if pa.types.is_boolean(field.type):
        return bits_of(np.frombuffer(array.buffers()[1], np.uint8), array.offset, len(array))
    if is_ragged(field.type):
        return ragged(array)
    raise LoaderError(
        f"column {field.name!r} of type {field.type} has no form in numpy: read it as Arrow, or leave it out (columns)"
    )


def to_torch(values: Mapping[str, Values]) -> dict[str, Any]:  # Any: torch is optional and has no part in our types
    """Return tensors over the same memory.

    Raises:
        LoaderError: If torch is not installed, or has no form for a column.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise LoaderError("torch is not installed: install it to read batches as tensors, or use numpy()") from error
    return {name: _each(value, name, "torch", torch.from_numpy) for name, value in values.items()}


def to_jax(values: Mapping[str, Values]) -> dict[str, Any]:  # Any: as above
    """Return JAX arrays over the same memory, where JAX takes it as it is.

    Raises:
        LoaderError: If JAX is not installed, or has no form for a column.
    """
    try:
        import jax  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise LoaderError("jax is not installed: install it to read batches as its arrays, or use numpy()") from error
    return {name: _each(value, name, "JAX", jax.dlpack.from_dlpack) for name, value in values.items()}


def _each(value: Values, name: str, library: str, convert: Any) -> Any:  # Any: as above
    if isinstance(value, Ragged):
        elements = _plain(value.values, name, library)
        return Ragged(convert(elements if elements.flags.writeable else elements.copy()), convert(value.offsets))
    return convert(_plain(value, name, library))


def _plain(value: NDArray[Any], name: str, library: str) -> NDArray[Any]:  # Any: as above
    if isinstance(value, np.ma.MaskedArray):
        raise LoaderError(
            f"column {name!r} holds nulls, for which {library} has no place: fill them before, or read it as numpy"
        )
    if value.dtype.kind in "mM":
        return value.view(np.int64)
    return value
