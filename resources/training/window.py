"""Owns the rows of a training window: features datasets, partition after partition, whole columns or batch by batch.

Both ways give the same rows in the same order, which is that in which they are stored; `shuffled` asks for another.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.errors import LoaderError, StoreError, TrainingError
from resources.storage.datasets import read_frame, reference
from resources.transform.expressions import columns_of, compile_expression
from resources.transform.preprocess import BUCKET

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resources.loader import Loader, LoaderStats
    from resources.storage.store import Store
    from resources.training.recipe import TrainingRecipe

BATCH_BYTES = 16 * 2**20
BATCH_ROWS = (1024, 65_536)
"""Fewest and most rows of a batch; between them, it has about `BATCH_BYTES` as 64 bit floats."""
FRAME_BYTES = 64 * 2**20
"""Whole columns are read as many at a time as have about so many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """What the loaders of one training did, all together.

    Attributes:
        rows: Rows that they handed over.
        size_bytes: Their bytes.
        passes: Times that the window was gone through, at least in part.
        elapsed_s: From the first request for a batch to the last, in seconds.
        waited_s: Of these, how long training waited for a batch.
        gathered_s: How long threads copied rows, beside training.
        first_batch_s: How long the very first batch took.
    """

    rows: int = 0
    size_bytes: int = 0
    passes: int = 0
    elapsed_s: float = 0.0
    waited_s: float = 0.0
    gathered_s: float = 0.0
    first_batch_s: float = 0.0

    def and_then(self, stats: "LoaderStats") -> "Loading":
        """Return what was done with a further loader."""
        return Loading(
            rows=self.rows + stats.rows,
            size_bytes=self.size_bytes + stats.size_bytes,
            passes=self.passes + 1,
            elapsed_s=self.elapsed_s + stats.elapsed_s,
            waited_s=self.waited_s + stats.waited_s,
            gathered_s=self.gathered_s + stats.gathered_s,
            first_batch_s=self.first_batch_s if self.passes else stats.first_batch_s,
        )


class Window:
    """The training rows of `recipe`.

    Args:
        store: Where the datasets lie.
        recipe: How to train; it says which columns, and which rows.
        features: Partition key to digest of its features dataset; sorted keys are the order.
    """

    def __init__(self, store: "Store", recipe: "TrainingRecipe", features: Mapping[str, str]) -> None:
        self._store = store
        self._condition = recipe.rows
        self._seed = recipe.seed
        self._features = {key: features[key] for key in sorted(features)}
        self._time = recipe.event_time.column if recipe.event_time else BUCKET
        self._part: pl.Expr | None = None
        self.columns = (*recipe.texts, recipe.label)
        self._done = [Loading()]  # parts of this window add to it, too

    @property
    def loading(self) -> Loading:
        """What was loaded so far."""
        return self._done[0]

    @property
    def batch_rows(self) -> int:
        """Rows of a batch, before the condition; a function of the number of columns."""
        least, most = BATCH_ROWS
        return max(least, min(most, BATCH_BYTES // (8 * len(self.columns))))

    def frame(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return columns of all training rows.

        Raises:
            TrainingError: If there are no rows, or a dataset lacks a column.
            StoreError: If a dataset is missing or altered, naming its partition.
        """
        read = self._read(columns)
        parts = [_part(self._store, key, digest, read) for key, digest in self._features.items()]
        frame = self._kept(pl.concat(parts)) if parts else pl.DataFrame()
        if frame.is_empty():
            raise TrainingError(
                f"no rows to train on in {len(parts)} partitions: widen the training window, or ingest more"
            )
        return frame.select(columns).rechunk()

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield all columns, some at a time: as many as have about `FRAME_BYTES`.

        Raises:
            TrainingError: As `frame`.
            StoreError: As `frame`.
        """
        first = self.frame(self.columns[-1:])
        together = max(1, FRAME_BYTES // (8 * first.height))
        for start in range(0, len(self.columns), together):
            yield self.frame(self.columns[start : start + together])

    def batches(self, *, shuffled: bool = False, epoch: int = 0) -> Iterator[pl.DataFrame]:
        """Yield the training rows by way of the loader.

        Args:
            shuffled: Whether rows of all partitions are mixed, in the order `window` by the recipe's seed.
            epoch: Number of the pass, of which each has an order of its own where they are shuffled.

        Raises:
            TrainingError: If the datasets have different columns.
            StoreError: If a dataset is missing or altered.
        """
        for _, frame in self._from(self._loader(shuffled=shuffled, epoch=epoch)):
            yield frame

    def shuffled_from(self, epoch: int, state: bytes = b"") -> Iterator[tuple[bytes, pl.DataFrame]]:
        """Yield the rows of an epoch in the order `window`, each frame after the state that the loader had before it.

        Args:
            epoch: Number of the pass.
            state: Where to go on, one that was yielded; by default the beginning.

        Raises:
            TrainingError: As `batches`, or if the state is of another window.
            StoreError: As `batches`.
        """
        yield from self._from(self._loader(shuffled=True, epoch=epoch, state=state))

    def _from(self, loader: "Loader") -> Iterator[tuple[bytes, pl.DataFrame]]:
        from resources.loader.packing import unpacked

        before = loader.state().to_bytes()
        try:
            for batch in loader:
                frame = pl.from_arrow(unpacked(batch))
                if isinstance(frame, pl.DataFrame) and not (kept := self._kept(frame)).is_empty():
                    yield before, kept.select(self.columns)
                before = loader.state().to_bytes()
        finally:
            self._done[0] = self.loading.and_then(loader.stats())

    def parted(self, share: float) -> "tuple[Window, Window, NDArray[np.bool_]]":
        """Return the rows but for the latest `share` of them, these, and which rows of this window are these.

        The latest are those by event time, where rows have one; of rows that were split by a hash, those of the last
        buckets. Rows of one time, or of one bucket, stay together.

        Raises:
            TrainingError: If either part has no rows.
        """
        values = self.frame([self._time])[self._time]
        limit = values.sort()[min(len(values) - 1, int(len(values) * (1 - share)))]
        latest = values.is_not_null() & (values >= limit)
        if latest.all():
            raise TrainingError(
                f"early stopping holds out the latest {share:g} of the rows by {self._time!r}, "
                f"but all {len(values)} are of {limit}: remove early_stopping, or widen the training window"
            )
        late = (pl.col(self._time) >= pl.lit(limit, dtype=values.dtype)).fill_null(False)
        return self._like(~late), self._like(late), latest.to_numpy()

    def _like(self, part: pl.Expr) -> "Window":
        made = copy(self)
        made._part = part
        return made

    def _loader(self, *, shuffled: bool, epoch: int, state: bytes = b"") -> "Loader":
        from resources.loader import Loader, State

        datasets = [reference(self._store, digest) for digest in self._features.values()]
        read: dict[str, Any] = {"columns": self._read(self.columns), "store": self._store}
        try:
            if state:
                return Loader.from_state(datasets, State.from_bytes(state), self.batch_rows, **read)
            order = "window" if shuffled else "sequential"
            return Loader(datasets, self.batch_rows, order=order, seed=self._seed, epoch=epoch, **read)
        except LoaderError as error:
            raise TrainingError(f"training window: {error}") from None

    def _read(self, columns: Sequence[str]) -> list[str]:
        tested = columns_of(self._condition, field="rows") if self._condition else ()
        needed = dict.fromkeys((*columns, *tested, *((self._time,) if self._part is not None else ())))
        return list(needed)

    def _kept(self, frame: pl.DataFrame) -> pl.DataFrame:
        kept = frame.filter(compile_expression(self._condition, field="rows")) if self._condition else frame
        return kept if self._part is None else kept.filter(self._part)


def _part(store: "Store", key: str, digest: str, columns: list[str]) -> pl.DataFrame:
    try:
        return read_frame(store, digest, columns)
    except StoreError as error:
        raise type(error)(f"training input {key or 'features'}: {error}") from error
    except pl.exceptions.ColumnNotFoundError as error:
        raise TrainingError(
            f"training input {key or 'features'} lacks a declared column: {str(error).partition(chr(10))[0]}; "
            "materialize its features again"
        ) from None
