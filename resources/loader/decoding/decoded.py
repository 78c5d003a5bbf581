"""Owns the samples whose encoded columns are decoded: a feed over another feed, in the same order.

What is decoded lies in the slab like any column of fixed width, so batches are views of it that never change.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.columns import Fixed, fixed_bytes, validity
from resources.loader.decoding.decoder import Decoder, Outcome, decode_into
from resources.loader.decoding.workers import Workers
from resources.loader.feed import Feed, Ranges, where
from resources.loader.ragged import ragged
from resources.loader.slabs import Slab
from resources.loader.stats import Clock
from resources.names import unknown_name

MOST_AT_ONCE = 16
_ENCODED = (pa.binary(), pa.large_binary(), pa.string(), pa.large_string())


def threads_to_decode() -> int:
    """Return how many threads decode: one a processor, none where there is one."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, MOST_AT_ONCE) if processors > 1 else 0


class Decoded:
    """The samples of `feed`, some columns decoded.

    Args:
        feed: Whose samples they are.
        decoders: By column.
        clock: Told what it took.
        processes: How many run decoders in pure Python; 0 means that the calling thread does.

    Raises:
        LoaderError: If a column is not read, or holds no bytes, naming it.
    """

    def __init__(self, feed: Feed, decoders: Mapping[str, Decoder], clock: Clock, *, processes: int) -> None:
        self._feed = feed
        self._clock = clock
        self._decoders = {_number(feed, name): _checked(name, one) for name, one in decoders.items()}
        self.name, self.root, self.rows, self.shards = feed.name, feed.root, feed.rows, feed.shards
        self.waits = feed.waits
        self.schema = pa.schema([self._field(number, field) for number, field in enumerate(feed.schema)])
        self.layouts = tuple(self._layout(number, layout) for number, layout in enumerate(feed.layouts))
        self.row_bytes = fixed_bytes(self.layouts) + (feed.row_bytes if None in self.layouts else 0)
        pure = {name: one for name, one in decoders.items() if one.pure_python}
        self._workers = Workers(pure, processes) if pure and processes else None

    def rows_of(self, epoch: int) -> int:
        """Return how many samples an epoch has."""
        return self._feed.rows_of(epoch)

    def places(self, epoch: int, start: int, stop: int) -> NDArray[np.int64]:
        """Return the row of each sample, counted through all shards at rest."""
        return self._feed.places(epoch, start, stop)

    def fill(self, epoch: int, ranges: Ranges, slab: Slab, *, apart: bool) -> None:
        """Copy samples to `slab`, and decode them.

        Raises:
            LoaderError: If a value cannot be decoded and none may be broken, naming it, or a decoder fails by itself.
        """
        hidden = {number: slab.values[number] for number in self._decoders}
        for number in hidden:
            slab.values[number] = None
        self._feed.fill(epoch, ranges, slab, apart=True)
        began = time.perf_counter()
        broken = 0
        for number, out in hidden.items():
            if out is None:
                raise TypeError("a decoded column has no place")
            values, known = _encoded(slab, number)
            slab.arrays[number], slab.spots[number], slab.values[number] = None, None, out
            broken += self._decode(number, values, known, slab, _Origin(self._feed, epoch, ranges))
        if not apart:
            slab.join([field.type for field in self.schema])
        self._clock.decoded(time.perf_counter() - began, broken)

    def _decode(
        self, number: int, encoded: Sequence[memoryview], known: NDArray[np.bool_] | None, slab: Slab, origin: "_Origin"
    ) -> int:
        """Decode a column, and return how many of its values are broken."""
        name, decoder = self.schema.field(number).name, self._decoders[number]
        out = slab.values[number]
        if out is None:
            raise TypeError("a decoded column has no place")
        rows = np.arange(len(encoded)) if known is None else np.flatnonzero(known)
        values = encoded if known is None else [encoded[row] for row in rows.tolist()]
        if known is None:
            outcome = self._outcome(name, decoder, values, out[: len(rows)])
        else:
            found = np.empty((len(rows), *decoder.shape), decoder.element)
            outcome = self._outcome(name, decoder, values, found)
            out[: len(encoded)] = 0
            out[rows] = found
        _check(name, decoder, outcome, rows, origin)
        lost = [*rows[list(outcome.broken)].tolist(), *np.setdiff1d(np.arange(len(encoded)), rows).tolist()]
        if lost and decoder.broken != "zeros":
            valid = slab.valid[number] = np.ones(len(out), np.bool_)
            valid[lost] = False
        return len(outcome.broken)

    def _outcome(self, name: str, decoder: Decoder, values: Sequence[memoryview], out: NDArray[Any]) -> Outcome:
        if decoder.pure_python and self._workers is not None and values:
            return self._workers.decode_into(name, values, out)
        return decode_into(decoder, values, out)

    def _field(self, number: int, field: pa.Field) -> pa.Field:
        decoder = self._decoders.get(number)
        if decoder is None:
            return field
        kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(decoder.element), decoder.shape)
        can_lack = decoder.broken == "null" or (field.nullable and decoder.broken != "zeros")
        return pa.field(field.name, kind, nullable=can_lack)

    def _layout(self, number: int, layout: Fixed | None) -> Fixed | None:
        decoder = self._decoders.get(number)
        if decoder is None:
            return layout
        elements = int(np.prod(decoder.shape))
        return Fixed(dtype=decoder.element, shape=decoder.shape, lists=(elements,))


def _encoded(slab: Slab, number: int) -> tuple[list[memoryview], NDArray[np.bool_] | None]:
    """Return the bytes of each row of a column, where they lie, and which rows have a value; None means all."""
    spots, array = slab.spots[number], slab.arrays[number]
    if spots is not None:
        return [value.data for value in spots.views()], None
    if array is None:
        raise TypeError("a column was not filled")
    return [value.data for value in ragged(array)], validity(array)


class _Origin:
    """Where the rows of a slab come from."""

    def __init__(self, feed: Feed, epoch: int, ranges: Ranges) -> None:
        self._feed = feed
        self._epoch = epoch
        self._ranges = ranges

    def of(self, row: int) -> str:
        """Return what people know a row of the slab by."""
        for start, stop in self._ranges:
            if row < stop - start:
                return where(self._feed, self._epoch, start + row)
            row -= stop - start
        raise IndexError(row)


def _check(name: str, decoder: Decoder, outcome: Outcome, rows: NDArray[np.intp], origin: _Origin) -> None:
    first = min(outcome.broken) if outcome.broken and decoder.broken == "raise" else None
    if first is not None and (outcome.fault is None or first < outcome.fault[0]):
        raise LoaderError(
            f"column {name!r} of {origin.of(int(rows[first]))} cannot be decoded: {outcome.broken[first]}; mend the "
            "row, drop it, or give the decoder broken='null' or broken='zeros'"
        )
    if outcome.fault is not None:
        place, reason = outcome.fault
        raise LoaderError(f"column {name!r} of {origin.of(int(rows[place]))}: {reason}; mend the decoder")


def _number(feed: Feed, name: str) -> int:
    names = feed.schema.names
    if name not in names:
        raise LoaderError(f"decode: {unknown_name('column', name, names)}")
    number = names.index(name)
    kind = feed.schema.field(number).type
    if kind not in _ENCODED:
        raise LoaderError(f"decode: column {name!r} is of type {kind}: only binaries and texts are decoded")
    return number


def _checked(name: str, decoder: object) -> Decoder:
    if not isinstance(decoder, Decoder):
        raise LoaderError(f"decode: {name!r} has {decoder!r}: give a Decoder, such as images(height=224, width=224)")
    return decoder
