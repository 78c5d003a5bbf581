"""Owns `Loader`: batches of a dataset in one of the orders, from any position of any epoch, for any rank.

What is where is asked of the order, copied by the gatherer, and lies in the ring; here is only whose turn it is.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.batch import Batch, Values, to_jax, to_torch
from resources.loader.composed import Transforms, composed
from resources.loader.feed import long_bytes
from resources.loader.losses import POLICIES, OnError
from resources.loader.order import ORDERS, OrderName
from resources.loader.progress import Position, Progress, followed, stream_of
from resources.loader.slabs import Ring, Slab
from resources.loader.sources import Dataset
from resources.loader.state import State
from resources.loader.stats import Clock, LoaderStats
from resources.loader.steps import Part, Steps

if TYPE_CHECKING:
    from resources.loader.decoding.decoder import Decoder
    from resources.loader.tokens.packing import TokenPacking
    from resources.loader.where import Filters
    from resources.storage.store import Store

SLAB_BYTES = 3 * 2**20
"""Bytes that are copied at once: several batches, where they are small."""
MOST_THREADS = 64
_AHEAD = 1
_APART_BATCHES = 8  # of long values that are not copied: enough to share the cost of finding them
_RESTING = 2  # the latest slab is in use until the consumer asks for its next batch
_T = TypeVar("_T")


class Loader:
    """Iterates Arrow record batches of a dataset; `numpy`, `torch` and `jax` give the same as arrays.

    A loader is a position in an endless row of epochs: a loop over it runs to the end of the current epoch, the next
    loop through the next one, and after a break it goes on where it stopped. Each sample comes once an epoch. The order
    is a function of dataset, seed, epoch and position alone. With several ranks, each step takes `batch_size` samples a
    rank, of which each rank has its own; the last step is dealt evenly.

    Args:
        dataset: A `DatasetRef`, `NAME@VERSION`, `penstock://NAME@VERSION`, a digest, or files or folders of Arrow or
            Parquet, or folders of MDS or LitData; or several `DatasetRef`s, whose rows follow each other. Or a mapping
            of several such to their weights: a mixture, whose samples take turns by the weights and whose epoch has as
            many samples as all of them together; each begins anew when it is through.
        batch_size: Rows of a batch of one rank.
        columns: Names of the columns to read, those packed in a matrix too; None means all.
        where: Which rows are wanted: a list of `(column, operator, value)` that must all hold, or a list of such lists
            of which one must; operators are those of `resources.loader.where`. The rows are found once, now.
        order: `sequential`, `run`, `window` or `exact`: see `resources.loader.order`.
        seed: Of the order, from 0 to 2**63.
        epoch: Number of the first epoch.
        rank: Of this loader among `world_size`.
        world_size: How many loaders share the samples.
        drop_last: Whether to leave out the last step of an epoch where it has fewer samples than the others.
        decode: Column of bytes to how it is decoded, such as `{"image": images(height=224, width=224)}`: see
            `resources.loader.decoding`. It becomes a tensor of the declared shape.
        pack_tokens: How documents of tokens are packed into rows of one length; rows are the samples then, and their
            columns `tokens`, `segments`, `positions` and `padding`: see `resources.loader.tokens.packing`.
        copy: Whether each batch has memory of its own. Otherwise it lies in a slab with others, which all stay in
            memory while one of them is held.
        threads: How many copy ahead; 0 means that nothing is done ahead. By default one, or two where single rows are
            fetched from all over memory, unless none is measured to be quicker; where columns are decoded, as many as
            processors. As many processes run decoders in pure Python.
        progress: Whether a line on stderr tells how far the epoch is, if that is a terminal; or a text stream, which
            gets it whatever it is.
        store: Where datasets lie; by default that of the `PENSTOCK_*` settings.
        cache: Folder for this host's copies of what a remote store holds, instead of `PENSTOCK_CACHE`; with a store of
            your own, open it with its cache.
        on_error: What to do about a shard that is missing, or damaged when it was fetched again, too: `raise` an error
            that names it, or `skip` its rows. They are positions still, so that order and state stay what they are, but
            their batches are shorter, or left out where none of their rows is left; `stats` counts them, and the log
            names the shard.

    Raises:
        LoaderError: If the dataset cannot be read, or an argument is out of range, naming it.
    """

    def __init__(
        self,
        dataset: "Dataset | Mapping[Dataset, float]",
        batch_size: int,
        *,
        columns: Sequence[str] | None = None,
        where: "Filters | None" = None,
        order: OrderName = "window",
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        decode: "Mapping[str, Decoder] | None" = None,
        pack_tokens: "TokenPacking | None" = None,
        copy: bool = False,
        threads: int | None = None,
        progress: Progress = False,
        store: "Store | None" = None,
        cache: "str | os.PathLike[str] | None" = None,
        on_error: OnError = "raise",
    ) -> None:
        _check("batch_size", batch_size, 1, 2**31)
        _check("seed", seed, 0, 2**63)
        _check("epoch", epoch, 0, 2**63)
        _check("threads", threads or 0, 0, MOST_THREADS + 1)
        _check("world_size", world_size, 1, 2**31)
        _check("rank", rank, 0, world_size)
        if order not in tuple(ORDERS):  # what cannot be hashed is none either
            raise LoaderError(f"order is {order!r}: choose one of {', '.join(ORDERS)}")
        if on_error not in POLICIES:
            raise LoaderError(f"on_error is {on_error!r}: choose one of {', '.join(POLICIES)}")
        if cache is not None:
            from resources.loader.stored import store_with_cache

            store = store_with_cache(cache, store)
        self._clock = Clock()
        transforms = Transforms(where=where, decode=decode, pack_tokens=pack_tokens, on_error=on_error)
        self._feed, self._pace = composed(
            dataset, columns, order, seed, store=store, transforms=transforms, threads=threads, clock=self._clock
        )
        if drop_last and 0 < self._feed.rows < batch_size * world_size:
            raise LoaderError(
                f"batch_size {batch_size:,} of {world_size:,} ranks takes {batch_size * world_size:,} samples a step, "
                f"{self._feed.name} has {self._feed.rows:,}: drop_last leaves nothing; choose a smaller batch_size"
            )
        self._batch_size = batch_size
        self._order: OrderName = order
        self._seed = seed
        self._steps = Steps(batch_size=batch_size, rank=rank, world_size=world_size, drop_last=drop_last)
        self._copy = copy
        self._progress = stream_of(progress)
        self._epoch = epoch
        self._position = 0
        self._slab_batches = {apart: self._fitting(apart) for apart in (False, True)}
        most = max(self._slab_batches.values())
        self._ring = Ring(self._feed.layouts, min(most * batch_size, max(self._feed.rows, 1)))

    @classmethod
    def from_state(
        cls,
        dataset: "Dataset | Mapping[Dataset, float]",
        state: State,
        batch_size: int,
        **arguments: Any,  # Any: further arguments of the constructor
    ) -> "Loader":
        """Return a loader that goes on from `state`, with any batch size, rank, world size and number of threads.

        Raises:
            LoaderError: If the state is of another dataset, or lies past its end.
        """
        if type(state) is not State:
            raise LoaderError(
                f"no state of a loader: {state!r}; give what state() returned, or State.from_bytes of its bytes"
            )
        for name in ("order", "seed", "epoch"):
            if name in arguments:
                raise LoaderError(f"{name} comes from the state: leave it out")
        loader = cls(dataset, batch_size, order=state.order, seed=state.seed, epoch=state.epoch, **arguments)
        if loader._feed.root != state.root:
            raise LoaderError(
                f"the state is of dataset {state.root[:12]}, {loader._feed.name} is "
                f"{loader._feed.root[:12]}: give the version that it was taken from"
            )
        if state.position > loader.rows:
            raise LoaderError(f"the state is at sample {state.position:,}, {loader._feed.name} has {loader.rows:,}")
        loader._position = state.position
        return loader

    @property
    def schema(self) -> pa.Schema:
        """Schema of every batch."""
        return self._feed.schema

    @property
    def rows(self) -> int:
        """Samples of the current epoch, of all ranks together."""
        return self._feed.rows_of(self._epoch)

    @property
    def epoch(self) -> int:
        """Number of the epoch that the next batch comes from."""
        return self._epoch

    def state(self) -> State:
        """Return where the loader is: after the last step whose batch was handed over.

        All ranks are at the same state once they have had as many batches.
        """
        return State(
            root=self._feed.root,
            order=self._order,
            seed=self._seed,
            epoch=self._epoch,
            position=self._position,
        )

    def stats(self) -> LoaderStats:
        """Return what was loaded so far, and how fast."""
        return LoaderStats(
            rows=self._clock.rows,
            size_bytes=int(self._clock.rows * self._feed.row_bytes),
            batches=self._clock.batches,
            elapsed_s=self._clock.elapsed_s,
            waited_s=self._clock.waited_s,
            gathered_s=max(self._clock.gathered_s, 0.0),
            decoded_s=self._clock.decoded_s,
            broken_rows=self._clock.broken_rows,
            first_batch_s=self._clock.first_batch_s,
            slabs_replaced=self._ring.replaced,
            threads=self._pace.threads,
            rows_skipped=self._clock.skipped,
        )

    def __len__(self) -> int:
        """Return how many batches are left of the current epoch for this rank."""
        return self._steps.count(self._position, self.rows)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches that are left of the current epoch."""
        return self._iterate(self._arrow)

    def numpy(self) -> "Batches[dict[str, Values]]":
        """Return the same batches as numpy arrays by column: matrices without a copy, `Ragged` for texts and lists."""
        return Batches(self.__len__, lambda: self._iterate(self._numpy, apart=True))

    def torch(self) -> "Batches[dict[str, Any]]":  # Any: torch is optional and has no part in our types
        """Return the same batches as torch tensors by column, without a copy."""
        return Batches(self.__len__, lambda: self._iterate(lambda batch: to_torch(self._numpy(batch))))

    def jax(self) -> "Batches[dict[str, Any]]":  # Any: as above
        """Return the same batches as JAX arrays by column."""
        return Batches(self.__len__, lambda: self._iterate(lambda batch: to_jax(self._numpy(batch))))

    def _arrow(self, batch: Batch) -> pa.RecordBatch:
        return batch.copied().arrow() if self._copy else batch.arrow()

    def _numpy(self, batch: Batch) -> dict[str, Values]:
        return batch.copied().numpy() if self._copy else batch.numpy()

    def _iterate(self, form: Callable[[Batch], _T], *, apart: bool = False) -> Generator[_T]:
        batches = self._batches(form, apart)
        return batches if self._progress is None else followed(batches, self._whereabouts, self._progress)

    def _whereabouts(self) -> Position:
        return Position(epoch=self._epoch, rows=self._position, total=self.rows, stats=self.stats())

    def _batches(self, form: Callable[[Batch], _T], apart: bool) -> Generator[_T]:
        began = self._clock.begin()
        epoch = self._epoch
        is_first = True
        try:
            with closing(self._slabs(epoch, apart)) as slabs:
                for slab, parts in slabs:
                    at = 0
                    for part, size in _kept_sizes(slab, parts):
                        self._position = part.after
                        self._clock.skipped += part.stop - part.start - size
                        if not size:
                            continue
                        self._clock.rows += size
                        self._clock.batches += 1
                        if is_first:
                            is_first = False
                            self._clock.first_batch_s = time.perf_counter() - began
                        yield form(Batch(slab, at, at + size, self._feed.schema, self._feed.layouts))
                        at += size
            self._epoch += 1
            self._position = 0
        finally:
            self._clock.end()

    def _slabs(self, epoch: int, apart: bool) -> Generator[tuple[Slab, Sequence[Part]]]:
        """Yield filled slabs and the batches in each, in order; others are filled meanwhile."""
        ahead: deque[tuple[Future[Slab], Sequence[Part]]] = deque()
        pool = ThreadPoolExecutor(max(self._pace.most, 1), thread_name_prefix="penstock-loader")
        try:
            for parts in self._grouped(self._steps.parts(self._position, self.rows), apart):
                threads = self._pace.threads
                if threads:
                    ahead.append((pool.submit(self._filled, epoch, parts, apart), parts))
                while len(ahead) > (threads + _AHEAD if threads else 0):
                    yield from self._next(ahead)
                if not threads:
                    yield from self._handed(self._waited(lambda parts=parts: self._filled(epoch, parts, apart)), parts)
            while ahead:
                yield from self._next(ahead)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _next(self, ahead: "deque[tuple[Future[Slab], Sequence[Part]]]") -> Generator[tuple[Slab, Sequence[Part]]]:
        future, parts = ahead.popleft()
        slab = self._waited(future.result)
        del future
        yield from self._handed(slab, parts)

    def _handed(self, slab: Slab, parts: Sequence[Part]) -> Generator[tuple[Slab, Sequence[Part]]]:
        """Yield a slab, and take it back when the next one is wanted."""
        yield slab, parts
        self._ring.give(slab, keep=self._pace.most + _AHEAD + _RESTING)
        self._pace.note(sum(part.stop - part.start for part in parts), self._clock.lap_s())

    def _waited(self, result: Callable[[], Slab]) -> Slab:
        began = time.perf_counter()
        slab = result()
        self._clock.waited_s += time.perf_counter() - began
        return slab

    def _filled(self, epoch: int, parts: Sequence[Part], apart: bool) -> Slab:
        began = time.perf_counter()
        slab = self._ring.take()
        self._feed.fill(epoch, [(part.start, part.stop) for part in parts], slab, apart=apart)
        self._clock.gathered(time.perf_counter() - began)
        return slab

    def _grouped(self, parts: Iterator[Part], apart: bool) -> Iterator[Sequence[Part]]:
        """Yield batches that lie in one slab: at first a single one, so that it comes at once."""
        most, group = 1, list[Part]()
        for part in parts:
            group.append(part)
            if len(group) == most:
                yield group
                most, group = min(2 * most, self._slab_batches[apart]), []
        if group:
            yield group

    def _fitting(self, apart: bool) -> int:
        """Return how many batches are copied at once; long values that stay where they lie need no room."""
        staying = long_bytes(self._feed) if apart else 0.0
        row_bytes = self._feed.row_bytes - staying
        fitting = int(SLAB_BYTES // (self._batch_size * max(row_bytes, 1.0)))
        return max(1, min(fitting, _APART_BATCHES) if staying else fitting)


class Batches(Generic[_T]):
    """The batches of a loader in another form; all forms share its position.

    Args:
        count: Returns how many are left of the epoch.
        begin: Begins to iterate over them.
    """

    def __init__(self, count: Callable[[], int], begin: Callable[[], Iterator[_T]]) -> None:
        self._count = count
        self._begin = begin

    def __len__(self) -> int:
        return self._count()

    def __iter__(self) -> Iterator[_T]:
        return self._begin()


def _kept_sizes(slab: Slab, parts: Sequence[Part]) -> Iterator[tuple[Part, int]]:
    """Yield each batch of a slab, and how many of its samples are there."""
    start = 0
    for part in parts:
        size = part.stop - part.start
        yield part, size if slab.kept is None else int(slab.kept[start : start + size].sum())
        start += size


def _check(name: str, value: int, least: int, stop: int) -> None:
    if type(value) is not int or not least <= value < stop:
        raise LoaderError(f"{name} is {value!r}: give an integer from {least} to {stop - 1:,}")
