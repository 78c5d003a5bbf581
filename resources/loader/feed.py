"""Owns what fills slabs: one dataset, or a weighted mixture of some, by positions of its epochs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.canonical import digest_value
from resources.errors import LoaderError
from resources.loader.at_once import AtOnce, Berths, joined
from resources.loader.blend import Blend, check_weights
from resources.loader.columns import Fixed, fixed, fixed_bytes
from resources.loader.gather import Gathered, Gatherer
from resources.loader.losses import OnError
from resources.loader.order import WIDE_BYTES, Epoch, OrderName, Span, words_of
from resources.loader.picking import LONG_BYTES, has_spots, picked
from resources.loader.prefetch import IN_FLIGHT_BYTES, MOST_AHEAD, Prefetch
from resources.loader.projection import chosen
from resources.loader.shards import Shard
from resources.loader.slabs import Slab
from resources.loader.sources import Dataset, Source, source_of
from resources.loader.views import OPEN_SHARDS

if TYPE_CHECKING:
    from resources.loader.where import Filters
    from resources.storage.store import Store

Ranges = Sequence[tuple[int, int]]


class Feed(Protocol):
    """Samples by their positions."""

    @property
    def name(self) -> str:
        """What people know them by."""
        ...

    @property
    def root(self) -> str:
        """Digest of all that decides which sample comes when, but order, seed and epoch."""
        ...

    @property
    def rows(self) -> int:
        """Samples of one epoch, at most."""
        ...

    @property
    def shards(self) -> Sequence[Shard]:
        """All shards, of all datasets."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Of a batch."""
        ...

    @property
    def layouts(self) -> tuple[Fixed | None, ...]:
        """How each column lies in a slab; None for one of no fixed width."""
        ...

    @property
    def row_bytes(self) -> float:
        """Mean bytes of a row of a batch."""
        ...

    @property
    def waits(self) -> bool:
        """Whether copying waits for memory more than it works, so that two threads are quicker than one."""
        ...

    def rows_of(self, epoch: int) -> int:
        """Return how many samples an epoch has."""
        ...

    def places(self, epoch: int, start: int, stop: int) -> NDArray[np.int64]:
        """Return the row of each sample from `start` to before `stop`, counted through all shards at rest.

        The shape is ``(stop - start,)``.
        """
        ...

    def fill(self, epoch: int, ranges: Ranges, slab: Slab, *, apart: bool) -> None:
        """Copy samples to `slab`, one range of positions of the epoch after the other.

        Args:
            epoch: Number of the epoch.
            ranges: At least one.
            slab: Where they go.
            apart: Whether long values stay where they lie.

        Raises:
            LoaderError: If the data are not what they were said to be.
        """
        ...


class Documents(Feed, Protocol):
    """Samples as they lie in shards."""

    @property
    def passing(self) -> Sequence[Shard]:
        """The shards, for who reads each once."""
        ...

    @property
    def at_once(self) -> AtOnce | None:
        """How many of them may be on their way here at once; None means one after the other."""
        ...


def feed_of(
    dataset: "Dataset | Mapping[Dataset, float]",
    columns: Sequence[str] | None,
    order: OrderName,
    seed: int,
    *,
    store: "Store | None",
    where: "Filters | None",
    on_error: OnError,
) -> Documents:
    """Return what fills slabs with a dataset, or with several by their weights.

    Raises:
        LoaderError: If one cannot be read, or they cannot be mixed.
    """
    datasets = list(dataset) if isinstance(dataset, Mapping) else [dataset]
    if not datasets:
        raise LoaderError("a mixture of no datasets: give at least one, with its weight")
    sources = [_source(one, store, where) for one in datasets]
    at_once = joined([source.at_once for source in sources])
    berths = Berths(at_once.room_bytes) if at_once is not None else None
    feeds = [
        _Single(source, columns, order, seed, on_error=on_error, mixed=len(sources), berths=berths)
        for source in sources
    ]
    return _Mixed(feeds, list(dataset.values()), seed) if isinstance(dataset, Mapping) and len(feeds) > 1 else feeds[0]


def _source(dataset: Dataset, store: "Store | None", where: "Filters | None") -> Source:
    source = source_of(dataset, store)
    if where is None:
        return source
    from resources.loader.selection import selected

    return selected(source, where)


class _Single:
    """One dataset, alone or one of `mixed`.

    Alone its shards go through memory where they lie in an object store; those of several datasets would be too many.
    """

    def __init__(
        self,
        source: Source,
        columns: Sequence[str] | None,
        order: OrderName,
        seed: int,
        *,
        on_error: OnError,
        mixed: int,
        berths: Berths | None,
    ) -> None:
        layout = source.layout
        self.name = source.name
        self.root = layout.root
        self.rows = layout.total_rows
        self.shards = source.shards
        self.passing = source.passing or source.shards
        self._source = source
        counts = np.array([shard.rows for shard in source.shards], np.int64)
        self._firsts = np.cumsum(counts) - counts
        self.schema, self.columns = chosen(source.schema, columns)
        self.layouts = tuple(fixed(field.type) for field in self.schema)
        self.row_bytes = _row_bytes(self.layouts, layout.row_bytes)
        self.waits = order == "exact" or layout.row_bytes >= WIDE_BYTES
        self._epoch = lru_cache(maxsize=2)(lambda number: Epoch(layout, order, seed=seed, number=number))
        window = layout.window_shards if order == "window" else 1
        passing = source.passing if mixed == 1 and order != "exact" else None
        share = self.at_once.share(mixed) if passing is None and self.at_once is not None else None
        ahead = passing is not None or (share is not None and share.takes_any and order != "exact")
        self.gatherer = Gatherer(
            source.shards if passing is None else passing,
            self.columns,
            row_bytes=self.row_bytes,
            chosen=source.chosen,
            together=2 * window + MOST_AHEAD if ahead else 2 * window,
            most=OPEN_SHARDS if source.passing is None or order == "exact" else 4 * window,
            on_error=on_error,
            at_once=share,
            berths=berths if passing is None else None,
        )
        self._prefetch = None
        if source.passing is not None and ahead:
            self._prefetch = Prefetch(
                self.gatherer.views,
                [shard.size_bytes for shard in source.passing],
                lambda epoch, position: self._epoch(epoch).shards_from(position),
                together=window,
                in_flight_bytes=IN_FLIGHT_BYTES if share is None else share.begins_below_bytes(mixed),
            )

    @property
    def at_once(self) -> AtOnce | None:
        return self._source.at_once

    def reading(self, epoch: int, position: int) -> AbstractContextManager[None]:
        """Have the shards come that are needed from a position on, and those needed next, for as long as it lasts."""
        return self._prefetch.reading(epoch, position) if self._prefetch else nullcontext()

    def rows_of(self, epoch: int) -> int:
        return self.rows

    def places(self, epoch: int, start: int, stop: int) -> NDArray[np.int64]:
        shards, rows = self._epoch(epoch).samples(start, stop)
        return self._firsts[shards] + self.gatherer.at_rest(shards, rows)

    def fill(self, epoch: int, ranges: Ranges, slab: Slab, *, apart: bool) -> None:
        gathered = Gathered(slab, self.columns, apart=apart)
        with self.reading(epoch, ranges[0][0]):
            for start, stop in _joined(ranges):
                self.gatherer.gather(self._epoch(epoch).spans(start, stop), gathered)
        gathered.finish()
        _close_up(slab)

    def spans(self, start: int, stop: int) -> Iterator[Span]:
        """Yield where the samples from `start` to before `stop` lie, counted through all epochs."""
        for epoch, first, last in self.epochs(start, stop):
            yield from self._epoch(epoch).spans(first, last)

    def epochs(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield the same stretch as epochs, each with its first sample and the one after its last."""
        while start < stop:
            number, within = divmod(start, self.rows)
            end = min(within + stop - start, self.rows)
            yield number, within, end
            start += end - within


class _Mixed:
    """Several datasets, of which each begins its next epoch when it is through, whatever the others do."""

    def __init__(self, feeds: Sequence[_Single], weights: Sequence[float], seed: int) -> None:
        check_weights(weights)
        first = feeds[0]
        for feed in feeds:
            if not feed.schema.equals(first.schema):
                raise LoaderError(
                    f"{feed.name} has other columns than {first.name}: choose columns that all datasets of a mixture "
                    "have, of the same types"
                )
            if not feed.rows:
                raise LoaderError(f"{feed.name} has no rows: leave it out of the mixture")
        self._feeds = feeds
        self.root = digest_value({"roots": [feed.root for feed in feeds], "weights": [float(w) for w in weights]})
        self._blend = Blend(weights, (*words_of(self.root), seed))
        self.name = " + ".join(feed.name for feed in feeds)
        self.rows = sum(feed.rows for feed in feeds)
        self.shards = [shard for feed in feeds for shard in feed.shards]
        self.passing = [shard for feed in feeds for shard in feed.passing]
        self.schema, self.layouts = first.schema, first.layouts
        self.row_bytes = max(feed.row_bytes for feed in feeds)
        self.waits = any(feed.waits for feed in feeds)

    @property
    def at_once(self) -> AtOnce | None:
        return joined([feed.at_once for feed in self._feeds])

    def rows_of(self, epoch: int) -> int:
        return self.rows

    def places(self, epoch: int, start: int, stop: int) -> NDArray[np.int64]:
        first, last = epoch * self.rows + start, epoch * self.rows + stop
        streams, found, before = self._blend.streams(first, last), np.empty(stop - start, np.int64), 0
        bounds = zip(self._feeds, self._blend.counts(first), self._blend.counts(last), strict=True)
        for number, (feed, begin, end) in enumerate(bounds):
            parts = [feed.places(*part) for part in feed.epochs(begin, end)]
            found[streams == number] = np.concatenate([np.empty(0, np.int64), *parts]) + before
            before += sum(shard.rows for shard in feed.shards)
        return found

    def fill(self, epoch: int, ranges: Ranges, slab: Slab, *, apart: bool) -> None:
        gathered = Gathered(slab, self._feeds[0].columns, apart=apart)
        order: list[np.ndarray[tuple[int], np.dtype[np.intp]]] = []
        with ExitStack() as reading:
            firsts = self._blend.counts(epoch * self.rows + ranges[0][0])
            for feed, first in zip(self._feeds, firsts, strict=True):
                reading.enter_context(feed.reading(*divmod(first, feed.rows)))
            for start, stop in _joined(ranges):
                order.append(self._gathered(epoch * self.rows + start, epoch * self.rows + stop, gathered))
        gathered.finish()
        _permute(slab, np.concatenate(order))
        _close_up(slab)

    def _gathered(self, first: int, last: int, gathered: Gathered) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
        """Copy some samples stream by stream, and return where each one lies that comes next."""
        done = gathered.rows
        bounds = zip(self._feeds, self._blend.counts(first), self._blend.counts(last), strict=True)
        for feed, begin, end in bounds:
            feed.gatherer.gather(feed.spans(begin, end), gathered)
        by_stream = np.argsort(self._blend.streams(first, last), kind="stable")
        back = np.empty_like(by_stream)
        back[by_stream] = np.arange(done, done + len(by_stream))
        return back


def _close_up(slab: Slab) -> None:
    """Move the samples together where some are left out."""
    if slab.kept is not None:
        places = np.flatnonzero(slab.kept)
        kept, slab.kept = slab.kept, None
        _permute(slab, places)
        slab.kept = kept


def where(feed: Feed, epoch: int, position: int) -> str:
    """Return what people know a sample by: its row and its shard."""
    return name_of_row(feed.shards, int(feed.places(epoch, position, position + 1)[0]))


def name_of_row(shards: Sequence[Shard], row: int) -> str:
    """Return what people know a row by that is counted through all shards."""
    for shard in shards:
        if row < shard.rows:
            return f"row {row:,} of {shard.name}"
        row -= shard.rows
    raise IndexError(row)


def _permute(slab: Slab, order: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> None:
    for number, values in enumerate(slab.values):
        valid, array, spots = slab.valid[number], slab.arrays[number], slab.spots[number]
        if values is not None:
            values[: len(order)] = values[order]
        if valid is not None:
            valid[: len(order)] = valid[order]
        if array is not None:
            slab.arrays[number] = picked(array, order)
        if spots is not None:
            slab.spots[number] = spots.permuted(order)
    if slab.kept is not None:
        slab.kept = slab.kept[order]


def _joined(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """Yield the ranges, those that follow each other as one."""
    first, last = ranges[0]
    for start, stop in ranges[1:]:
        if start != last:
            yield first, last
            first = start
        last = stop
    yield first, last


def _row_bytes(layouts: Sequence[Fixed | None], mean_bytes: float) -> float:
    """Return the bytes of a row of these columns; those of no fixed width may be all that the rest does not need."""
    known = fixed_bytes(layouts)
    return max(mean_bytes, known) if None in layouts else known


def long_bytes(feed: Feed) -> float:
    """Return the mean bytes of a row in long values, which may stay where they lie; 0 where some are short."""
    others = [field.type for field, layout in zip(feed.schema, feed.layouts, strict=True) if layout is None]
    rest = feed.row_bytes - fixed_bytes(feed.layouts)
    return rest if others and all(map(has_spots, others)) and rest >= LONG_BYTES * len(others) else 0.0


def threads_for(feed: Feed) -> int:
    """Return how many threads copy best: two wait for memory at once, while a second one gains nothing in a cache."""
    return (2 if feed.waits else 1) if (os.cpu_count() or 1) > 1 else 0
